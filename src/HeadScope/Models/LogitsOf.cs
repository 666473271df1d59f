namespace HeadScope;

/// <summary>Of which positions a forward pass returns logits.</summary>
public enum LogitsOf
{
    /// <summary>Of every position.</summary>
    All,

    /// <summary>Of the last token of each sequence.</summary>
    LastPosition,

    /// <summary>Of none; layers behind the last one that is asked about are not computed.</summary>
    None,
}
