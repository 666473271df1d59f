namespace HeadScope;

/// <summary>
/// A task with a number of prompts and a seed, before a tokenizer is known: which words are single tokens, and so which prompts can be
/// drawn, depends on it. Every call that takes a <see cref="PromptSet"/> and a model takes a task too.
/// </summary>
public sealed class PromptTask
{
    private readonly Func<Tokenizer, PromptSet> prompts;

    internal PromptTask(string name, int count, int seed, Func<Tokenizer, PromptSet> prompts)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        Name = name;
        Count = count;
        Seed = seed;
        this.prompts = prompts;
    }

    /// <summary>The task: <c>ioi</c>, <c>greater-than</c> or <c>induction</c>.</summary>
    public string Name { get; }

    /// <summary>How many prompts.</summary>
    public int Count { get; }

    /// <summary>The seed they are drawn with.</summary>
    public int Seed { get; }

    /// <summary>The task that a text names, as the command line writes it: <c>ioi:64</c>.</summary>
    /// <param name="text">The name of the task, and after a colon the number of prompts; 64 without it.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>The task.</returns>
    /// <exception cref="FormatException">There is no such task, or the number is none.</exception>
    public static PromptTask Parse(string text, int seed = 0)
    {
        ArgumentNullException.ThrowIfNull(text);
        var parts = text.Split(':');
        var count = 64;
        if (parts.Length > 2
            || (parts.Length == 2
                && (!int.TryParse(parts[1], System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out count)
                    || count == 0)))
        {
            throw new FormatException($"'{text}' names no prompts: expected a task and a number of 1 or more, such as ioi:64.");
        }

        return parts[0] switch
        {
            Ioi.Name => Ioi.Prompts(count, seed),
            GreaterThan.Name => GreaterThan.Prompts(count, seed),
            Induction.Name => Induction.Prompts(count, seed),
            _ => throw new FormatException(
                $"There is no task '{parts[0]}'; there are {Ioi.Name}, {GreaterThan.Name} and {Induction.Name}."),
        };
    }

    /// <summary>Draws the prompts.</summary>
    /// <param name="tokenizer">The tokenizer of the model that will read them.</param>
    /// <returns>The prompts; the same for the same seed and tokenizer.</returns>
    /// <exception cref="ArgumentException">Too few words are single tokens, or one that was given is not.</exception>
    public PromptSet For(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return prompts(tokenizer);
    }

    /// <summary>Draws the prompts for a model.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The prompts.</returns>
    /// <exception cref="ArgumentException">Too few words are single tokens, or one that was given is not.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    public PromptSet For(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return prompts(model.Tokenizer);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}:{Count}, seed {Seed}";
}
