using System.Text;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Kernel;

/// <summary>
/// Sends the output of one cell to the clients. Text is collected for a moment, since a message for each piece of a line would drown
/// them; what is shown in between keeps its place.
/// </summary>
internal sealed class KernelOutput : CellOutput
{
    private const int LongestText = 1 << 16;
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(40);

    private readonly Action<string, JsonObject> publish;
    private readonly Func<string, bool, CancellationToken, string> ask;
    private readonly object gate = new();
    private readonly StringBuilder text = new();
    private readonly Timer timer;
    private OutputStream stream;
    private bool waiting;

    /// <param name="publish">Sends a message of a type and content, as output of the cell.</param>
    /// <param name="ask">Asks the person at the notebook.</param>
    public KernelOutput(Action<string, JsonObject> publish, Func<string, bool, CancellationToken, string> ask)
    {
        this.publish = publish;
        this.ask = ask;
        timer = new Timer(_ => Flush());
    }

    public override void Write(OutputStream stream, string text)
    {
        lock (gate)
        {
            if (stream != this.stream)
            {
                FlushLocked();
                this.stream = stream;
            }

            this.text.Append(text);
            if (this.text.Length >= LongestText)
            {
                FlushLocked();
            }
            else if (!waiting)
            {
                waiting = true;
                timer.Change(Moment, Timeout.InfiniteTimeSpan);
            }
        }
    }

    public override void Display(MimeBundle data, string? displayId) => Show("display_data", data, displayId);

    public override void UpdateDisplay(MimeBundle data, string displayId) => Show("update_display_data", data, displayId);

    public override void Clear(bool wait) => Publish("clear_output", new JsonObject { ["wait"] = wait });

    public override string ReadLine(string prompt, bool password, CancellationToken cancellationToken)
    {
        Flush();
        return ask(prompt, password, cancellationToken);
    }

    /// <summary>Sends a message after everything that came before it.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="content">What it says.</param>
    public void Publish(string type, JsonObject content)
    {
        lock (gate)
        {
            FlushLocked();
            publish(type, content);
        }
    }

    /// <summary>Sends the text collected so far.</summary>
    public void Flush()
    {
        lock (gate)
        {
            FlushLocked();
        }
    }

    private void Show(string type, MimeBundle data, string? displayId) => Publish(type, new JsonObject
    {
        ["data"] = data.ToJson(),
        ["metadata"] = new JsonObject(),
        ["transient"] = displayId is null ? new JsonObject() : new JsonObject { ["display_id"] = displayId },
    });

    private void FlushLocked()
    {
        waiting = false;
        if (text.Length > 0)
        {
            var content = new JsonObject { ["name"] = stream == OutputStream.Out ? "stdout" : "stderr", ["text"] = text.ToString() };
            text.Clear();
            publish("stream", content);
        }
    }
}
