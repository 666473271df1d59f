using System.Buffers;
using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>
/// Decides for many projections whether their target is among the k largest or the k smallest logits, without a list of logits:
/// <list type="number">
/// <item>A screen: the logits of some thousand tokens, spread over the vocabulary. Where k of them lie above the target and k below, it
/// is neither; that ends nearly all projections.</item>
/// <item>For the others all tokens are counted, block by block of the vocabulary, until k are above and k below.</item>
/// </list>
/// A target is in when fewer than k tokens are strictly above. Logits are fp32; those too close to the target's for fp32 to tell are
/// compared in fp64, so no decision depends on how the work was cut, and tokens with the target's own unembedding row are neither
/// above nor below it.
/// </summary>
internal sealed class TargetRanking
{
    private const int ScreenTokens = 1024;
    private const int BlockTokens = 512;
    private const int BlocksPerStep = 8;
    private const int PanelRows = 1024;

    private static readonly int[] ScreenEnds = [64, 256, ScreenTokens];

    private readonly VocabularyRows vocabulary;
    private readonly TargetQuestions questions;
    private readonly int[] screenTokens;
    private readonly float[] screen;
    private readonly float screenNorm;
    private readonly float rounding;

    /// <param name="vocabulary">The unembedding.</param>
    /// <param name="questions">What the projections are asked.</param>
    /// <exception cref="InvalidDataException">The unembedding of a token holds a NaN or an infinity.</exception>
    public TargetRanking(VocabularyRows vocabulary, TargetQuestions questions)
    {
        this.vocabulary = vocabulary;
        this.questions = questions;
        var count = Math.Min(ScreenTokens, vocabulary.Count);
        screenTokens = new int[count];
        for (var i = 0; i < count; i++)
        {
            screenTokens[i] = (int)((long)i * vocabulary.Count / count);
        }

        screen = vocabulary.Gather(screenTokens);
        screenNorm = LargestNorm(new(screen, count, vocabulary.Width), screenTokens);

        // Rounding of a sum of n products grows about as √n; four times that has never been seen.
        rounding = 4 * MathF.Sqrt(vocabulary.Width) * MathF.ScaleB(1, -24);
    }

    /// <summary>The k of a question.</summary>
    public int K(int question) => questions.K[question];

    /// <summary>Finds the targets' logits of the projections from <paramref name="first"/> on, whose id and question are set.</summary>
    /// <returns>The first projection whose logit is no number, or -1.</returns>
    public int Begin(ProjectionRows rows, int first)
    {
        for (var i = first; i < rows.Count; i++)
        {
            ref var item = ref rows.Items[i];
            var vector = rows.Vector(i);
            item.Logit = DoubleSums.Dot(vector, TargetRow(item.Question));
            item.Margin = rounding * TensorPrimitives.Norm(vector);
            item.Above = 0;
            item.Below = 0;
            if (!float.IsFinite(item.Margin) || !double.IsFinite(item.Logit))
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Drops the projections that a sample of the vocabulary decides: their target is neither among the largest nor the smallest.</summary>
    public void Screen(ProjectionRows rows)
    {
        var logits = ArrayPool<float>.Shared.Rent(ScreenTokens * Math.Min(PanelRows, Math.Max(1, rows.Count)));
        try
        {
            for (var (first, step) = (0, 0); first < screenTokens.Length && rows.Count > 0; step++)
            {
                var end = Math.Min(ScreenEnds[step], screenTokens.Length);
                var tokens = new ReadOnlyMatrix(screen, screenTokens.Length, vocabulary.Width).SliceRows(first, end - first);
                for (var row = 0; row < rows.Count; row += PanelRows)
                {
                    var count = Math.Min(PanelRows, rows.Count - row);
                    var panel = new Matrix(logits, count, end - first);
                    MatrixProduct.Multiply(rows.Vectors(row, count), tokens.Transpose(), panel);
                    for (var i = 0; i < count; i++)
                    {
                        ref var item = ref rows.Items[row + i];
                        var (above, below) = Compare(panel.Row(i), item, screenNorm, rows.Vector(row + i), tokens);
                        item.Above += above;
                        item.Below += below;
                    }
                }

                rows.Keep(IsOpen);
                first = end;
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(logits);
        }

        foreach (ref var item in rows.Items)
        {
            item.Above = 0;
            item.Below = 0;
        }
    }

    /// <summary>
    /// Counts the tokens above and below the targets, several blocks of the vocabulary at a time, and drops the projections whose target
    /// is found to be neither among the k largest nor the k smallest. What is left is among one of them: <see cref="Projection.Above"/>
    /// or <see cref="Projection.Below"/> is below k, and exact.
    /// </summary>
    /// <param name="rows">The projections; of those that stay, counts are set.</param>
    /// <param name="tokensDone">Is told how many tokens are counted; may be null.</param>
    /// <param name="cancellationToken">Stops between blocks.</param>
    /// <exception cref="InvalidDataException">The unembedding of a token holds a NaN or an infinity.</exception>
    public void Count(ProjectionRows rows, Action<int>? tokensDone, CancellationToken cancellationToken)
    {
        for (var first = 0; first < vocabulary.Count && rows.Count > 0; first += BlockTokens * BlocksPerStep)
        {
            var begin = first;
            var blocks = Math.Min(BlocksPerStep, (vocabulary.Count - first + BlockTokens - 1) / BlockTokens);
            var counts = new (int Above, int Below)[blocks * rows.Count];
            Parallelism.For(
                blocks,
                block =>
                {
                    var token = begin + (block * BlockTokens);
                    CountBlock(rows, token, Math.Min(BlockTokens, vocabulary.Count - token), counts.AsSpan(block * rows.Count, rows.Count));
                },
                cancellationToken);
            for (var i = 0; i < counts.Length; i++)
            {
                ref var item = ref rows.Items[i % rows.Count];
                item.Above += counts[i].Above;
                item.Below += counts[i].Below;
            }

            rows.Keep(IsOpen);
            tokensDone?.Invoke(Math.Min(vocabulary.Count, first + (BlockTokens * BlocksPerStep)));
        }
    }

    private void CountBlock(ProjectionRows rows, int token, int count, Span<(int Above, int Below)> counts)
    {
        var scratch = ArrayPool<float>.Shared.Rent(count * vocabulary.Width);
        var logits = ArrayPool<float>.Shared.Rent(count * Math.Min(PanelRows, rows.Count));
        try
        {
            var tokens = vocabulary.Rows(token, count, scratch);
            var norm = LargestNorm(tokens, token);
            for (var row = 0; row < rows.Count; row += PanelRows)
            {
                var panel = new Matrix(logits, Math.Min(PanelRows, rows.Count - row), count);
                MatrixProduct.Multiply(rows.Vectors(row, panel.Rows), tokens.Transpose(), panel);
                for (var i = 0; i < panel.Rows; i++)
                {
                    counts[row + i] = Compare(panel.Row(i), rows.Items[row + i], norm, rows.Vector(row + i), tokens);
                }
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(scratch);
            ArrayPool<float>.Shared.Return(logits);
        }
    }

    // How many of the logits lie above and below the target's.
    private (int Above, int Below) Compare(
        ReadOnlySpan<float> logits, Projection item, float norm, ReadOnlySpan<float> vector, ReadOnlyMatrix tokens)
    {
        var margin = (double)item.Margin * norm;
        float low = (float)(item.Logit - margin), high = (float)(item.Logit + margin);
        var (above, notBelow) = CountAbove(logits, low, high);
        var below = logits.Length - notBelow;
        if (above == notBelow)
        {
            return (above, below);
        }

        for (var i = 0; i < logits.Length; i++)
        {
            if (logits[i] < low || logits[i] > high)
            {
                continue;
            }

            var difference = DotDifference(vector, tokens.Row(i), TargetRow(item.Question));
            above += difference > 0 ? 1 : 0;
            below += difference < 0 ? 1 : 0;
        }

        return (above, below);
    }

    private static (int Above, int NotBelow) CountAbove(ReadOnlySpan<float> logits, float low, float high)
    {
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        Vector<int> above = Vector<int>.Zero, notBelow = Vector<int>.Zero;
        Vector<float> lows = new(low), highs = new(high);
        foreach (var vector in vectors)
        {
            above -= Vector.GreaterThan(vector, highs);
            notBelow -= Vector.GreaterThanOrEqual(vector, lows);
        }

        var (a, n) = (Vector.Sum(above), Vector.Sum(notBelow));
        foreach (var logit in logits[(vectors.Length * Vector<float>.Count)..])
        {
            a += logit > high ? 1 : 0;
            n += logit >= low ? 1 : 0;
        }

        return (a, n);
    }

    private bool IsOpen(Projection item)
    {
        var k = questions.K[item.Question];
        return item.Above < k || item.Below < k;
    }

    private ReadOnlySpan<float> TargetRow(int question) => questions.TargetRows.AsSpan(question * vocabulary.Width, vocabulary.Width);

    private static float LargestNorm(ReadOnlyMatrix tokens, ReadOnlySpan<int> ids)
    {
        var largest = 0f;
        for (var i = 0; i < tokens.Rows; i++)
        {
            largest = Math.Max(largest, FiniteNorm(tokens.Row(i), ids[i]));
        }

        return largest;
    }

    private static float LargestNorm(ReadOnlyMatrix tokens, int first)
    {
        var largest = 0f;
        for (var i = 0; i < tokens.Rows; i++)
        {
            largest = Math.Max(largest, FiniteNorm(tokens.Row(i), first + i));
        }

        return largest;
    }

    private static float FiniteNorm(ReadOnlySpan<float> row, int token)
    {
        var norm = TensorPrimitives.Norm(row);
        return float.IsFinite(norm)
            ? norm
            : throw new InvalidDataException($"The unembedding W_U of token {token} holds a NaN or an infinity: the weights are damaged.");
    }

    // x · (y - z), exactly 0 where y and z are the same.
    private static double DotDifference(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> z)
    {
        var sum = 0.0;
        for (var i = 0; i < x.Length; i++)
        {
            sum += x[i] * ((double)y[i] - z[i]);
        }

        return sum;
    }
}
