namespace HeadScope.Notebooks.Session;

/// <summary>Whether a cell is whole.</summary>
internal enum Completeness
{
    /// <summary>It can be run.</summary>
    Complete,

    /// <summary>Something is still to be typed, such as a closing brace.</summary>
    Incomplete,

    /// <summary>No continuation can make it right.</summary>
    Invalid,
}
