using Microsoft.AspNetCore.Html;
using Microsoft.DotNet.Interactive.Formatting;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// What a cell can call without naming a class, with the names that .NET Interactive gave them, so that the same cells run in both.
/// </summary>
public static class NotebookGlobals
{
    /// <summary>Cancelled when the running cell is interrupted; give it to long calls of your own.</summary>
#pragma warning disable IDE1006, SA1300, CA1708 // The names are those that notebooks know.
    public static CancellationToken cancellationToken => CellContext.Current?.CancellationToken ?? default;

    /// <summary>Shows a value now, in the middle of a cell.</summary>
    /// <param name="value">What to show.</param>
    /// <param name="mimeTypes">The forms wanted, such as <c>text/html</c>; by default those preferred for the type.</param>
    /// <returns>What was shown, for updating it later.</returns>
    /// <exception cref="InvalidOperationException">No cell is running.</exception>
    public static DisplayedValue display(object? value, params string[] mimeTypes)
    {
        ArgumentNullException.ThrowIfNull(mimeTypes);
        var shown = new DisplayedValue(Guid.NewGuid().ToString("N"), mimeTypes);
        CellContext.Required.Output.Display(MimeBundle.Of(value, mimeTypes), shown.DisplayId);
        return shown;
    }
#pragma warning restore IDE1006, SA1300, CA1708

    /// <summary>Shows a value now; the same as <see cref="display"/>.</summary>
    /// <param name="value">What to show.</param>
    /// <param name="mimeTypes">The forms wanted; by default those preferred for the type.</param>
    /// <typeparam name="T">Its type: so this is a closer match than .NET Interactive's extension of <c>object</c>, which Plotly.NET.Interactive brings along.</typeparam>
    public static DisplayedValue Display<T>(this T value, params string[] mimeTypes) => display(value, mimeTypes);

    /// <summary>HTML to show as it is: trust its content, or escape it with <see cref="System.Net.WebUtility.HtmlEncode(string)"/>.</summary>
    /// <param name="content">The HTML.</param>
    public static IHtmlContent HTML(string content) => new HtmlString(content);

    /// <summary>Asks the person at the notebook for a line of text.</summary>
    /// <param name="prompt">What to ask.</param>
    /// <exception cref="InvalidOperationException">No cell is running, or nobody can answer, as in a headless run.</exception>
    public static string GetInput(string prompt = "") => Ask(prompt, password: false);

    /// <summary>Asks for a line of text that is not shown while it is typed.</summary>
    /// <param name="prompt">What to ask.</param>
    /// <exception cref="InvalidOperationException">No cell is running, or nobody can answer, as in a headless run.</exception>
    public static string GetPassword(string prompt = "") => Ask(prompt, password: true);

    /// <summary>Removes what the cell has shown so far.</summary>
    /// <param name="wait">True to remove it only when something new is shown.</param>
    public static void ClearOutput(bool wait = false) => CellContext.Required.Output.Clear(wait);

    private static string Ask(string prompt, bool password)
    {
        var cell = CellContext.Required;
        return cell.Output.ReadLine(prompt, password, cell.CancellationToken);
    }
}

/// <summary>Something that <see cref="NotebookGlobals.display"/> has shown.</summary>
/// <param name="DisplayId">The name under which the notebook knows it.</param>
/// <param name="MimeTypes">The forms it was asked to be shown in; empty for those preferred for its type.</param>
public sealed record DisplayedValue(string DisplayId, IReadOnlyList<string> MimeTypes)
{
    /// <summary>Shows another value in its place.</summary>
    /// <param name="value">The new value.</param>
    /// <exception cref="InvalidOperationException">No cell is running.</exception>
    public void Update(object? value) => CellContext.Required.Output.UpdateDisplay(MimeBundle.Of(value, MimeTypes), DisplayId);
}
