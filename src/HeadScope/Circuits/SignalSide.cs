namespace HeadScope;

/// <summary>One of the two tokens that a score is made of.</summary>
public enum SignalSide
{
    /// <summary>The source: the key token, read through the right singular vectors.</summary>
    Source,

    /// <summary>The destination: the query token, read through the left singular vectors.</summary>
    Destination,
}
