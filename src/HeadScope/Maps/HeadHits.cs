namespace HeadScope;

/// <summary>
/// Finds the pairs of which a head's output z W_O W_U has the target among the k largest, or among the k smallest, entries; z is what
/// makes scores static (equation 2 of arXiv 2412.11965) or dynamic. W_O W_U is not formed: z W_O is a row of the residual stream, and
/// the vocabulary is looked at only as far as <see cref="TargetRanking"/> needs to see which targets are among the k. Each layer's
/// weights are read once, and the unembedding once for all heads, so that a model can be scored whose weights do not stay in memory.
/// </summary>
internal static class HeadHits
{
    // Bytes of rows that are screened at a time, and of those that wait to be counted.
    private const long RowBytes = 8L << 20;
    private const long WaitingBytes = 256L << 20;

    // The part of the time that counting takes, as measured.
    private const double CountingShare = 0.3;

    /// <summary>Whether each pair hits at each head, [2 (largest, smallest), layer, head, pair], bool, on the CPU.</summary>
    /// <param name="model">The model.</param>
    /// <param name="range">The first head to score, counted over layers, and the one after the last; all others hit nowhere.</param>
    /// <param name="targets">The target of each pair.</param>
    /// <param name="k">The k of each pair.</param>
    /// <param name="values">z of a layer, [head or key head, pair, d_head].</param>
    /// <param name="progress">Is told how many heads are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="InvalidDataException">A weight holds a NaN or an infinity; the message names it.</exception>
    public static Tensor Of(
        Model model, (int First, int End) range, long[] targets, long[] k, Func<int, Tensor> values, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var (first, end) = range;
        var (layers, heads, width, pairs) = (model.Config.LayerCount, model.Config.HeadCount, model.Config.ModelWidth, targets.Length);
        var ranking = new TargetRanking(scope, model.Net.Unembedding.Weight, targets, k, model.Device, HeadInputs.Wide(model));
        var hits = zeros([2, (long)layers * heads * pairs], @bool, model.Device);
        var (ids, parts, projected, counted) = (new List<long>(), new List<Tensor>(), 0, 0.0);

        // Cut as for whole layers, so that rows are the same bits when the heads are scored in parts.
        var rowsAtOnce = RowBytes / (width * sizeof(float));
        var cuts = Math.Ceiling(pairs / (double)Math.Max(1, rowsAtOnce / heads));
        var pairsAtOnce = (long)Math.Ceiling(pairs / cuts);
        for (var layer = first / heads; layer * heads < end; layer++)
        {
            using var inLayer = NewDisposeScope();
            var (from, count) = (Math.Max(first, layer * heads), Math.Min(end, (layer + 1) * heads) - Math.Max(first, layer * heads));
            var z = values(layer).to(HeadInputs.Wide(model));
            z = (z.shape[0] == heads ? z : z.repeat_interleave(heads / z.shape[0], 0)).narrow(0, from % heads, count);
            var output = model.Net.Blocks[layer].Attention.W_O.to(HeadInputs.Wide(model)).narrow(0, from % heads, count);
            for (var pair = 0L; pair < pairs; pair += pairsAtOnce)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var some = Math.Min(pairsAtOnce, pairs - pair);
                var rows = z.narrow(1, pair, some).bmm(output).flatten(0, 1);
                scope.Attach(rows.DetachFromDisposeScope());
                parts.Add(rows);
                for (var i = 0L; i < count * some; i++)
                {
                    ids.Add(((from + (i / some)) * pairs) + pair + (i % some));
                }

                if (ids.Count + (heads * some) > rowsAtOnce)
                {
                    Screen();
                }
            }

            projected += count;
            Report(counted);
            if (ranking.WaitingBytes > WaitingBytes)
            {
                Screen();
                Count();
            }
        }

        Screen();
        Count();
        GC.KeepAlive(model);
        return hits.view(2, layers, heads, pairs).cpu().MoveToOuterDisposeScope();

        void Screen()
        {
            using var batch = NewDisposeScope();
            if (parts.Count > 0 && ranking.Screen(tensor(ids, device: model.Device), parts.Count == 1 ? parts[0] : cat(parts)) is >= 0 and var damaged)
            {
                var head = (int)(ids[(int)damaged] / pairs);
                throw HeadInputs.Damaged(model, new(head / heads, head % heads));
            }

            parts.ForEach(rows => rows.Dispose());
            parts.Clear();
            ids.Clear();
        }

        void Count()
        {
            var before = counted;
            ranking.Count(hits[0], hits[1], part => Report(before + ((projected - before) * part)), cancellationToken);
            Report(counted = projected);
        }

        void Report(double ranked) => progress?.Report(new WorkProgress(
            "scoring heads", (long)((projected * (1 - CountingShare)) + (ranked * CountingShare)), end - first, "heads"));
    }
}
