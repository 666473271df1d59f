namespace HeadScope.Notebooks.Session;

/// <summary>The cell that the calling code belongs to, also on the threads and tasks that the cell started.</summary>
internal sealed class CellContext(CellOutput output, CellSources sources, CancellationToken cancellationToken)
{
    private static readonly AsyncLocal<CellContext?> Flowing = new();

    public CellOutput Output => output;

    public CellSources Sources => sources;

    public CancellationToken CancellationToken => cancellationToken;

    /// <summary>Whether the cell's code was made to end; it may have caught that.</summary>
    public bool WasStopped { get; set; }

    /// <summary>The cell of the calling code; null outside of one.</summary>
    public static CellContext? Current => Flowing.Value;

    public static CellContext Required =>
        Current ?? throw new InvalidOperationException("No notebook cell is running: call this from a cell.");

    public void Enter() => Flowing.Value = this;
}
