using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope.Notebooks.Running;

/// <summary>
/// A notebook of nbformat 4: JSON of which only cells, sources, outputs and execution counts are touched, so that fields that another
/// program has put there stay.
/// </summary>
internal sealed class NotebookFile
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private static readonly JsonSerializerOptions Form = new()
    {
        // As nbformat writes: indented by one, no escapes that JSON does not ask for.
        WriteIndented = true,
        IndentSize = 1,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private NotebookFile(JsonObject root, JsonArray cells)
    {
        Root = root;
        Cells = cells;
    }

    /// <summary>The whole document.</summary>
    public JsonObject Root { get; }

    /// <summary>The cells, in order.</summary>
    public JsonArray Cells { get; }

    /// <summary>Whether cells have ids, which they do since version 4.5 of the format.</summary>
    public bool HasCellIds => ((int?)Root["nbformat_minor"] ?? 0) >= 5;

    /// <summary>Reads a notebook.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">It is not there.</exception>
    /// <exception cref="InvalidDataException">It is not a notebook of nbformat 4.</exception>
    public static NotebookFile Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"The notebook {path} is not there.", path);
        }

        return Parse(File.ReadAllBytes(path), path);
    }

    /// <summary>Reads a notebook from its text.</summary>
    /// <param name="json">The text, as UTF-8.</param>
    /// <param name="name">How to call it in errors.</param>
    /// <exception cref="InvalidDataException">It is not a notebook of nbformat 4.</exception>
    public static NotebookFile Parse(ReadOnlySpan<byte> json, string name)
    {
        try
        {
            var root = JsonNode.Parse(json, documentOptions: Strict) as JsonObject ?? throw new InvalidDataException($"{name}: expected a JSON object.");
            NotebookForm.Check(root, name);

            // What cannot be written, such as half a surrogate pair, is found before any cell runs.
            _ = Text(root);
            return new NotebookFile(root, (JsonArray)root["cells"]!);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new InvalidDataException($"{name} is not a notebook: {exception.Message}", exception);
        }
    }

    /// <summary>Writes the notebook, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Write(string path) => AtomicFile.WriteText(path, ToString());

    /// <summary>The notebook as it is kept, with everything that its cells showed: of a chart that has its picture the data and the picture, not the
    /// HTML that would need a script to show it.</summary>
    public override string ToString()
    {
        var kept = (JsonObject)Root.DeepClone();
        foreach (var data in NotebookPictures.ChartsOf((JsonArray)kept["cells"]!).Where(data => data.ContainsKey(NotebookPictures.Svg)))
        {
            data.Remove("text/html");
        }

        return Text(kept);
    }

    /// <summary>Text that the format may hold as one string or as a list of lines.</summary>
    /// <param name="text">Either.</param>
    internal static string Joined(JsonNode? text) => text is JsonArray lines ? string.Concat(lines.Select(line => (string?)line)) : (string?)text ?? "";

    /// <summary>Text as a list of lines that keep their ends, as the format prefers.</summary>
    /// <param name="text">The text.</param>
    internal static JsonArray Lines(string text)
    {
        var lines = new JsonArray();
        for (var start = 0; start < text.Length;)
        {
            var end = text.IndexOf('\n', start);
            end = end < 0 ? text.Length : end + 1;
            lines.Add(text[start..end]);
            start = end;
        }

        return lines;
    }

    private static string Text(JsonObject root) => root.ToJsonString(Form) + "\n";

    /// <summary>Whether a cell has a tag.</summary>
    internal static bool HasTag(JsonObject cell, string tag) =>
        cell["metadata"]?["tags"] is JsonArray tags && tags.Any(t => t is JsonValue value && value.TryGetValue<string>(out var text) && text == tag);

    /// <summary>Puts a cell of code after the cell tagged <c>parameters</c>, in place of one that an earlier run put there.</summary>
    /// <param name="code">The assignments.</param>
    internal void InjectParameters(string code)
    {
        for (var i = Cells.Count - 1; i >= 0; i--)
        {
            if (HasTag((JsonObject)Cells[i]!, "injected-parameters"))
            {
                Cells.RemoveAt(i);
            }
        }

        var cell = new JsonObject { ["cell_type"] = "code", ["execution_count"] = null };
        if (HasCellIds)
        {
            cell["id"] = FreeId();
        }

        cell["metadata"] = new JsonObject { ["tags"] = new JsonArray("injected-parameters") };
        cell["outputs"] = new JsonArray();
        cell["source"] = Lines(code);
        var tagged = Cells.ToList().FindIndex(c => HasTag((JsonObject)c!, "parameters"));
        Cells.Insert(tagged + 1, cell);
    }

    private string FreeId()
    {
        var taken = Cells.Select(c => (string?)c!["id"]).ToHashSet(StringComparer.Ordinal);
        var id = "injected-parameters";
        for (var i = 2; taken.Contains(id); i++)
        {
            id = FormattableString.Invariant($"injected-parameters-{i}");
        }

        return id;
    }
}
