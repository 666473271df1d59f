using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>Where a training starts.</summary>
public enum LorsaInitialization
{
    /// <summary>
    /// From the layer's own heads: their queries and keys, and values and outputs inside the subspace each of them uses. The default
    /// where there is a model.
    /// </summary>
    FromAttention,

    /// <summary>At random, with the distributions of OpenMOSS's Language-Model-SAEs.</summary>
    Random,

    /// <summary>At random, with the distributions of the first published implementation.</summary>
    RandomFirstCode,
}

/// <summary>Sets the parameters before the first step.</summary>
internal static class LorsaInitializer
{
    /// <summary>Random parameters; biases are 0, gains 1.</summary>
    /// <param name="p">Takes the numbers.</param>
    /// <param name="config">The shape.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="firstCode">Whether the distributions are those of the first published implementation.</param>
    /// <param name="threshold">The JumpReLU threshold.</param>
    public static void Randomize(LorsaParameters p, LorsaConfig config, int seed, bool firstCode, double threshold)
    {
        double d = config.ModelWidth, g = config.QkHeads, e = config.QkWidth, n = config.Heads;
        var random = new Random(seed);
        if (firstCode)
        {
            Normal(p.QueryWeight, Math.Sqrt(2 / (d * e)));
            Normal(p.KeyWeight, Math.Sqrt(2 / (d * e)));
            Normal(p.ValueWeight, Math.Sqrt(2 / d));
            Normal(p.OutputWeight, Math.Sqrt(2 / d));
        }
        else
        {
            var bound = Math.Sqrt(6 / ((d + g) * e));
            Uniform(p.QueryWeight, bound);
            Uniform(p.KeyWeight, bound);
            Normal(p.ValueWeight, 1 / Math.Sqrt(n));
            Normal(p.OutputWeight, 1 / Math.Sqrt(d));
        }

        p.QueryGain.AsSpan().Fill(1);
        p.KeyGain.AsSpan().Fill(1);
        p.LogThreshold.AsSpan().Fill((float)Math.Log(threshold));

        void Uniform(float[] values, double bound)
        {
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = (float)(((random.NextDouble() * 2) - 1) * bound);
            }
        }

        void Normal(float[] values, double deviation)
        {
            for (var i = 0; i < values.Length; i++)
            {
                var (u, v) = (1 - random.NextDouble(), random.NextDouble());
                values[i] = (float)(deviation * Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v));
            }
        }
    }

    /// <summary>
    /// Queries and keys of the model, neighbouring QK heads sharing one of its heads: <c>W_Q[j] = W_Q^model[j H / G] / c</c>.
    /// </summary>
    /// <param name="p">Takes the numbers.</param>
    /// <param name="config">The shape.</param>
    /// <param name="original">The model's heads.</param>
    /// <param name="inputScale">c, by which inputs are multiplied before they reach the Lorsa.</param>
    /// <param name="withBiases">Whether the model's biases are taken over too.</param>
    /// <param name="tiled">Whether the heads repeat as 0, 1, 2, 0, 1, 2 (first published implementation) instead of 0, 0, 1, 1, 2, 2.</param>
    public static void CopyQueriesAndKeys(
        LorsaParameters p, LorsaConfig config, OriginalAttention original, double inputScale, bool withBiases, bool tiled = false)
    {
        if (config.QkHeads % original.Heads != 0 || config.QkWidth != original.HeadWidth)
        {
            throw new ArgumentException(
                $"{config.QkHeads} QK heads of width {config.QkWidth} cannot begin as copies of the layer's {original.Heads} heads of width "
                + $"{original.HeadWidth}: expected a multiple of {original.Heads} and the same width, or a random start.");
        }

        var block = config.ModelWidth * config.QkWidth;
        for (var g = 0; g < config.QkHeads; g++)
        {
            var h = tiled ? g % original.Heads : g * original.Heads / config.QkHeads;
            TensorPrimitives.Multiply(original.Query.AsSpan(h * block, block), (float)(1 / inputScale), p.QueryWeight.AsSpan(g * block, block));
            TensorPrimitives.Multiply(original.Key.AsSpan(h * block, block), (float)(1 / inputScale), p.KeyWeight.AsSpan(g * block, block));
            if (withBiases)
            {
                original.QueryBias.AsSpan(h * config.QkWidth, config.QkWidth).CopyTo(p.QueryBias.AsSpan(g * config.QkWidth));
                original.KeyBias.AsSpan(h * config.QkWidth, config.QkWidth).CopyTo(p.KeyBias.AsSpan(g * config.QkWidth));
            }
        }
    }

    /// <summary>
    /// An orthonormal basis of the directions a head of the model reads from these inputs: the left singular vectors of
    /// <c>(x W_V W_V^T)^T</c> after its mean over tokens is taken out, strongest first, [d, d_head].
    /// </summary>
    public static float[] ActiveSubspace(float[] x, int d, OriginalAttention original, int head)
    {
        // The matrix is W_V v^T with the centred values v: a thin QR of both factors leaves a small core.
        var (tokens, e) = (x.Length / d, original.HeadWidth);
        var v = new float[tokens * e];
        MatrixProduct.Multiply(new(x, tokens, d), original.ValueOf(head, d), new(v, tokens, e));
        for (var c = 0; c < e; c++)
        {
            var mean = 0.0;
            for (var t = 0; t < tokens; t++)
            {
                mean += v[(t * e) + c] / (double)tokens;
            }

            for (var t = 0; t < tokens; t++)
            {
                v[(t * e) + c] -= (float)mean;
            }
        }

        var weight = ThinQr.Of(original.ValueOf(head, d));
        var gram = new double[e * e];
        for (var t = 0; t < tokens; t++)
        {
            for (var i = 0; i < e; i++)
            {
                for (var j = 0; j < e; j++)
                {
                    gram[(i * e) + j] += (double)v[(t * e) + i] * v[(t * e) + j];
                }
            }
        }

        // With W_V = Q R the wanted vectors are Q U of R (v^T v) R^T.
        var r = weight.R;
        var core = new double[e * e];
        var half = new double[e * e];
        for (var i = 0; i < e; i++)
        {
            for (var j = 0; j < e; j++)
            {
                for (var m = 0; m < e; m++)
                {
                    half[(i * e) + j] += r[i, m] * gram[(m * e) + j];
                }
            }
        }

        for (var i = 0; i < e; i++)
        {
            for (var j = 0; j < e; j++)
            {
                for (var m = 0; m < e; m++)
                {
                    core[(i * e) + j] += half[(i * e) + m] * r[j, m];
                }
            }
        }

        var u = SmallSvd.Of(core, e, e).U;
        var basis = new float[d * e];
        for (var row = 0; row < d; row++)
        {
            for (var column = 0; column < e; column++)
            {
                var sum = 0.0;
                for (var m = 0; m < e; m++)
                {
                    sum += weight.QTransposed[m, row] * u[m, column];
                }

                basis[(row * e) + column] = (float)sum;
            }
        }

        return basis;
    }

    /// <summary>
    /// Draws W_V of the OV heads from the subspace of the model head whose pattern they share, and W_O as what that head writes for them:
    /// <c>w_V = r U^T</c>, <c>w_O = w_V W_V^h W_O^h</c>, both of length 1. The random coefficients r are what W_V holds before.
    /// </summary>
    /// <param name="p">The parameters; W_V and W_O change.</param>
    /// <param name="config">The shape.</param>
    /// <param name="original">The model's heads.</param>
    /// <param name="subspaces">U of every head of the model, [d, d_head] each.</param>
    public static void UseSubspaces(LorsaParameters p, LorsaConfig config, OriginalAttention original, IReadOnlyList<float[]> subspaces)
    {
        var (d, e, rows) = (config.ModelWidth, original.HeadWidth, config.Heads / original.Heads);
        for (var h = 0; h < original.Heads; h++)
        {
            var coefficients = new float[rows * e];
            for (var i = 0; i < rows; i++)
            {
                p.ValueWeight.AsSpan(((h * rows) + i) * d, e).CopyTo(coefficients.AsSpan(i * e));
            }

            var read = new Matrix(p.ValueWeight.AsSpan(h * rows * d, rows * d), rows, d);
            var write = new Matrix(p.OutputWeight.AsSpan(h * rows * d, rows * d), rows, d);
            MatrixProduct.Multiply(new(coefficients, rows, e), new ReadOnlyMatrix(subspaces[h], d, e).Transpose(), read);
            var inside = new float[rows * e];
            MatrixProduct.Multiply(read, original.ValueOf(h, d), new(inside, rows, e));
            MatrixProduct.Multiply(new(inside, rows, e), original.OutputOf(h, d), write);
            for (var i = 0; i < rows; i++)
            {
                ToUnitNorm(read.Row(i));
                ToUnitNorm(write.Row(i));
            }
        }
    }

    /// <summary>b_D = the mean of y over the tokens that count.</summary>
    public static void CenterOutput(LorsaParameters p, float[] y, float[] mask)
    {
        if (p.OutputBias.Length == 0)
        {
            return;
        }

        var (d, counted) = (p.OutputBias.Length, mask.Sum(m => (double)m));
        var mean = new double[d];
        for (var t = 0; t < mask.Length; t++)
        {
            for (var c = 0; c < d; c++)
            {
                mean[c] += mask[t] * y[(t * d) + c] / counted;
            }
        }

        TensorPrimitives.ConvertTruncating<double, float>(mean, p.OutputBias);
    }

    /// <summary>
    /// Scales W_O as a whole so that its mean norm is the one of a grid (0.1, 0.2 … 5.0, then steps of 0.01 around the best) with the
    /// smallest loss on a batch.
    /// </summary>
    /// <returns>The mean norms tried, in order, with their losses.</returns>
    public static List<(double Norm, double Loss)> FitOutputNorm(
        LorsaParameters p, LorsaConfig config, float[] x, float[] y, float[] mask, int sequences)
    {
        var pass = new LorsaPass(config, sequences, mask.Length / sequences);
        pass.Attend(p, x);
        var start = p.OutputWeight.ToArray();
        var startNorms = pass.OutputNorms;
        var mean = startNorms.Average();
        var tried = new List<(double Norm, double Loss)>();
        var best = Best(Enumerable.Range(1, 50).Select(i => i / 10.0));
        best = Best(Enumerable.Range(-9, 20).Select(i => best + (i / 100.0)).Where(norm => norm > 0.005).ToList());
        Scale(best);
        return tried;

        double Best(IEnumerable<double> norms)
        {
            foreach (var norm in norms)
            {
                Scale(norm);
                pass.Rescale(p);
                pass.Sparsify(p, config.TopK);
                tried.Add((norm, pass.Loss(p, x, y, mask, new(), 0, null, null).Total));
            }

            return tried.MinBy(pair => pair.Loss).Norm;
        }

        void Scale(double norm) => TensorPrimitives.Multiply(start, (float)(norm / mean), p.OutputWeight);
    }

    /// <summary>
    /// Scales W_V and b_V so that the output deviates from its bias as much as y does, on a batch: the start of the first published
    /// implementation, which does the same to queries and keys that do not come from the model.
    /// </summary>
    public static void ScaleToOutput(
        LorsaParameters p, LorsaConfig config, float[] x, float[] y, float[] mask, int sequences, bool withQueriesAndKeys)
    {
        var d = config.ModelWidth;
        var pass = new LorsaPass(config, sequences, mask.Length / sequences);
        pass.Attend(p, x);
        pass.Sparsify(p, config.TopK);
        pass.Decode(p);
        var bias = p.OutputBias.Length == 0 ? new float[d] : p.OutputBias;
        double wanted = 0, found = 0;
        for (var t = 0; t < mask.Length; t++)
        {
            wanted += mask[t] * Math.Sqrt(DoubleSums.SumOfSquaredDifferences(y.AsSpan(t * d, d), bias));
            found += mask[t] * Math.Sqrt(DoubleSums.SumOfSquaredDifferences(pass.Reconstruction.AsSpan(t * d, d), bias));
        }

        float[][] scaled = withQueriesAndKeys
            ? [p.ValueWeight, p.ValueBias, p.QueryWeight, p.QueryBias, p.KeyWeight, p.KeyBias]
            : [p.ValueWeight, p.ValueBias];
        foreach (var values in scaled)
        {
            TensorPrimitives.Multiply(values, (float)(wanted / found), values);
        }
    }

    private static void ToUnitNorm(Span<float> row)
    {
        var norm = TensorPrimitives.Norm<float>(row);
        if (norm > 0)
        {
            TensorPrimitives.Divide(row, norm, row);
        }
    }
}
