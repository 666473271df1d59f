namespace HeadScope;

/// <summary>Everything a byte-level BPE tokenizer file says, whatever its format.</summary>
internal sealed record TokenizerDefinition
{
    /// <summary>The file it comes from, for messages.</summary>
    public required string Source { get; init; }

    /// <summary>Entry to number, without the added tokens that the model does not know.</summary>
    public required Dictionary<string, int> Vocabulary { get; init; }

    /// <summary>The pairs of entries that merge, the earliest first.</summary>
    public required IReadOnlyList<(string Left, string Right)> Merges { get; init; }

    /// <summary>The tokens found in the text before it is cut.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    /// <summary>Whether text is brought into Unicode's composed normal form first.</summary>
    public bool Compose { get; init; }

    /// <summary>How text is cut into words.</summary>
    public required IReadOnlyList<SplitStep> Steps { get; init; }

    /// <summary>Before this step (as many as there are: after the last) pieces that do not start with a space get one; null: never.</summary>
    public int? PrefixSpaceBefore { get; init; }

    /// <summary>Whether a word that is an entry is that token, whatever the merges say.</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>Whether a byte the vocabulary lacks becomes tokens like &lt;0x0A&gt;.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>The entry for bytes that the vocabulary lacks; null: such bytes vanish.</summary>
    public string? UnknownToken { get; init; }

    /// <summary>Whether unknown tokens in a row are one.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>The tokens the template puts before a text.</summary>
    public IReadOnlyList<int> Prefix { get; init; } = [];

    /// <summary>The tokens the template puts after a text.</summary>
    public IReadOnlyList<int> Suffix { get; init; } = [];

    public int? BeginningOfText { get; init; }

    public int? EndOfText { get; init; }
}

/// <summary>A token that is found in the text before it is cut into words.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Content">Its text.</param>
/// <param name="Special">Whether decoding can leave it out.</param>
/// <param name="Normalized">Whether it is looked for in the normalised text rather than in the text as written.</param>
/// <param name="LeftStrip">Whether it swallows white space before it.</param>
/// <param name="RightStrip">Whether it swallows white space after it.</param>
/// <param name="SingleWord">Whether it counts only where no word character touches it.</param>
internal sealed record AddedToken(
    int Id, string Content, bool Special, bool Normalized = false, bool LeftStrip = false, bool RightStrip = false, bool SingleWord = false);
