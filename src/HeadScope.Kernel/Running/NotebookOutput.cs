using System.Text.Json.Nodes;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Running;

/// <summary>Puts the output of one cell into its place in the notebook.</summary>
/// <param name="outputs">The cell's outputs.</param>
/// <param name="displays">What was shown under a name, in all cells, for updates.</param>
internal sealed class NotebookOutput(JsonArray outputs, Dictionary<string, List<JsonObject>> displays) : CellOutput
{
    // Lines of an endless loop would otherwise fill the memory before anyone sees them.
    private const int LongestText = 16 << 20;

    private readonly Lock gate = new();
    private readonly System.Text.StringBuilder text = new();
    private OutputStream stream;
    private bool clearing;
    private int written;

    public override void Write(OutputStream stream, string text)
    {
        lock (gate)
        {
            if (written > LongestText)
            {
                return;
            }

            ClearIfAsked();
            if (stream != this.stream)
            {
                FlushLocked();
                this.stream = stream;
            }

            written += text.Length;
            this.text.Append(text);
            if (written > LongestText)
            {
                this.text.Append("\n... the rest is left out\n");
            }
        }
    }

    public override void Display(MimeBundle data, string? displayId)
    {
        var shown = Add("display_data", data, null);
        if (displayId is not null)
        {
            lock (displays)
            {
                if (!displays.TryGetValue(displayId, out var same))
                {
                    displays[displayId] = same = [];
                }

                same.Add(shown);
            }
        }
    }

    public override void UpdateDisplay(MimeBundle data, string displayId)
    {
        lock (displays)
        {
            foreach (var shown in displays.GetValueOrDefault(displayId, []))
            {
                shown["data"] = Data(data);
            }
        }
    }

    public override void Clear(bool wait)
    {
        lock (gate)
        {
            clearing = true;
            if (!wait)
            {
                ClearIfAsked();
            }
        }
    }

    public override string ReadLine(string prompt, bool password, CancellationToken cancellationToken) =>
        throw new InvalidOperationException("There is nobody to ask: the notebook runs headless. Give the value as a parameter (-p name=value).");

    /// <summary>Adds the value of the cell's last expression.</summary>
    public void Result(MimeBundle data, int executionCount) => Add("execute_result", data, executionCount);

    /// <summary>Adds why the cell failed.</summary>
    public void Error(CellError error)
    {
        lock (gate)
        {
            ClearIfAsked();
            FlushLocked();
            outputs.Add(new JsonObject
            {
                ["ename"] = error.Name,
                ["evalue"] = error.Message,
                ["output_type"] = "error",
                ["traceback"] = new JsonArray([.. error.Traceback.Select(line => (JsonNode)line)]),
            });
        }
    }

    /// <summary>Adds the text that has not been added yet.</summary>
    public void Flush()
    {
        lock (gate)
        {
            FlushLocked();
        }
    }

    private JsonObject Add(string type, MimeBundle data, int? executionCount)
    {
        var output = new JsonObject { ["data"] = Data(data) };
        if (executionCount is { } count)
        {
            output["execution_count"] = count;
        }

        output["metadata"] = new JsonObject();
        output["output_type"] = type;
        lock (gate)
        {
            ClearIfAsked();
            FlushLocked();
            outputs.Add(output);
        }

        return output;
    }

    private static JsonObject Data(MimeBundle data)
    {
        var json = data.ToJson();
        foreach (var (mimeType, value) in json.ToList())
        {
            if (value is JsonValue text && text.TryGetValue<string>(out var whole))
            {
                json[mimeType] = NotebookFile.Lines(whole);
            }
        }

        return json;
    }

    private void ClearIfAsked()
    {
        if (clearing)
        {
            clearing = false;
            text.Clear();
            outputs.Clear();
        }
    }

    private void FlushLocked()
    {
        if (text.Length > 0)
        {
            outputs.Add(new JsonObject
            {
                ["name"] = stream == OutputStream.Out ? "stdout" : "stderr",
                ["output_type"] = "stream",
                ["text"] = NotebookFile.Lines(text.ToString()),
            });
            text.Clear();
        }
    }
}
