namespace HeadScope;

/// <summary>C[i, j] = (or +=) Σ over p of A[i · ARow + p · AColumn] B[p · BRow + j · BColumn], pinned.</summary>
internal readonly unsafe struct ProductOperands
{
    public float* A { get; init; }

    public float* B { get; init; }

    public float* C { get; init; }

    public nint ARow { get; init; }

    public nint AColumn { get; init; }

    public nint BRow { get; init; }

    public nint BColumn { get; init; }

    public nint CRow { get; init; }

    public int M { get; init; }

    public int N { get; init; }

    public int K { get; init; }

    public bool Accumulate { get; init; }

    public double Flops => 2.0 * M * N * K;
}
