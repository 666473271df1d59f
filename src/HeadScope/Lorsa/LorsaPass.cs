using System.Buffers;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// One batch through a Lorsa, forward and backward, in normalised units. Holds the room for all intermediate results, so a training loop
/// makes one and uses it again.
/// </summary>
/// <remarks>
/// <para>Forward, for every QK head g and OV head i of its group:
/// <c>q_g = rot(x W_Q + b_Q)</c>, <c>k_g</c> likewise, <c>P_g = softmax(q_g k_g^T / scale)</c> (causal),
/// <c>v_i = x w_V + b_V</c>, <c>z_i = P_g v_i</c>, <c>a = sparsify(z)</c>, <c>y = sum a_i w_O + b_D</c>.</para>
/// <para>Only finding the active heads needs all z. After that everything follows the few entries (token t, head i) with a gradient dz:
/// the output and dL/da are k rows of W_O per token; dL/dP row t is the sum of dz times row i of V^T; and because
/// <c>dL/dw_V_i = sum_t dz (P_g x)_t</c>, the gradient of W_V needs P_g x once per QK head and then k rows per token,
/// which is cheaper than dV^T x as soon as a group has more heads than 0.6 T.</para>
/// <para>No sum depends on the number of threads: work is split by token or by QK head, and each sum is done by one of them in order.</para>
/// </remarks>
internal sealed partial class LorsaPass
{
    // Rows of causal products done at once: the part of a block above the diagonal is wasted.
    private const int Block = 64;

    private readonly LorsaConfig config;
    private readonly RotaryTable rotary;
    private readonly int d, n, groups, e, w, r;
    private readonly float[] rawQueries;
    private readonly float[] rawKeys;
    private readonly float[] outputGradient;
    private readonly double[] tokenLoss;
    private float[] auxiliaryGradient = [];
    private double[] tokenAuxiliary = [];
    private double[] tokenPenalty = [];
    private double[] tokenThreshold = [];
    private float[] scores = [];

    public LorsaPass(LorsaConfig config, int batch, int length)
    {
        if (length > config.ContextLength)
        {
            throw new ArgumentException($"The sequences have {length} tokens; this Lorsa takes at most {config.ContextLength}.");
        }

        this.config = config;
        (Batch, Length, Tokens) = (batch, length, batch * length);
        (d, n, groups, e, r) = (config.ModelWidth, config.Heads, config.QkHeads, config.QkWidth, config.GroupSize);
        rotary = new RotaryTable(config, length);
        w = rotary.Width;
        var qk = checked(groups * Tokens * w);
        Queries = new float[qk];
        Keys = new float[qk];
        var raw = config.QkNorm ? groups * Tokens * e : 0;
        rawQueries = new float[raw];
        rawKeys = new float[raw];
        Patterns = new float[checked(groups * Tokens * length)];
        Values = new float[checked(n * Tokens)];
        PreActivations = new float[checked(n * Tokens)];
        Reconstruction = new float[Tokens * d];
        outputGradient = new float[Tokens * d];
        tokenLoss = new double[Tokens];
        Entries = new HeadEntries(Tokens, n);
    }

    public int Batch { get; }

    public int Length { get; }

    /// <summary>N = B T.</summary>
    public int Tokens { get; }

    /// <summary>Rotated queries, [G, N, width].</summary>
    public float[] Queries { get; }

    /// <summary>Rotated keys, [G, N, width].</summary>
    public float[] Keys { get; }

    /// <summary>P, [G, B, T, T]; zero above the diagonal.</summary>
    public float[] Patterns { get; }

    /// <summary>v transposed, [n, N].</summary>
    public float[] Values { get; }

    /// <summary>z, [N, n].</summary>
    public float[] PreActivations { get; }

    /// <summary>The output, [N, d].</summary>
    public float[] Reconstruction { get; }

    /// <summary>|w_O|, [n].</summary>
    public float[] OutputNorms { get; private set; } = [];

    /// <summary>The active heads.</summary>
    public HeadEntries Entries { get; }

    /// <summary>Attention patterns and z.</summary>
    /// <param name="p">The parameters.</param>
    /// <param name="x">The input, [N, d].</param>
    public void Attend(LorsaParameters p, float[] x)
    {
        RequireTokens(x, nameof(x));
        OutputNorms = p.OutputNorms(d);
        MatrixProduct.Multiply(
            new(p.ValueWeight, n, d), new ReadOnlyMatrix(x, Tokens, d).Transpose(), new(Values, n, Tokens));
        Parallelism.For(groups, g => AttendGroup(g, p, x));
    }

    /// <summary>Takes over a change of W_O after <see cref="Attend"/>, which depends on everything else.</summary>
    public void Rescale(LorsaParameters p) => OutputNorms = p.OutputNorms(d);

    /// <summary>Chooses the active heads of every token.</summary>
    /// <param name="p">The parameters.</param>
    /// <param name="k">How many heads per token, where the activation has such a number.</param>
    /// <param name="forGradient">Whether silent heads with a gradient (JumpReLU) are listed too, with value 0.</param>
    public void Sparsify(LorsaParameters p, int k, bool forGradient = false)
    {
        k = Math.Min(k, n);
        var sparse = config.Activation is LorsaActivation.TopK or LorsaActivation.TopKMagnitude;
        Entries.Reset(sparse ? k : n);
        if (config.Activation == LorsaActivation.BatchTopK)
        {
            SparsifyBatch(k);
            return;
        }

        var thresholds = Array.ConvertAll(p.LogThreshold, MathF.Exp);
        Parallelism.For(Tokens, t =>
        {
            var z = PreActivations.AsSpan(t * n, n);
            var heads = Entries.Head.AsSpan(t * Entries.Capacity, Entries.Capacity);
            int count;
            if (sparse)
            {
                var u = ArrayPool<float>.Shared.Rent(n);
                Score(z, u.AsSpan(0, n));
                count = LargestPositive(u.AsSpan(0, n), heads[..k]);
                ArrayPool<float>.Shared.Return(u);
            }
            else
            {
                count = 0;
                for (var i = 0; i < n; i++)
                {
                    var listed = config.Activation switch
                    {
                        LorsaActivation.Relu => z[i] > 0,
                        LorsaActivation.JumpRelu => forGradient || z[i] * ScoreFactor(i) > thresholds[i],
                        _ => true,
                    };
                    if (listed)
                    {
                        heads[count++] = i;
                    }
                }
            }

            SetValues(t, count, thresholds);
        });
    }

    /// <summary>The output from the active heads.</summary>
    public void Decode(LorsaParameters p) => Parallelism.For(Tokens, t => DecodeToken(p, t));

    private void AttendGroup(int g, LorsaParameters p, float[] x)
    {
        Project(g, p.QueryWeight, p.QueryBias, p.QueryGain, x, rawQueries, Queries);
        Project(g, p.KeyWeight, p.KeyBias, p.KeyGain, x, rawKeys, Keys);
        for (var i = g * r; i < (g + 1) * r; i++)
        {
            var v = Values.AsSpan(i * Tokens, Tokens);
            TensorPrimitives.Add(v, p.ValueBias[i], v);
        }

        var scale = (float)(1 / config.Scale);
        for (var b = 0; b < Batch; b++)
        {
            var keys = new ReadOnlyMatrix(Keys.AsSpan(((g * Tokens) + (b * Length)) * w), Length, w);
            var values = new ReadOnlyMatrix(Values.AsSpan((g * r * Tokens) + (b * Length)), r, Length, Tokens);
            for (var first = 0; first < Length; first += Block)
            {
                var end = Math.Min(first + Block, Length);
                var rows = end - first;
                var queries = new ReadOnlyMatrix(Queries.AsSpan(((g * Tokens) + (b * Length) + first) * w), rows, w);
                var pattern = new Matrix(Patterns.AsSpan(PatternRow(g, b, first)), rows, end, Length);
                MatrixProduct.Multiply(queries, keys.SliceRows(0, end).Transpose(), pattern);
                for (var t = first; t < end; t++)
                {
                    var row = pattern.Row(t - first);
                    Softmax(row[..(t + 1)], scale);
                    row[(t + 1)..].Clear();
                }

                var z = new Matrix(PreActivations.AsSpan((((b * Length) + first) * n) + (g * r)), rows, r, n);
                MatrixProduct.Multiply(pattern, values.SliceColumns(0, end).Transpose(), z);
            }
        }
    }

    private void Project(int g, float[] weight, float[] bias, float[] gain, float[] x, float[] raw, float[] rotated)
    {
        var plain = config.QkNorm ? raw.AsSpan(g * Tokens * e, Tokens * e) : new float[Tokens * e];
        MatrixProduct.Multiply(new(x, Tokens, d), new(weight.AsSpan(g * d * e, d * e), d, e), new(plain, Tokens, e));
        Span<float> normed = new float[e];
        for (var t = 0; t < Tokens; t++)
        {
            var row = plain.Slice(t * e, e);
            TensorPrimitives.Add(row, bias.AsSpan(g * e, e), row);
            if (config.QkNorm)
            {
                TensorPrimitives.Multiply(row, InverseRootMeanSquare(row), normed);
                TensorPrimitives.Multiply(normed, gain.AsSpan(g * e, e), normed);
                row = normed;
            }

            rotary.Rotate(row, t % Length, rotated.AsSpan(((g * Tokens) + t) * w, w));
        }
    }

    private void SparsifyBatch(int k)
    {
        scores = scores.Length == 0 ? new float[Tokens * n] : scores;
        Parallelism.For(Tokens, t => Score(PreActivations.AsSpan(t * n, n), scores.AsSpan(t * n, n)));
        var wanted = (int)Math.Min((long)k * Tokens, scores.Length);
        var chosen = new int[wanted];
        var count = LargestPositive(scores, chosen);
        foreach (var index in chosen.AsSpan(0, count))
        {
            var t = index / n;
            Entries.Head[(t * Entries.Capacity) + Entries.Count[t]++] = index % n;
        }

        for (var t = 0; t < Tokens; t++)
        {
            SetValues(t, Entries.Count[t], []);
        }
    }

    private void SetValues(int t, int count, float[] thresholds)
    {
        Entries.Count[t] = count;
        Entries.MainCount[t] = count;
        for (var j = t * Entries.Capacity; j < (t * Entries.Capacity) + count; j++)
        {
            var i = Entries.Head[j];
            var z = PreActivations[(t * n) + i];
            Entries.Value[j] = thresholds.Length == 0 || z * ScoreFactor(i) > thresholds[i] ? z : 0;
        }
    }

    private float ScoreFactor(int head) => config.ScoreByOutputNorm ? OutputNorms[head] : 1;

    private void Score(ReadOnlySpan<float> z, Span<float> destination)
    {
        if (config.ScoreByOutputNorm)
        {
            TensorPrimitives.Multiply(z, OutputNorms, destination);
        }
        else
        {
            z.CopyTo(destination);
        }

        if (config.Activation == LorsaActivation.TopKMagnitude)
        {
            TensorPrimitives.Abs(destination, destination);
        }
    }

    private void DecodeToken(LorsaParameters p, int t)
    {
        var row = Reconstruction.AsSpan(t * d, d);
        if (p.OutputBias.Length == 0)
        {
            row.Clear();
        }
        else
        {
            p.OutputBias.CopyTo(row);
        }

        var first = t * Entries.Capacity;
        for (var j = first; j < first + Entries.MainCount[t]; j++)
        {
            if (Entries.Value[j] != 0)
            {
                AddScaled(p.OutputWeight.AsSpan(Entries.Head[j] * d, d), Entries.Value[j], row);
            }
        }
    }

    private float InverseRootMeanSquare(ReadOnlySpan<float> q) => (float)(1 / Math.Sqrt((DoubleSums.SumOfSquares(q) / e) + config.QkNormEpsilon));

    private int PatternRow(int g, int b, int t) => ((((g * Batch) + b) * Length) + t) * Length;

    private void RequireTokens(float[] values, string name)
    {
        if (values.Length != Tokens * d)
        {
            throw new ArgumentException($"{name} has {values.Length} numbers; expected {Batch} × {Length} × {d} = {Tokens * d}.");
        }
    }

    private static void Softmax(Span<float> row, float scale)
    {
        TensorPrimitives.Subtract(row, TensorPrimitives.Max<float>(row), row);
        TensorPrimitives.Multiply(row, scale, row);
        TensorPrimitives.Exp<float>(row, row);
        TensorPrimitives.Multiply(row, 1 / TensorPrimitives.Sum<float>(row), row);
    }

    /// <summary>The largest positive scores, as many as there is room for; their indices in ascending order.</summary>
    private static int LargestPositive(ReadOnlySpan<float> scores, Span<int> indices)
    {
        TopK.Of(scores, indices);
        var count = indices.Length;
        while (count > 0 && !(scores[indices[count - 1]] > 0))
        {
            count--;
        }

        indices[..count].Sort();
        return count;
    }

    private static void AddScaled(ReadOnlySpan<float> row, float factor, Span<float> destination) =>
        TensorPrimitives.MultiplyAdd(row, factor, destination, destination);
}
