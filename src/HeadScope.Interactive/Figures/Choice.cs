namespace HeadScope;

/// <summary>One of several views of a figure, such as one relation of a head map.</summary>
/// <param name="Label">Its name, as plain text.</param>
/// <param name="Visible">For every trace of the figure whether it is seen.</param>
public sealed record Choice(string Label, IReadOnlyList<bool> Visible);
