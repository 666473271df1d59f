namespace HeadScope.Notebooks.Session;

/// <summary>Where the output of one cell goes: to a Jupyter client, into a notebook file, or to a test. May be called from any thread.</summary>
internal abstract class CellOutput
{
    /// <summary>Text that the cell wrote.</summary>
    /// <param name="stream">Which of the two streams.</param>
    /// <param name="text">Any piece of it, not only whole lines.</param>
    public abstract void Write(OutputStream stream, string text);

    /// <summary>Shows a value now.</summary>
    /// <param name="data">The value.</param>
    /// <param name="displayId">A name under which it can be updated; null for none.</param>
    public abstract void Display(MimeBundle data, string? displayId);

    /// <summary>Replaces what was shown under a name, in this cell or an earlier one.</summary>
    /// <param name="data">The new value.</param>
    /// <param name="displayId">The name.</param>
    public abstract void UpdateDisplay(MimeBundle data, string displayId);

    /// <summary>Removes what the cell has shown so far.</summary>
    /// <param name="wait">True to remove it only when something new is shown, which avoids flicker.</param>
    public abstract void Clear(bool wait);

    /// <summary>Asks the person at the notebook for a line of text.</summary>
    /// <param name="prompt">What to ask.</param>
    /// <param name="password">True to hide what is typed.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="InvalidOperationException">There is nobody to ask.</exception>
    /// <exception cref="OperationCanceledException">The cell was interrupted.</exception>
    public abstract string ReadLine(string prompt, bool password, CancellationToken cancellationToken);
}

/// <summary>The two streams of text that a cell can write to.</summary>
internal enum OutputStream
{
    /// <summary><see cref="Console.Out"/>.</summary>
    Out,

    /// <summary><see cref="Console.Error"/>.</summary>
    Error,
}
