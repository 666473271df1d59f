using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope.Notebooks.Running;

/// <summary>
/// A notebook of nbformat 4: JSON of which only cells, sources, outputs and execution counts are touched, so that fields that another
/// program has put there stay.
/// </summary>
public sealed class NotebookFile
{
    private static readonly JsonSerializerOptions Form = new()
    {
        // As nbformat writes: indented by one, no escapes that JSON does not ask for.
        WriteIndented = true,
        IndentSize = 1,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly string name;

    private NotebookFile(JsonObject root, JsonArray cells, string name)
    {
        Root = root;
        Cells = cells;
        this.name = name;
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
            var root = JsonNode.Parse(json) as JsonObject ?? throw new InvalidDataException($"{name}: expected a JSON object.");
            var format = (int?)root["nbformat"];
            if (format != 4)
            {
                throw new InvalidDataException(
                    $"{name}: nbformat is {root["nbformat"]?.ToJsonString() ?? "missing"}; expected 4. Open and save it in Jupyter to convert it.");
            }

            var cells = root["cells"] as JsonArray ?? throw new InvalidDataException($"{name}: cells is missing; expected an array.");
            for (var i = 0; i < cells.Count; i++)
            {
                if (cells[i] is not JsonObject cell || (string?)cell["cell_type"] is null || cell["source"] is null)
                {
                    throw new InvalidDataException(FormattableString.Invariant($"{name}: cells[{i}] has no cell_type or no source."));
                }

                _ = Joined(cell["source"]);
            }

            return new NotebookFile(root, cells, name);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new InvalidDataException($"{name} is not a notebook: {exception.Message}", exception);
        }
    }

    /// <summary>Writes the notebook, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Write(string path) => AtomicFile.WriteText(path, Text(Root));

    /// <summary>The notebook with everything that its cells showed.</summary>
    public override string ToString() => Text(Root);

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
