using System.Text.Json;

namespace HeadScope;

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

    /// <summary>Descriptions as JSON, evidence included.</summary>
    /// <param name="descriptions">The descriptions, of heads of one model.</param>
    /// <returns>An object with model, and in <c>heads</c> for each head, summary, patterns and operations.</returns>
    public static string ToJson(IReadOnlyList<HeadDescription> descriptions)
    {
        ArgumentNullException.ThrowIfNull(descriptions);
        using var operations = JsonDocument.Parse(HeadOperations.ToJson([.. descriptions.Select(d => d.Operations)]));
        return JsonSerializer.Serialize(
            new
            {
                format = "headscope-descriptions",
                version = 1,
                model = descriptions.Count > 0 ? descriptions[0].Operations.Model : "",
                heads = descriptions.Select((d, i) => new
                {
                    head = d.Head.ToString(),
                    summary = d.Summary,
                    patterns = d.Patterns.Select(p => new
                    {
                        name = p.Name,
                        strength = p.Strength,
                        matches = p.Matches,
                        of = p.Of,
                        evidence = p.Evidence.Select(e => new[] { e.Source, e.Target }),
                    }),
                    operations = operations.RootElement.GetProperty("heads")[i].GetProperty("operations"),
                }),
            },
            JsonText.Indented);
    }

    /// <summary>This description as JSON.</summary>
    /// <returns>As <see cref="ToJson(IReadOnlyList{HeadDescription})"/> with one head.</returns>
    public string ToJson() => ToJson([this]);

    /// <inheritdoc/>
    public override string ToString() => Summary;
}
