namespace HeadScope;

/// <summary>A head's static and dynamic score under one template: a point of the scatter figure.</summary>
/// <param name="Head">The head.</param>
/// <param name="Template">The template.</param>
/// <param name="Static">The static score.</param>
/// <param name="Dynamic">The dynamic score.</param>
public readonly record struct ScorePoint(Head Head, string Template, float Static, float Dynamic);
