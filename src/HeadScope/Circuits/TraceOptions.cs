namespace HeadScope;

/// <summary>How a circuit is traced. The defaults are the sound choice; <see cref="Published"/> is the authors' code.</summary>
public sealed record TraceOptions
{
    /// <summary>The settings that reproduce the published results exactly, faults included (arXiv 2410.00340 and its code).</summary>
    public static TraceOptions Published { get; } = new() { CountRepeats = true, HeadsWithConstant = true };

    /// <summary>The least attention of a firing.</summary>
    public double PatternThreshold { get; init; } = 0.5;

    /// <summary>The share of the signal that the kept senders must exceed together.</summary>
    public double UpstreamShare { get; init; } = 0.7;

    /// <summary>Whether an edge counts as in the authors' code: once in the prompt that showed it first, every repetition in all later prompts, a
    /// firing that is reached on several ways being expanded every time. Else it counts once for each prompt, with the value met first.</summary>
    public bool CountRepeats { get; init; }

    /// <summary>Whether heads alone can send, each with the whole constant added, as in the authors' code. Else heads, MLPs and embeddings can;
    /// biases take part in the sum, once, but are no senders.</summary>
    public bool HeadsWithConstant { get; init; }

    /// <summary>The heads to begin with; null for the <see cref="RootCount"/> heads with the greatest direct effect on the logit
    /// difference between answer and distractor.</summary>
    public IReadOnlyList<Head>? Roots { get; init; }

    /// <summary>How many roots to choose where none are given.</summary>
    public int RootCount { get; init; } = 3;

    /// <summary>The role whose token a root must read to be followed; null for what the prompts say
    /// (<see cref="PromptSet.RootSource"/>: IO for <see cref="Ioi"/>).</summary>
    public string? RootSource { get; init; }

    /// <summary>The role at which a root must fire.</summary>
    public string RootDestination { get; init; } = "end";

    /// <summary>How many prompts are traced at once; bounds the memory, changes no result.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Checks them, and completes them by what the prompts say.</summary>
    /// <exception cref="ArgumentException">A role is not one of the prompts', a root not a head that can receive signals, a number too small.</exception>
    internal TraceOptions For(Model model, PromptSet prompts)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(RootCount, 1);
        ArgumentNullException.ThrowIfNull(RootDestination);
        RequireThreshold(PatternThreshold);
        Fault.ArgumentIf(!double.IsFinite(UpstreamShare), $"The upstream share is {UpstreamShare}; expected a number, such as 0.7.");
        var complete = this with { RootSource = RootSource ?? prompts.RootSource };
        foreach (var role in new[] { complete.RootSource, RootDestination }.OfType<string>())
        {
            prompts.RequireRole(role);
        }

        var config = model.Config;
        foreach (var root in Roots ?? [])
        {
            Fault.ArgumentIf(
                root.Layer < 1 || root.Layer >= config.LayerCount || root.Index < 0 || root.Index >= config.HeadCount,
                $"Root {root} is not a head that can receive signals: '{model.Name}' has layers 1 to {config.LayerCount - 1} "
                + $"above the first, with {config.HeadCount} heads each.");
        }

        return complete;
    }

    /// <summary>Checks the least attention of a firing: no number is below, and none above, one that is not finite.</summary>
    /// <exception cref="ArgumentException">It is not finite.</exception>
    internal static void RequireThreshold(double threshold) => Fault.ArgumentIf(
        !double.IsFinite(threshold), $"The pattern threshold is {threshold}; expected a number, such as 0.5.");
}
