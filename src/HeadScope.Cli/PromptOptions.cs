using System.CommandLine;

namespace HeadScope.Cli;

/// <summary>The options that say which prompts a circuit is looked for in: <c>--prompts ioi:64 --seed 0</c>.</summary>
internal sealed class PromptOptions
{
    /// <summary>The task and the number of prompts.</summary>
    public Option<string> Prompts { get; } = new("--prompts", "-p")
    {
        Description = "The task and the number of prompts: ioi:64, greater-than:64 or induction:64.",
        HelpName = "task:n",
        DefaultValueFactory = _ => "ioi:64",
    };

    /// <summary>The seed.</summary>
    public Option<int> Seed { get; } = new("--seed") { Description = "The seed that the prompts are drawn with.", HelpName = "n" };

    /// <summary>The least attention of a firing.</summary>
    public Option<double> Threshold { get; } = new("--pattern-threshold")
    {
        Description = "A head fires where a token gives another at least this share of its attention.",
        HelpName = "share",
        DefaultValueFactory = _ => 0.5,
    };

    /// <summary>The task that was asked for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <returns>The task.</returns>
    /// <exception cref="UsageException">It names no task or no number.</exception>
    public PromptSet Task(ParseResult parsed)
    {
        try
        {
            return PromptSet.Parse(parsed.GetValue(Prompts)!, parsed.GetValue(Seed));
        }
        catch (FormatException exception)
        {
            throw new UsageException($"--prompts: {exception.Message}");
        }
    }
}
