namespace HeadScope;

/// <summary>How active the heads of a Lorsa are on some tokens, and where most. Tensors are on the CPU.</summary>
/// <param name="Tokens">The tokens that counted.</param>
/// <param name="Counts">At how many of them each head is active (a &gt; 0), [n], int64.</param>
/// <param name="Frequencies">At which share of them, [n], fp32.</param>
/// <param name="Means">The mean activation where a head is active, 0 where it never is, [n], fp32, in the units of training.</param>
/// <param name="Largest">
/// The largest activations of each head, one for each sequence, largest first, of equal ones the earlier sequence; 0 where there are fewer, [n, top], fp32.
/// </param>
/// <param name="Sequences">The numbers of those sequences, in the order they were read, [n, top], int64.</param>
/// <param name="Positions">The positions in them, [n, top], int64.</param>
public sealed record HeadActivities(
    long Tokens, Tensor Counts, Tensor Frequencies, Tensor Means, Tensor Largest, Tensor Sequences, Tensor Positions)
{
    private Dictionary<long, int[]> Texts { get; init; } = [];

    /// <summary>head, count, frequency, mean, maximum.</summary>
    public DataFrame Table => new(
        new Int32DataFrameColumn("head", Enumerable.Range(0, (int)Counts.shape[0])), new Int64DataFrameColumn("count", Counts.Copied<long>()),
        new SingleDataFrameColumn("frequency", Frequencies.Copied<float>()), new SingleDataFrameColumn("mean", Means.Copied<float>()),
        new SingleDataFrameColumn("maximum", Largest.select(1, 0).Copied<float>()));

    /// <summary>The places where a head is most active.</summary>
    /// <param name="head">The OV head.</param>
    /// <returns>Each with the whole sequence, which is empty where tokens are not known.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such head.</exception>
    public IReadOnlyList<(float Activation, long Sequence, int Position, IReadOnlyList<int> Tokens)> Top(int head)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(head);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(head, Largest.shape[0]);
        using var scope = NewDisposeScope();
        var (sequences, positions) = (Sequences[head].Copied<long>(), Positions[head].Copied<long>());
        return [.. Largest[head].Copied<float>().Index().Where(place => place.Item > 0).Select(place =>
            (place.Item, sequences[place.Index], (int)positions[place.Index], (IReadOnlyList<int>)Texts.GetValueOrDefault(sequences[place.Index], [])))];
    }

    /// <summary>The z-patterns of the sequences in which a head is most active, most active first.</summary>
    /// <param name="head">The head, of the Lorsa that these are the activities of.</param>
    /// <param name="places">How many at most.</param>
    /// <returns>One for each sequence, and the position in it at which the head is most active of those that count.</returns>
    /// <exception cref="InvalidOperationException">The Lorsa has no model, or the tokens of the sequences are not known.</exception>
    public IReadOnlyList<(ZPattern Pattern, int Position)> ZPatterns(LorsaHead head, int places = 10)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentOutOfRangeException.ThrowIfLessThan(places, 1);
        var top = Top(head.Index).Take(places).ToArray();
        if (top.Any(place => place.Tokens.Count == 0))
        {
            throw new InvalidOperationException("These activities came from activations without their tokens; read a corpus with HeadActivities.Of(lorsa, corpus).");
        }

        return [.. top.Select(place => (head.ZPattern([.. place.Tokens]), place.Position))];
    }

    /// <summary>Reads a corpus through the Lorsa's model, as a stream: memory depends on the heads alone.</summary>
    /// <param name="lorsa">The Lorsa, with its model.</param>
    /// <param name="corpus">The texts.</param>
    /// <param name="maximumTokens">After how many tokens to stop; the whole corpus when it is shorter.</param>
    /// <param name="top">How many sequences are kept for each head.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <returns>The activity of every head.</returns>
    /// <exception cref="InvalidOperationException">The Lorsa has no model.</exception>
    public static HeadActivities Of(
        Lorsa lorsa, LorsaCorpus corpus, long maximumTokens = 1_000_000, int top = 16, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(lorsa);
        ArgumentNullException.ThrowIfNull(corpus);
        var windows = (int)Math.Min(int.MaxValue, maximumTokens / lorsa.Config.ContextLength);
        return Of(lorsa, lorsa.ActivationsOn(corpus, windows).HeldOut(4, cancellationToken), top, progress, cancellationToken);
    }

    internal static HeadActivities Of(
        Lorsa lorsa, IEnumerable<ActivationBatch> batches, int top, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(top, 1);
        using var scope = NewDisposeScope();
        var n = lorsa.Config.Heads;
        var (counts, sums) = (zeros(n, int64), zeros(n, float64));
        var (largest, sequences, positions) = (zeros([top, n], float32), zeros([top, n], int64), zeros([top, n], int64));
        var texts = new Dictionary<long, int[]>();
        long tokens = 0, read = 0;
        ActivationBatch.ForEach(batches, cancellationToken, batch =>
        {
            var a = lorsa.Encode(batch.Input).Activations.cpu();
            var counting = batch.Mask.cpu().ne(Scalars.Of(0));
            a = a.clamp_min(Scalars.Of(0)).mul_(counting.unsqueeze(-1));
            tokens += counting.count_nonzero().item<long>();
            counts.add_(a.gt(Scalars.Of(0)).sum([0, 1]), Scalars.One);
            sums.add_(a.sum([0, 1], type: float64), Scalars.One);

            // A stable sort: of equal activations the earlier sequence comes first.
            var (most, places) = a.max(1);
            var (count, length) = ((int)a.shape[0], (int)a.shape[1]);
            var numbers = tensor([.. Enumerable.Range(0, count).Select(b => read + b)]).unsqueeze(1).expand(-1, n);
            var (sorted, order) = cat([largest, most.to(float32)]).sort(0, descending: true, stable: true);
            largest.copy_(sorted.narrow(0, 0, top));
            order = order.narrow(0, 0, top);
            sequences.copy_(cat([sequences, numbers]).gather(0, order));
            positions.copy_(cat([positions, places]).gather(0, order));
            if (batch.Tokens?.Copied<int>() is { } ids)
            {
                // The texts of places that others have beaten go.
                var kept = sequences.Copied<long>().ToHashSet();
                texts = texts.Where(text => kept.Contains(text.Key)).ToDictionary();
                foreach (var b in Enumerable.Range(0, count).Where(b => kept.Contains(read + b)))
                {
                    texts[read + b] = ids[(b * length)..((b + 1) * length)];
                }
            }

            read += count;
            progress?.Report(new WorkProgress("reading heads", tokens, 0, "tokens"));
        });
        return new(
            tokens, Out(counts), Out(counts.to(float64).div(Scalars.Of(Math.Max(1, tokens))).to(float32)),
            Out(sums.div(counts.clamp_min(Scalars.One)).to(float32)), Out(largest.t().contiguous()), Out(sequences.t().contiguous()),
            Out(positions.t().contiguous())) { Texts = texts };

        Tensor Out(Tensor result) => scope.MoveToOuter(result);
    }
}
