using System.Numerics;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>
/// Decides for many rows of the residual stream whether a target is among the k largest or the k smallest of their logits, without a list
/// of logits:
/// <list type="number">
/// <item>A screen: the logits of some thousand tokens, spread over the vocabulary. Where k of them lie above the target and k below, it
/// is neither; that ends nearly all rows.</item>
/// <item>For the others all tokens are counted, chunk by chunk of the vocabulary, until k are above and k are below.</item>
/// </list>
/// A target is in when fewer than k tokens are strictly above. Logits are fp32; those too close to the target's for fp32 to tell are
/// compared in fp64, so no decision depends on how the work was cut, and tokens with the target's own unembedding row are neither
/// above nor below it.
/// </summary>
internal sealed class TargetRanking
{
    private const long ChunkTokens = 2048;
    private const long RowsAtOnce = 2048;

    private static readonly long[] ScreenEnds = [64, 256, 1024];

    private readonly DisposeScope owner;
    private readonly Parameter unembedding;
    private readonly bool inMemory;
    private readonly Tensor k;
    private readonly Tensor questions;
    private readonly Tensor targets;
    private readonly Tensor targetNorms;
    private readonly Tensor screen;
    private readonly Tensor screenNorm;
    private readonly Tensor rounding;
    private readonly List<Rows> waiting = [];

    /// <summary>Asks, for each target and its k, whether it is among the k; rows of fp32 or fp64 wait in the owner's scope. Away from the
    /// CPU, or where it is to be plain, torch's operations alone count.</summary>
    /// <exception cref="InvalidDataException">The unembedding of a token holds a NaN or an infinity.</exception>
    public TargetRanking(DisposeScope owner, Parameter unembedding, long[] targets, long[] k, Device device, ScalarType type, bool plain = false)
    {
        (this.owner, this.unembedding) = (owner, unembedding);
        inMemory = !plain && device.type == DeviceType.CPU && type == ScalarType.Float32;
        var count = Math.Min(ScreenEnds[^1], unembedding.Shape[0]);
        long[] tokens = [.. Enumerable.Range(0, (int)count).Select(i => i * unembedding.Shape[0] / count)];
        (this.k, questions) = (tensor(k, device: device), tensor((long)k.Length, device: device));
        (this.targets, screen) = (unembedding.Pick(targets).to(type), unembedding.Pick(tokens).to(type));
        (targetNorms, screenNorm) = (Norms(this.targets, i => targets[i]), Norms(screen, i => tokens[i]).max());

        // Rounding of a sum of n products grows about as √n; four times that has never been seen.
        rounding = tensor(4 * Math.Sqrt(unembedding.Shape[1]) * Math.ScaleB(1, -24), type, device);
    }

    /// <summary>How many bytes of rows wait to be counted.</summary>
    public long WaitingBytes => waiting.Sum(rows => rows.Vectors.numel()) * sizeof(float);

    /// <summary>Takes rows, and keeps those that the screen leaves open.</summary>
    /// <param name="ids">What the caller knows each by, [row], int64: the remainder of its division by the number of questions is the
    /// question that the row is asked.</param>
    /// <param name="vectors">[row, d_model].</param>
    /// <returns>The first row that is not finite, or -1.</returns>
    public long Screen(Tensor ids, Tensor vectors)
    {
        using var scope = NewDisposeScope();
        var logits = vectors.mul(targets.index_select(0, ids.remainder(questions))).sum([1]);
        var rows = new Rows(ids, vectors, logits, vectors.norm(1).mul_(rounding), zeros_like(ids), zeros_like(ids));
        var finite = rows.Margin.add(logits, Scalars.One).isfinite();
        if (!finite.all().cpu().item<bool>())
        {
            return finite.logical_not().nonzero()[0, 0].cpu().item<long>();
        }

        for (var (first, step) = (0L, 0); first < screen.shape[0] && rows.Count > 0; first = ScreenEnds[step++])
        {
            Count(rows, screen.narrow(0, first, Math.Min(ScreenEnds[step], screen.shape[0]) - first), screenNorm);
            rows = Open(rows);
        }

        // A screened token is met again when all are counted.
        rows = rows with { Above = zeros_like(rows.Above), Below = zeros_like(rows.Below) };
        waiting.Add(rows.Map(part => part.clone().DetachFromDisposeScope()));
        waiting[^1].ForEach(owner.Attach);
        return -1;
    }

    /// <summary>Counts the tokens above and below the targets of the rows that wait, and marks those whose target is in.</summary>
    /// <param name="above">[id], bool: gets true where the target is among the k largest.</param>
    /// <param name="below">[id], bool: gets true where the target is among the k smallest.</param>
    /// <param name="progress">Is told which part of the tokens is counted.</param>
    /// <param name="cancellationToken">Stops between chunks.</param>
    /// <exception cref="InvalidDataException">The unembedding of a token holds a NaN or an infinity.</exception>
    public void Count(Tensor above, Tensor below, Action<double> progress, CancellationToken cancellationToken)
    {
        if (waiting.Count == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        waiting.ForEach(part => part.ForEach(scope.Attach));
        var rows = Rows.Joined(waiting);
        waiting.Clear();
        for (var first = 0L; first < unembedding.Shape[0] && rows.Count > 0; first += ChunkTokens)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var chunk = NewDisposeScope();
            var begin = first;
            var tokens = unembedding.Rows(first, Math.Min(ChunkTokens, unembedding.Shape[0] - first)).to(targets.dtype);
            var norm = Norms(tokens, i => begin + i).max();
            for (var row = 0L; row < rows.Count; row += RowsAtOnce)
            {
                var (from, count) = (row, Math.Min(RowsAtOnce, rows.Count - row));
                Count(rows.Map(part => part.narrow(0, from, count)), tokens, norm);
            }

            rows = Open(rows).Map(part => part.MoveToOuterDisposeScope());
            progress(Math.Min(1, (first + ChunkTokens) / (double)unembedding.Shape[0]));
        }

        var needed = Needed(rows);
        above.index_put_(rows.Above.lt(needed), rows.Id);
        below.index_put_(rows.Below.lt(needed), rows.Id);
    }

    // Adds to each row's counts the tokens above and below its target.
    private void Count(Rows rows, Tensor tokens, Tensor norm)
    {
        using var scope = NewDisposeScope();
        var logits = nn.functional.linear(rows.Vectors, tokens);

        // How far a logit and the target's may both be off.
        var margins = targetNorms.index_select(0, rows.Id.remainder(questions)).add_(norm, Scalars.One).mul_(rows.Margin);
        var (low, high) = (rows.Logit.sub(margins), rows.Logit.add(margins, Scalars.One));
        if (inMemory)
        {
            CountInMemory(rows, tokens, logits, low, high);
            return;
        }

        var (isAbove, isBelow) = (logits.gt(high.unsqueeze(1)), logits.lt(low.unsqueeze(1)));
        rows.Above.add_(isAbove.sum([1]), Scalars.One);
        rows.Below.add_(isBelow.sum([1]), Scalars.One);

        // A row of zeros is all ties.
        var close = isAbove.logical_or_(isBelow).logical_not_().logical_and_(rows.Margin.ne(zeros_like(rows.Margin)).unsqueeze(1)).nonzero();
        foreach (var part in close.split(ChunkTokens))
        {
            using var inner = NewDisposeScope();
            var (row, token) = (part.select(1, 0), part.select(1, 1));
            var target = targets.index_select(0, rows.Id.index_select(0, row).remainder(questions)).to(float64);
            var difference = tokens.index_select(0, token).to(float64).sub_(target).mul_(rows.Vectors.index_select(0, row)).sum([1]);
            rows.Above.index_add_(0, row, difference.gt(zeros_like(difference)).to(int64), Scalars.One);
            rows.Below.index_add_(0, row, difference.lt(zeros_like(difference)).to(int64), Scalars.One);
        }
    }

    // The same in one pass over the logits, which torch's operations go through eight times.
    private void CountInMemory(Rows rows, Tensor tokens, Tensor logits, Tensor low, Tensor high)
    {
        const int RowsPerPart = 32;
        var (count, width, vocabulary, asked) = ((int)rows.Count, (int)tokens.shape[1], (int)tokens.shape[0], k.shape[0]);
        Parallelism.For((count + RowsPerPart - 1) / RowsPerPart, part =>
        {
            Span<float> lows = low.Memory<float>(), highs = high.Memory<float>(), margins = rows.Margin.Memory<float>();
            Span<long> ids = rows.Id.Memory<long>(), above = rows.Above.Memory<long>(), below = rows.Below.Memory<long>();
            for (var row = part * RowsPerPart; row < Math.Min(count, (part + 1) * RowsPerPart); row++)
            {
                var line = logits.Memory<float>().Slice(row * vocabulary, vocabulary);
                var (over, notUnder) = Exceeders(line, lows[row], highs[row]);
                var under = vocabulary - notUnder;
                for (var token = 0; over + under < vocabulary && margins[row] > 0 && token < vocabulary; token++)
                {
                    if (line[token] >= lows[row] && line[token] <= highs[row])
                    {
                        var difference = Difference(
                            rows.Vectors.Memory<float>().Slice(row * width, width), tokens.Memory<float>().Slice(token * width, width),
                            targets.Memory<float>().Slice((int)(ids[row] % asked) * width, width));
                        over += difference > 0 ? 1 : 0;
                        under += difference < 0 ? 1 : 0;
                    }
                }

                above[row] += over;
                below[row] += under;
            }
        });
        GC.KeepAlive(rows);
    }

    private static (int Above, int NotBelow) Exceeders(ReadOnlySpan<float> logits, float low, float high)
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

    // x · (y - z), exactly 0 where y and z are the same.
    private static double Difference(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> z)
    {
        var sum = 0.0;
        for (var i = 0; i < x.Length; i++)
        {
            sum += x[i] * ((double)y[i] - z[i]);
        }

        return sum;
    }

    private Tensor Needed(Rows rows) => k.index_select(0, rows.Id.remainder(questions));

    private Rows Open(Rows rows)
    {
        var needed = Needed(rows);
        var open = rows.Above.lt(needed).logical_or_(rows.Below.lt(needed)).nonzero().squeeze(1);
        return open.shape[0] == rows.Count ? rows : rows.Map(part => part.index_select(0, open));
    }

    private static Tensor Norms(Tensor tokens, Func<int, long> token)
    {
        var norms = tokens.norm(1);
        HeadInputs.RequireFinite(norms.unsqueeze(1), row => $"The unembedding W_U of token {token((int)row)}");
        return norms;
    }

    /// <summary>Rows with their target's logit, how far a logit may be off for a token of norm 1, and the tokens found above and below.</summary>
    private sealed record Rows(Tensor Id, Tensor Vectors, Tensor Logit, Tensor Margin, Tensor Above, Tensor Below)
    {
        private Tensor[] Parts => [Id, Vectors, Logit, Margin, Above, Below];

        public long Count => Id.shape[0];

        public static Rows Joined(IReadOnlyList<Rows> some) => Of([.. Enumerable.Range(0, 6).Select(i => cat([.. some.Select(rows => rows.Parts[i])]))]);

        public Rows Map(Func<Tensor, Tensor> change) => Of(Array.ConvertAll(Parts, part => change(part)));

        public void ForEach(Action<Tensor> action) => Array.ForEach(Parts, action);

        private static Rows Of(Tensor[] p) => new(p[0], p[1], p[2], p[3], p[4], p[5]);
    }
}
