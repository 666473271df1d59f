namespace HeadScope;

/// <summary>One line of a figure.</summary>
/// <param name="Name">Its name; any text.</param>
/// <param name="X">Where its points are.</param>
/// <param name="Y">How high; NaN for a gap.</param>
public sealed record LineSeries(string Name, IReadOnlyList<double> X, IReadOnlyList<double> Y)
{
    /// <summary>How far the numbers spread about each point, drawn as a band; null for none.</summary>
    public IReadOnlyList<double>? Spread { get; init; }

    /// <summary>Whether it is dotted: a control, a target, a reference.</summary>
    public bool IsReference { get; init; }
}
