using System.Numerics;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>
/// The loss and gradient of a training step with k active heads at a token, on the CPU: torch's products, and between them loops over the
/// active heads alone, each of whose sums one thread makes in order. Equal to <see cref="LorsaStepper.ByDefinition"/>, in less than half the time.
/// Only finding the active heads needs all z. After that everything follows the few entries (token t, head i) with a gradient dz: the output
/// and dL/da are k rows of W_O for a token; dL/dP row t is the sum of dz times v_i; and because <c>dL/dw_V_i = sum_t dz (P_g x)_t</c>, the
/// gradient of W_V needs P_g x once for a QK head and then k rows for a token. torch leads dL/dP back to queries and keys.
/// </summary>
internal static class LorsaSparsePass
{
    // Rows of causal products at once: of a block the part above the diagonal is wasted. Tokens or heads that a thread takes at once.
    private const int Block = 64, AtOnce = 8;

    /// <summary>Whether this pass does what is asked, and sooner: P_g x pays for groups that are not small beside the sequences.</summary>
    public static bool Suits(Lorsa lorsa, Tensor x) => lorsa.Config.Activation == LorsaActivation.TopK && 2L * lorsa.Config.GroupSize > x.shape[1]
        && x.device_type == DeviceType.CPU && x.dtype == float32 && lorsa.Weight("W_V").dtype == float32;

    /// <summary>Adds the gradient of the sum over tokens of |ŷ - y|² by their weights, [B, T]; gives |ŷ - y|² and how often each head was active.</summary>
    public static (double[] SquaredErrors, long[] Uses) Gradient(Lorsa lorsa, Tensor x, Tensor y, Tensor weights, int k)
    {
        using var scope = NewDisposeScope();
        int d = lorsa.Config.ModelWidth, n = lorsa.Config.Heads, groups = lorsa.Config.QkHeads, r = lorsa.Config.GroupSize;
        var (length, tokens) = ((int)x.shape[1], (int)(x.shape[0] * x.shape[1]));
        var patterns = lorsa.Patterns(x);
        using var constant = no_grad();
        var v = lorsa.Weight("b_V").unsqueeze(1).addmm(lorsa.Weight("W_V"), x.view(tokens, d).t(), 1, 1);
        var z = Causal(r, (pattern, b, end) => pattern.bmm(v.view(groups, r, -1, length).select(2, b).narrow(2, 0, end).transpose(1, 2)));
        var score = lorsa.Config.ScoreByOutputNorm ? z.mul(lorsa.OutputNorms().view(groups, r)) : z;
        var (dp, dy, bias) = (zeros_like(patterns), zeros_like(x), lorsa.Config.HasOutputBias ? lorsa.Weight("b_D") : null);

        // The entries of token t from t k on: a, dz, and what puts them into the order of heads, then of tokens.
        var (a, dz, order) = (new float[tokens * k], new float[tokens * k], new long[tokens * k]);
        var (squaredErrors, uses, weight) = (new double[tokens], new long[n], weights.Copied<float>());
        int[][] parts = [.. Enumerable.Range(0, tokens).Where(t => weight[t] != 0).Chunk(AtOnce)];
        Array.Fill(order, long.MaxValue);
        Parallelism.For(parts.Length, part =>
        {
            Span<float> write = lorsa.Weight("W_O").Memory<float>(), vs = v.Memory<float>(), zs = z.Memory<float>(), scores = score.Memory<float>();
            Span<float> target = y.Memory<float>(), errors = dy.Memory<float>(), slopes = dp.Memory<float>();
            Span<int> room = new int[Math.Min(k, n)];
            foreach (var t in parts[part])
            {
                Span<float> own = scores.Slice(t * n, n), error = errors.Slice(t * d, d);
                TopK.Of(own, room);
                var chosen = room;
                for (; !chosen.IsEmpty && !(own[chosen[^1]] > 0); chosen = chosen[..^1])
                {
                }

                chosen.Sort();
                bias?.Memory<float>().CopyTo(error);
                for (var j = 0; j < chosen.Length; j++)
                {
                    order[(t * k) + j] = ((long)chosen[j] * order.Length) + (t * k) + j;
                    a[(t * k) + j] = zs[(t * n) + chosen[j]];
                    AddScaled(write.Slice(chosen[j] * d, d), a[(t * k) + j], error);
                }

                for (var c = 0; c < d; c++)
                {
                    error[c] -= target[(t * d) + c];
                    squaredErrors[t] += (double)error[c] * error[c];
                    error[c] *= 2 * weight[t];
                }

                var (b, at) = Math.DivRem(t, length);
                for (var j = 0; j < chosen.Length; j++)
                {
                    dz[(t * k) + j] = Dot(error, write.Slice(chosen[j] * d, d));
                    var row = (((b * groups) + (chosen[j] / r)) * length) + at;
                    AddScaled(vs.Slice((chosen[j] * tokens) + t - at, at + 1), dz[(t * k) + j], slopes.Slice(row * length, at + 1));
                }
            }
        });

        var contexts = Causal(d, (pattern, b, end) => pattern.reshape(-1, end).mm(x[b].narrow(0, 0, end)));
        Array.Sort(order);

        // Asked for here: each is a new tensor, and the loop's other threads have no dispose scope.
        Tensor[] gradients = [.. new[] { "W_O", "W_V", "b_V" }.Select(name => lorsa.Weight(name).grad!)];
        Parallelism.For((n + AtOnce - 1) / AtOnce, part =>
        {
            Span<float> write = gradients[0].Memory<float>(), read = gradients[1].Memory<float>(), readBias = gradients[2].Memory<float>();
            Span<float> errors = dy.Memory<float>(), context = contexts.Memory<float>();
            var at = Array.BinarySearch(order, (long)part * AtOnce * order.Length);
            for (at = at < 0 ? ~at : at; at < order.Length && order[at] < (part + 1L) * AtOnce * order.Length; at++)
            {
                var (head, entry) = Math.DivRem(order[at], order.Length);
                var (i, t) = ((int)head, (int)entry / k);
                AddScaled(errors.Slice(t * d, d), a[entry], write.Slice(i * d, d));
                AddScaled(context.Slice(((t * groups) + (i / r)) * d, d), dz[entry], read.Slice(i * d, d));
                readBias[i] += dz[entry];
                uses[i]++;
            }
        });
        bias?.grad!.add_(dy.sum([0L, 1L]), Scalars.One);
        patterns.backward([dp]);
        return (squaredErrors, uses);

        // The patterns [G, rows, end] of each sequence times something, [B, T, G, width].
        Tensor Causal(int width, Func<Tensor, int, int, Tensor> product)
        {
            var result = empty(x.shape[0], length, groups, width, float32);
            for (var (b, first) = (0, 0); b < x.shape[0]; (b, first) = first + Block < length ? (b, first + Block) : (b + 1, 0))
            {
                using var inner = NewDisposeScope();
                var end = Math.Min(first + Block, length);
                var pattern = patterns[b].narrow(1, first, end - first).narrow(2, 0, end);
                result[b].narrow(0, first, end - first).copy_(product(pattern, b, end).view(groups, -1, width).transpose(0, 1));
            }

            return result;
        }
    }

    private static void AddScaled(ReadOnlySpan<float> row, float factor, Span<float> sum)
    {
        ReadOnlySpan<Vector<float>> rows = MemoryMarshal.Cast<float, Vector<float>>(row);
        var sums = MemoryMarshal.Cast<float, Vector<float>>(sum);
        for (var i = 0; i < rows.Length; i++)
        {
            sums[i] += rows[i] * factor;
        }

        for (var i = rows.Length * Vector<float>.Count; i < row.Length; i++)
        {
            sum[i] += row[i] * factor;
        }
    }

    private static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        ReadOnlySpan<Vector<float>> xs = MemoryMarshal.Cast<float, Vector<float>>(x), ys = MemoryMarshal.Cast<float, Vector<float>>(y);
        var sums = Vector<float>.Zero;
        for (var i = 0; i < xs.Length; i++)
        {
            sums += xs[i] * ys[i];
        }

        var sum = Vector.Sum(sums);
        for (var i = xs.Length * Vector<float>.Count; i < x.Length; i++)
        {
            sum += x[i] * y[i];
        }

        return sum;
    }
}
