namespace HeadScope;

/// <summary>The unembedding read token by token, [vocabulary, d_model]: where it is in memory as views, else decoded block by block.</summary>
internal sealed class VocabularyRows
{
    // Up to this many numbers (256 MB) the unembedding is decoded once and kept like any other weight.
    private const long LargestKept = 1L << 26;

    private readonly Model? model;
    private readonly float[]? values;

    /// <summary>Reads the unembedding of a model.</summary>
    public VocabularyRows(Model model)
    {
        this.model = model;
        Count = model.Config.VocabularySize;
        Width = model.Config.ModelWidth;
        values = (long)Count * Width <= LargestKept ? model.UnembeddingNumbers() : null;
    }

    /// <summary>Reads numbers in memory.</summary>
    public VocabularyRows(float[] values, int count, int width)
    {
        this.values = values;
        Count = count;
        Width = width;
    }

    /// <summary>The number of tokens.</summary>
    public int Count { get; }

    /// <summary>The width of a row.</summary>
    public int Width { get; }

    /// <summary>The rows of neighbouring tokens, [count, width]: a view of the weights, or of <paramref name="scratch"/>.</summary>
    public ReadOnlyMatrix Rows(int first, int count, Span<float> scratch)
    {
        if (values is not null)
        {
            return new ReadOnlyMatrix(values, Count, Width).SliceRows(first, count);
        }

        model!.ReadUnembedding(first, count, scratch);
        return new ReadOnlyMatrix(scratch, count, Width);
    }

    /// <summary>Copies the rows of some tokens.</summary>
    public float[] Gather(ReadOnlySpan<int> tokens)
    {
        var rows = new float[tokens.Length * Width];
        for (var i = 0; i < tokens.Length; i++)
        {
            var destination = rows.AsSpan(i * Width, Width);
            var row = Rows(tokens[i], 1, destination).Row(0);
            if (!row.Overlaps(destination))
            {
                row.CopyTo(destination);
            }
        }

        return rows;
    }
}
