namespace HeadScope.Notebooks.Session;

/// <summary>The text of the last cells, for showing the line where something failed.</summary>
internal sealed class CellSources
{
    private const int Kept = 500;
    private readonly Dictionary<string, string[]> lines = new(StringComparer.Ordinal);
    private readonly Queue<string> order = new();

    public void Add(string name, string text)
    {
        lock (lines)
        {
            lines[name] = text.ReplaceLineEndings("\n").Split('\n');
            order.Enqueue(name);
            if (order.Count > Kept)
            {
                lines.Remove(order.Dequeue());
            }
        }
    }

    /// <summary>One line, counted from 1; null when the text is not kept, as with a loaded file.</summary>
    public string? Line(string? name, int number)
    {
        lock (lines)
        {
            return name is not null && lines.TryGetValue(name, out var text) && number >= 1 && number <= text.Length ? text[number - 1] : null;
        }
    }
}
