using System.Text;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Tests;

/// <summary>Keeps what a cell puts out.</summary>
internal sealed class RecordedOutput : CellOutput
{
    private readonly StringBuilder text = new();
    private readonly StringBuilder errors = new();

    public string Text
    {
        get
        {
            lock (text)
            {
                return text.ToString();
            }
        }
    }

    public string Errors => errors.ToString();

    public List<(MimeBundle Data, string? Id)> Displays { get; } = [];

    public List<(MimeBundle Data, string Id)> Updates { get; } = [];

    public Queue<string> Answers { get; } = new();

    public override void Write(OutputStream stream, string text)
    {
        lock (this.text)
        {
            (stream == OutputStream.Out ? this.text : errors).Append(text);
        }
    }

    public override void Display(MimeBundle data, string? displayId) => Displays.Add((data, displayId));

    public override void UpdateDisplay(MimeBundle data, string displayId) => Updates.Add((data, displayId));

    public override void Clear(bool wait) => Displays.Clear();

    public override string ReadLine(string prompt, bool password, CancellationToken cancellationToken)
    {
        Write(OutputStream.Out, prompt);
        return Answers.Dequeue();
    }
}
