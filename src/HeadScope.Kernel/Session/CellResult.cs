namespace HeadScope.Notebooks.Session;

/// <summary>What a cell came to.</summary>
/// <param name="Value">The value of its last expression; null when it has none, ended in a semicolon or failed.</param>
/// <param name="Shown">The same in the forms in which it shows itself; null when there is none.</param>
/// <param name="Error">Why it failed; null when it did not.</param>
internal sealed record CellResult(object? Value, MimeBundle? Shown, CellError? Error)
{
    /// <summary>Whether the cell ran to its end.</summary>
    public bool Succeeded => Error is null;

    internal static CellResult Failed(CellError error) => new(null, null, error);
}

/// <summary>Why a cell failed, as notebooks show it.</summary>
/// <param name="Name">The type of the exception, or <c>CompilationError</c>, or <c>Interrupted</c>.</param>
/// <param name="Message">What happened, on one or more lines.</param>
/// <param name="Traceback">Lines to show, coloured with ANSI escapes.</param>
internal sealed record CellError(string Name, string Message, IReadOnlyList<string> Traceback);
