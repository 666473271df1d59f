namespace HeadScope.Maps;

/// <summary>What a head does, in words, with what the words rest on.</summary>
/// <param name="Head">The head.</param>
/// <param name="Patterns">The regularities found, strongest first; none is an answer.</param>
/// <param name="Operations">The salient operations they were sought in.</param>
public sealed record HeadDescription(Head Head, IReadOnlyList<HeadPattern> Patterns, HeadOperations Operations)
{
    /// <summary>The description in one line.</summary>
    public string Summary => Patterns.Count == 0
        ? $"Head {Head}: no simple pattern in its {Operations.Operations.Count} most amplified tokens."
        : $"Head {Head}: {string.Join("; ", Patterns)}.";

    /// <summary>The description as JSON, evidence included.</summary>
    /// <returns>An object with model, head, summary, patterns and operations.</returns>
    public string ToJson()
    {
        using var operations = System.Text.Json.JsonDocument.Parse(Operations.ToJson());
        return System.Text.Json.JsonSerializer.Serialize(
            new
            {
                format = "headscope-description",
                version = 1,
                model = Operations.Model,
                head = Head.ToString(),
                summary = Summary,
                patterns = Patterns.Select(p => new
                {
                    name = p.Name,
                    strength = p.Strength,
                    matches = p.Matches,
                    of = p.Of,
                    evidence = p.Evidence.Select(e => new[] { e.Source, e.Target }),
                }),
                operations = operations.RootElement.GetProperty("heads")[0].GetProperty("operations"),
            },
            JsonText.Indented);
    }

    /// <inheritdoc/>
    public override string ToString() => Summary;
}
