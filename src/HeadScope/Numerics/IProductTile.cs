namespace HeadScope;

/// <summary>
/// The innermost loop of the matrix product: a tile of C held in registers while a column of A meets a row of B at each step.
/// Each number of C is the sum over the depth in order, whatever tile it falls into.
/// </summary>
internal unsafe interface IProductTile
{
    /// <summary>The most rows of a tile.</summary>
    static abstract int Rows { get; }

    /// <summary>The columns of a tile.</summary>
    static abstract int Columns { get; }

    /// <summary>The most steps before a sum goes back to C: a strip of B that deep stays in the first cache (the second for 512 bits).</summary>
    static abstract int Depth { get; }

    /// <summary>c[r, j] = (or +=) Σ over p below depth of a[r · aRow + p] b[p · bStep + j].</summary>
    static abstract void Multiply<TRows>(
        int depth, float* a, nint aRow, float* b, nint bStep, float* c, nint cRow, bool accumulate)
        where TRows : struct, ICount;
}
