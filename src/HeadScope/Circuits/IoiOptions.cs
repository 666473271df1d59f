namespace HeadScope;

/// <summary>In which order an IOI prompt names its two persons.</summary>
public enum IoiOrder
{
    /// <summary>ABBA and BABA in turn.</summary>
    Both,

    /// <summary>The indirect object first: <c>When Mary and John …, John gave … to</c> (Mary).</summary>
    Abba,

    /// <summary>The subject first: <c>When John and Mary …, John gave … to</c> (Mary).</summary>
    Baba,
}

/// <summary>What IOI prompts are made of. The defaults are the words and templates that ship with HeadScope.</summary>
public sealed record IoiOptions
{
    /// <summary>The names; null for the shipped ones. Each must be a single token of the model's tokenizer.</summary>
    public IReadOnlyList<string>? Names { get; init; }

    /// <summary>The places; null for the shipped ones.</summary>
    public IReadOnlyList<string>? Places { get; init; }

    /// <summary>The objects; null for the shipped ones.</summary>
    public IReadOnlyList<string>? Objects { get; init; }

    /// <summary>The order of the names.</summary>
    public IoiOrder Order { get; init; }
}
