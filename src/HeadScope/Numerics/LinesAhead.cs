using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace HeadScope;

/// <summary>
/// A part of a matrix that is needed soon, asked for a few cache lines at a time while the processor computes, so that memory is never
/// waited for. It goes to the second cache. Where the processor has no such instruction nothing happens.
/// </summary>
internal unsafe struct LinesAhead
{
    private const int Line = 16;

    private readonly nint stride;
    private readonly int linesPerRow;
    private readonly int share;
    private float* row;
    private int rows;
    private int line;

    /// <param name="start">Its first number.</param>
    /// <param name="stride">The distance of its rows.</param>
    /// <param name="rows">How many rows lie apart.</param>
    /// <param name="columns">How many numbers lie side by side in each.</param>
    /// <param name="calls">How many calls of <see cref="Ask"/> share it.</param>
    public LinesAhead(float* start, nint stride, int rows, int columns, int calls)
    {
        this.stride = stride;
        this.rows = Sse.IsSupported ? rows : 0;
        row = start;
        linesPerRow = (columns + Line - 1) / Line;
        share = ((rows * linesPerRow) + calls - 1) / calls;
    }

    /// <summary>Asks for the next call's share.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Ask()
    {
        for (var left = share; left > 0 && rows > 0; left--)
        {
            Sse.Prefetch1(row + (line * Line));
            if (++line == linesPerRow)
            {
                line = 0;
                row += stride;
                rows--;
            }
        }
    }
}
