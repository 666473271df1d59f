using System.Numerics;
using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// The loss and gradient of a training step with k active heads a token, on the CPU: torch's dense products, and between them loops over the
/// active heads alone. Equal to <see cref="LorsaStepper.ByDefinition"/>, in less than half the time.
/// </summary>
/// <remarks>
/// Only finding the active heads needs all z. After that everything follows the few entries (token t, head i) with a gradient dz: the output
/// and dL/da are k rows of W_O for a token; dL/dP row t is the sum of dz times v_i; and because <c>dL/dw_V_i = sum_t dz (P_g x)_t</c>, the
/// gradient of W_V needs P_g x once for a QK head and then k rows for a token. torch leads dL/dP back to queries and keys.
/// No sum depends on the number of threads: each is done by one of them, in order.
/// </remarks>
internal sealed class LorsaSparsePass(Lorsa lorsa)
{
    // Rows of causal products at once: of a block the part above the diagonal is wasted. Tokens and heads that a thread takes at once.
    private const int Block = 64, TokensAtOnce = 8, HeadsAtOnce = 32;

    private readonly int d = lorsa.Config.ModelWidth, n = lorsa.Config.Heads, groups = lorsa.Config.QkHeads, r = lorsa.Config.GroupSize;

    /// <summary>Whether this pass does what is asked, and sooner: P_g x pays for groups that are not small beside the sequences.</summary>
    public bool Suits(Tensor x) => lorsa.Config.Activation == LorsaActivation.TopK && 2L * r > x.shape[1]
        && x.device_type == DeviceType.CPU && x.dtype == float32 && lorsa.Weight("W_V").dtype == float32;

    /// <summary>Computes the loss and adds its gradient to the parameters' <c>grad</c>.</summary>
    public (LorsaLoss Loss, double SquaredError, long[] Uses) Gradient(Tensor x, Tensor y, Tensor mask, int k, bool meanOverWidth)
    {
        using var scope = NewDisposeScope();
        var (length, tokens, entries) = ((int)x.shape[1], (int)(x.shape[0] * x.shape[1]), new Entries((int)(x.shape[0] * x.shape[1]), Math.Min(k, n)));
        (x, y) = (x.contiguous(), y.contiguous());
        var patterns = lorsa.Patterns(x);
        using var constant = no_grad();
        var p = patterns.detach();
        var v = lorsa.Weight("b_V").unsqueeze(1).addmm(lorsa.Weight("W_V"), x.view(tokens, d).t(), 1, 1);
        Tensor[] z = [.. Blocks((pattern, b, end) => pattern.bmm(v.view(groups, r, -1, length).select(2, b).narrow(2, 0, end).transpose(1, 2)))];
        var (dp, dy, counted) = (zeros_like(p), zeros_like(y), Math.Max(1, mask.to(float64).sum().item<double>()));
        var weights = mask.to(float32).mul(tensor((float)(2 / (counted * (meanOverWidth ? d : 1))))).contiguous();
        var norms = lorsa.Config.ScoreByOutputNorm ? lorsa.OutputNorms() : ones(n);
        var bias = lorsa.Config.HasOutputBias ? lorsa.Weight("b_D") : zeros(d);
        Parallelism.For((tokens + TokensAtOnce - 1) / TokensAtOnce, c => Forward(c * TokensAtOnce, Math.Min(tokens, (c + 1) * TokensAtOnce)));

        Tensor[] contexts = [.. Blocks((pattern, b, end) => pattern.reshape(-1, end).mm(x[b].narrow(0, 0, end)))];
        entries.SortByHead(n);
        Parallelism.For((n + HeadsAtOnce - 1) / HeadsAtOnce, c => Backward(c * HeadsAtOnce, Math.Min(n, (c + 1) * HeadsAtOnce)));
        if (lorsa.Config.HasOutputBias)
        {
            lorsa.Weight("b_D").grad!.add_(dy.sum([0L, 1L]), Scalars.One);
        }

        patterns.backward([dp]);
        var squared = entries.SquaredError.Sum();
        return (new(squared / (counted * (meanOverWidth ? d : 1))), squared, [.. Enumerable.Range(0, n).Select(i => (long)(entries.Start[i + 1] - entries.Start[i]))]);

        // A product of the patterns of each sequence, [G, rows, end], block by block.
        IEnumerable<Tensor> Blocks(Func<Tensor, int, int, Tensor> product)
        {
            for (var b = 0; b < x.shape[0]; b++)
            {
                for (var first = 0; first < length; first += Block)
                {
                    var end = Math.Min(first + Block, length);
                    yield return product(p[b].narrow(1, first, end - first).narrow(2, 0, end), b, end);
                }
            }
        }

        // The row of a token in a block's product, which has [G, rows] of them.
        (int Block, int Row) Place(int t, int g)
        {
            var (b, at) = (t / length, t % length);
            var (block, first) = ((b * ((length + Block - 1) / Block)) + (at / Block), at / Block * Block);
            return (block, (g * Math.Min(Block, length - first)) + at - first);
        }

        void Forward(int first, int end)
        {
            Span<float> write = Numbers("W_O"), values = v.Memory<float>(), norm = norms.Memory<float>(), weight = weights.Memory<float>();
            Span<float> target = y.Memory<float>(), errors = dy.Memory<float>(), start = bias.Memory<float>(), patternGradient = dp.Memory<float>();
            var scores = new float[n];
            for (var t = first; t < end; t++)
            {
                if (weight[t] == 0)
                {
                    continue;
                }

                var zs = z[Place(t, 0).Block].Memory<float>();
                for (var g = 0; g < groups; g++)
                {
                    Span<float> row = zs.Slice(Place(t, g).Row * r, r), size = norm.Slice(g * r, r), score = scores.AsSpan(g * r, r);
                    for (var i = 0; i < r; i++)
                    {
                        score[i] = row[i] * size[i];
                    }
                }

                var chosen = entries.Choose(t, scores);
                var error = errors.Slice(t * d, d);
                start.CopyTo(error);
                foreach (ref var entry in chosen)
                {
                    entry.Value = zs[(Place(t, entry.Head / r).Row * r) + (entry.Head % r)];
                    AddScaled(write.Slice(entry.Head * d, d), entry.Value, error);
                }

                AddScaled(target.Slice(t * d, d), -1, error);
                for (var i = 0; i < d; i++)
                {
                    entries.SquaredError[t] += (double)error[i] * error[i];
                    error[i] *= weight[t];
                }

                foreach (ref var entry in chosen)
                {
                    var (i, seen) = (entry.Head, (t % length) + 1);
                    entry.Gradient = Dot(error, write.Slice(i * d, d));
                    AddScaled(
                        values.Slice((i * tokens) + t + 1 - seen, seen), entry.Gradient,
                        patternGradient.Slice(((((t / length * groups) + (i / r)) * length) + seen - 1) * length, seen));
                }
            }
        }

        void Backward(int first, int end)
        {
            Span<float> write = Numbers("W_O", ofGradient: true), read = Numbers("W_V", ofGradient: true), readBias = Numbers("b_V", ofGradient: true);
            Span<float> errors = dy.Memory<float>();
            var (next, sums) = (entries.Start[first..end], new double[end - first]);
            write[(first * d)..(end * d)].Clear();
            read[(first * d)..(end * d)].Clear();
            for (var block = 0; block < contexts.Length; block++)
            {
                var context = contexts[block].Memory<float>();
                for (var i = first; i < end; i++)
                {
                    for (ref var at = ref next[i - first]; at < entries.Start[i + 1]; at++)
                    {
                        var (t, entry) = entries.Sorted(at);
                        var place = Place(t, i / r);
                        if (place.Block != block)
                        {
                            break;
                        }

                        AddScaled(errors.Slice(t * d, d), entry.Value, write.Slice(i * d, d));
                        AddScaled(context.Slice(place.Row * d, d), entry.Gradient, read.Slice(i * d, d));
                        sums[i - first] += entry.Gradient;
                    }
                }
            }

            for (var i = first; i < end; i++)
            {
                readBias[i] = (float)sums[i - first];
            }
        }

        Span<float> Numbers(string name, bool ofGradient = false) => (ofGradient ? lorsa.Weight(name).grad! : lorsa.Weight(name)).Memory<float>();
    }

    private static void AddScaled(ReadOnlySpan<float> row, float factor, Span<float> destination)
    {
        var i = 0;
        for (; i <= row.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.MultiplyAddEstimate(new(row[i..]), new(factor), new Vector<float>(destination[i..])).CopyTo(destination[i..]);
        }

        for (; i < row.Length; i++)
        {
            destination[i] += row[i] * factor;
        }
    }

    private static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        var (sum, i) = (Vector<float>.Zero, 0);
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            sum = Vector.MultiplyAddEstimate(new(x[i..]), new(y[i..]), sum);
        }

        var total = Vector.Sum(sum);
        for (; i < x.Length; i++)
        {
            total += x[i] * y[i];
        }

        return total;
    }

    /// <summary>An active head at a token.</summary>
    private struct Entry
    {
        public int Head;
        public float Value, Gradient;
    }

    /// <summary>The active heads of all tokens, at most k of each, and the same listed by head.</summary>
    private sealed class Entries(int tokens, int k)
    {
        private readonly Entry[] all = new Entry[tokens * k];
        private readonly int[] count = new int[tokens];
        private int[] sorted = [];

        /// <summary>|ŷ - y|² of each token that counts.</summary>
        public double[] SquaredError { get; } = new double[tokens];

        /// <summary>Where a head's entries begin among the sorted ones, [n + 1].</summary>
        public int[] Start { get; private set; } = [];

        /// <summary>The heads with the largest positive scores, in order; of equal ones the first.</summary>
        public Span<Entry> Choose(int t, ReadOnlySpan<float> scores)
        {
            Span<int> largest = new int[k];
            TopK.Of(scores, largest);
            while (largest.Length > 0 && !(scores[largest[^1]] > 0))
            {
                largest = largest[..^1];
            }

            largest.Sort();
            count[t] = largest.Length;
            for (var j = 0; j < largest.Length; j++)
            {
                all[(t * k) + j].Head = largest[j];
            }

            return all.AsSpan(t * k, largest.Length);
        }

        /// <summary>Lists the entries by head, those of a head in order of tokens.</summary>
        public void SortByHead(int heads)
        {
            var next = new int[heads + 1];
            foreach (var at in Every())
            {
                next[all[at].Head + 1]++;
            }

            for (var i = 0; i < heads; i++)
            {
                next[i + 1] += next[i];
            }

            (Start, sorted) = ([.. next], new int[next[heads]]);
            foreach (var at in Every())
            {
                sorted[next[all[at].Head]++] = at;
            }
        }

        /// <summary>An entry of the list by head, and its token.</summary>
        public (int Token, Entry Entry) Sorted(int at) => (sorted[at] / k, all[sorted[at]]);

        private IEnumerable<int> Every() => Enumerable.Range(0, tokens).SelectMany(t => Enumerable.Range(t * k, count[t]));
    }
}
