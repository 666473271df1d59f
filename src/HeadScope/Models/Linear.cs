using System.Collections.Concurrent;

namespace HeadScope;

/// <summary>
/// A linear map y = x W + b of a model. W is decoded when it is first used and then kept; blocks of it can be had without decoding
/// the rest, so that looking at one head of a big model reads only that head.
/// </summary>
public sealed class Linear
{
    private readonly Weight weight;
    private readonly bool inputsByRow;
    private readonly Lazy<float[]>? bias;
    private readonly ConcurrentDictionary<(bool Outputs, int First, int Count), float[]> blocks = new();

    /// <param name="weight">The matrix as stored.</param>
    /// <param name="inputsByRow">Whether a stored row belongs to an input ([in, out]) or to an output ([out, in]).</param>
    /// <param name="bias">The bias; null for none.</param>
    internal Linear(Weight weight, bool inputsByRow, Lazy<float[]>? bias)
    {
        this.weight = weight;
        this.inputsByRow = inputsByRow;
        this.bias = bias;
    }

    /// <summary>The width of x.</summary>
    public int Inputs => inputsByRow ? weight.Rows : weight.Columns;

    /// <summary>The width of y.</summary>
    public int Outputs => inputsByRow ? weight.Columns : weight.Rows;

    /// <summary>W, [Inputs, Outputs]; decoded at first use and kept.</summary>
    /// <exception cref="InvalidDataException">The file is cut or damaged there.</exception>
    public ReadOnlyMatrix Weight
    {
        get
        {
            if (!weight.IsDecoded)
            {
                _ = weight.Values;
                blocks.Clear();
            }

            var whole = new ReadOnlyMatrix(weight.Values, weight.Rows, weight.Columns);
            return inputsByRow ? whole : whole.Transpose();
        }
    }

    /// <summary>Whether there is a bias.</summary>
    public bool HasBias => bias is not null;

    /// <summary>b, [Outputs]; empty when there is none.</summary>
    public ReadOnlySpan<float> Bias => bias is null ? [] : bias.Value;

    internal Weight Stored => weight;

    internal bool InputsByRow => inputsByRow;

    internal Lazy<float[]>? LazyBias => bias;

    /// <summary>
    /// The columns of W that give some neighbouring outputs, [Inputs, count]: a view when W is decoded, else only this block is
    /// decoded and kept.
    /// </summary>
    /// <param name="first">The first output.</param>
    /// <param name="count">How many.</param>
    /// <returns>The block.</returns>
    public ReadOnlyMatrix OutputBlock(int first, int count)
    {
        if (weight.IsDecoded)
        {
            return Weight.SliceColumns(first, count);
        }

        var block = Block(outputs: true, first, count);
        return inputsByRow
            ? new ReadOnlyMatrix(block, Inputs, count)
            : new ReadOnlyMatrix(block, count, Inputs).Transpose();
    }

    /// <summary>
    /// The rows of W that read some neighbouring inputs, [count, Outputs]: a view when W is decoded, else only this block is decoded
    /// and kept.
    /// </summary>
    /// <param name="first">The first input.</param>
    /// <param name="count">How many.</param>
    /// <returns>The block.</returns>
    public ReadOnlyMatrix InputBlock(int first, int count)
    {
        if (weight.IsDecoded)
        {
            return Weight.SliceRows(first, count);
        }

        var block = Block(outputs: false, first, count);
        return inputsByRow
            ? new ReadOnlyMatrix(block, count, Outputs)
            : new ReadOnlyMatrix(block, Outputs, count).Transpose();
    }

    /// <summary>Reads the weights of some neighbouring outputs, without keeping them; for streaming over matrices that are too big.</summary>
    /// <param name="first">The first output.</param>
    /// <param name="count">How many.</param>
    /// <param name="destination">Takes [count, Inputs]: for each output its weights.</param>
    /// <exception cref="ArgumentException">The range is not within the outputs, or there is too little room.</exception>
    public void ReadOutputs(int first, int count, Span<float> destination)
    {
        if (!inputsByRow)
        {
            weight.ReadRows(first, count, destination);
            return;
        }

        var columns = new float[weight.Rows * count];
        weight.ReadColumns(first, count, columns);
        new ReadOnlyMatrix(columns, weight.Rows, count).Transpose().CopyTo(destination);
    }

    /// <summary>y = x W + b.</summary>
    /// <param name="x">x, [n, Inputs].</param>
    /// <param name="y">y, [n, Outputs]; must not overlap x.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public void Apply(ReadOnlyMatrix x, Matrix y)
    {
        if (bias is null)
        {
            MatrixProduct.Multiply(x, Weight, y);
            return;
        }

        if (y.Columns != Outputs)
        {
            throw new ArgumentException($"The result has {Outputs} columns; the matrix given for it has {y.Columns}.", nameof(y));
        }

        for (var i = 0; i < y.Rows; i++)
        {
            bias.Value.CopyTo(y.Row(i));
        }

        MatrixProduct.Multiply(x, Weight, y, accumulate: true);
    }

    /// <summary>Forgets what was decoded; the next use decodes it again. Views taken before stay valid.</summary>
    public void Release()
    {
        weight.Release();
        blocks.Clear();
    }

    private float[] Block(bool outputs, int first, int count) =>
        blocks.GetOrAdd((outputs, first, count), static (key, linear) =>
        {
            var byRow = key.Outputs != linear.inputsByRow;
            var block = new float[key.Count * (byRow ? linear.weight.Columns : linear.weight.Rows)];
            if (byRow)
            {
                linear.weight.ReadRows(key.First, key.Count, block);
            }
            else
            {
                linear.weight.ReadColumns(key.First, key.Count, block);
            }

            return block;
        }, this);
}
