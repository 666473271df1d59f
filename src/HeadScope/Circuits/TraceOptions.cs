namespace HeadScope;

/// <summary>How often an edge counts that a prompt shows more than once.</summary>
public enum EdgeCounting
{
    /// <summary>Once for each prompt, with the value met first.</summary>
    OncePerPrompt,

    /// <summary>
    /// As the authors' code counts: once in the prompt that showed the edge first, every repetition in all later prompts, and a firing
    /// that is reached on several ways is expanded every time. Kept to compare with published graphs.
    /// </summary>
    Published,
}

/// <summary>Who can be the sender of a signal.</summary>
public enum Senders
{
    /// <summary>Heads, MLPs and embeddings; biases take part in the sum, once, but are no senders.</summary>
    AllComponents,

    /// <summary>Heads alone, each with the whole constant added, as the authors' code has it.</summary>
    HeadsWithConstant,
}

/// <summary>How a circuit is traced. The defaults are the sound choice; <see cref="Published"/> is the authors' code.</summary>
public sealed record TraceOptions
{
    /// <summary>The settings that reproduce the published results exactly, faults included (arXiv 2410.00340 and its code).</summary>
    public static TraceOptions Published { get; } = new() { Counting = EdgeCounting.Published, Senders = Senders.HeadsWithConstant };

    /// <summary>The least attention of a firing.</summary>
    public double PatternThreshold { get; init; } = 0.5;

    /// <summary>The share of the signal that the kept senders must exceed together.</summary>
    public double UpstreamShare { get; init; } = 0.7;

    /// <summary>How edges count that a prompt shows more than once.</summary>
    public EdgeCounting Counting { get; init; } = EdgeCounting.OncePerPrompt;

    /// <summary>Who can send.</summary>
    public Senders Senders { get; init; } = Senders.AllComponents;

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
}
