namespace HeadScope;

/// <summary>
/// Prompts that hold a place <c>&lt;X&gt;</c> for the source of a relation, own-written (<c>data/relations/templates.csv</c>): some that
/// mention the source without the relation, for dynamic scores, and one for each relation that asks for the target, for ablations
/// (arXiv 2412.11965, section 4.2 and appendix B).
/// </summary>
public static class PromptTemplates
{
    /// <summary>The place of the source.</summary>
    public const string Placeholder = "<X>";

    private static readonly Lazy<(string Relation, string Use, string Template)[]> Shipped = new(Read);

    /// <summary>The four prompts of dynamic scores; they serve all relations.</summary>
    public static IReadOnlyList<string> Dynamic { get; } =
        [.. Shipped.Value.Where(t => string.Equals(t.Use, "dynamic", StringComparison.Ordinal)).Select(t => t.Template)];

    /// <summary>The prompt that asks for the target of a shipped relation.</summary>
    /// <param name="relation">The name of the relation.</param>
    /// <returns>The template; null when none ships for that relation.</returns>
    public static string? Ablation(string relation) => Shipped.Value
        .Where(t => string.Equals(t.Use, "ablation", StringComparison.Ordinal) && string.Equals(t.Relation, relation, StringComparison.OrdinalIgnoreCase))
        .Select(t => t.Template)
        .FirstOrDefault();

    /// <summary>Throws when a text is no template.</summary>
    /// <exception cref="ArgumentException">The text has no place for the source, or several.</exception>
    internal static void Require(string template)
    {
        ArgumentException.ThrowIfNullOrEmpty(template);
        if (template.Split(Placeholder) is not [_, _])
        {
            throw new ArgumentException($"'{template}' is no template: expected one {Placeholder}, the place of the source.", nameof(template));
        }
    }

    private static (string Relation, string Use, string Template)[] Read()
    {
        const string File = "templates.csv";
        using var csv = new CsvFile(File, Relations.ReadResource(File), "relation", "use", "template");
        return [.. csv.Rows().Select(row => (row[0], row[1], row[2]))];
    }
}
