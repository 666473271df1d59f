namespace HeadScope;

/// <summary>The dynamic hits of one template.</summary>
/// <param name="Template">The template.</param>
/// <param name="WithContext">From what each head writes at the last position.</param>
/// <param name="WithoutContext">From what it would write if all its attention were on the source.</param>
public sealed record TemplateScores(string Template, HeadHits WithContext, HeadHits WithoutContext)
{
    /// <summary>The hits with or without context.</summary>
    /// <param name="context">Whether those with context are asked for.</param>
    /// <returns>The hits.</returns>
    public HeadHits Of(bool context) => context ? WithContext : WithoutContext;
}
