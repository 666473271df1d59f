namespace HeadScope;

/// <summary>A place where a head is strongly active.</summary>
/// <param name="Activation">a, in the units of training.</param>
/// <param name="Sequence">The number of the sequence, in the order they were read.</param>
/// <param name="Position">The token of the largest activation in that sequence.</param>
/// <param name="Tokens">The whole sequence; empty where tokens are not known.</param>
public sealed record TopActivation(float Activation, long Sequence, int Position, IReadOnlyList<int> Tokens);

/// <summary>How active a head is on some data, and where most.</summary>
/// <param name="Head">The OV head.</param>
/// <param name="Count">At how many tokens it is active (a &gt; 0).</param>
/// <param name="Frequency">At which share of the tokens that count.</param>
/// <param name="Mean">Its mean activation where it is active; 0 where it never is.</param>
/// <param name="Top">The sequences with the largest activations, largest first, one entry each.</param>
public sealed record HeadActivity(int Head, long Count, double Frequency, double Mean, IReadOnlyList<TopActivation> Top)
{
    /// <summary>The largest activation; 0 where it is never active.</summary>
    public float Maximum => Top.Count == 0 ? 0 : Top[0].Activation;
}

/// <summary>The activity of all heads over any number of tokens, read as a stream with memory that depends on the heads alone.</summary>
public sealed class HeadActivities
{
    private readonly HeadActivity[] heads;

    private HeadActivities(HeadActivity[] heads, long tokens) => (this.heads, Tokens) = (heads, tokens);

    /// <summary>The tokens that counted.</summary>
    public long Tokens { get; }

    /// <summary>The heads in order.</summary>
    public IReadOnlyList<HeadActivity> Heads => heads;

    /// <summary>The activity of a head.</summary>
    /// <param name="head">The OV head.</param>
    public HeadActivity this[int head] => heads[head];

    /// <summary>Reads activations and keeps for every head the sequences in which it is most active.</summary>
    /// <param name="lorsa">The Lorsa.</param>
    /// <param name="batches">The activations, read once.</param>
    /// <param name="top">How many sequences are kept for each head.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <returns>The activity of every head.</returns>
    public static HeadActivities Of(
        Lorsa lorsa, IEnumerable<ActivationBatch> batches, int top = 16, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(lorsa);
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentOutOfRangeException.ThrowIfLessThan(top, 1);
        var n = lorsa.Config.Heads;
        var best = new PriorityQueue<TopActivation, (float, long)>[n];
        var (counts, sums) = (new long[n], new double[n]);
        var (maximum, place) = (new float[n], new int[n]);
        long tokens = 0, sequence = 0;
        LorsaPass? pass = null;
        foreach (var batch in batches)
        {
            cancellationToken.ThrowIfCancellationRequested();
            pass = lorsa.Pass(batch.InputNumbers, batch.Sequences, batch.Length, pass);
            for (var b = 0; b < batch.Sequences; b++, sequence++)
            {
                Array.Clear(maximum);
                int[]? context = null;
                for (var t = b * batch.Length; t < (b + 1) * batch.Length; t++)
                {
                    if (batch.MaskNumbers[t] == 0)
                    {
                        continue;
                    }

                    tokens++;
                    for (var j = t * pass.Entries.Capacity; j < (t * pass.Entries.Capacity) + pass.Entries.MainCount[t]; j++)
                    {
                        var (head, a) = (pass.Entries.Head[j], pass.Entries.Value[j]);
                        if (a <= 0)
                        {
                            continue;
                        }

                        counts[head]++;
                        sums[head] += a;
                        if (a > maximum[head])
                        {
                            (maximum[head], place[head]) = (a, t - (b * batch.Length));
                        }
                    }
                }

                for (var head = 0; head < n; head++)
                {
                    if (maximum[head] == 0)
                    {
                        continue;
                    }

                    // The least of the kept comes out first: of equal activations the later sequence.
                    var queue = best[head] ??= new PriorityQueue<TopActivation, (float, long)>(top + 1);
                    var rank = (maximum[head], -sequence);
                    if (queue.Count == top && queue.TryPeek(out _, out var least) && least.CompareTo(rank) > 0)
                    {
                        continue;
                    }

                    context ??= batch.TokenNumbers.Length == 0 ? [] : batch.TokenNumbers[(b * batch.Length)..((b + 1) * batch.Length)];
                    queue.Enqueue(new TopActivation(maximum[head], sequence, place[head], context), rank);
                    if (queue.Count > top)
                    {
                        queue.Dequeue();
                    }
                }
            }

            progress?.Report(new WorkProgress("reading heads", tokens, 0, "tokens"));
        }

        return new HeadActivities(
            [.. Enumerable.Range(0, n).Select(head => new HeadActivity(
                head, counts[head], tokens == 0 ? 0 : (double)counts[head] / tokens, counts[head] == 0 ? 0 : sums[head] / counts[head],
                [.. (best[head]?.UnorderedItems ?? Enumerable.Empty<(TopActivation Element, (float, long) Priority)>())
                    .OrderByDescending(item => item.Priority).Select(item => item.Element)]))],
            tokens);
    }

    /// <summary>Reads a corpus through a model.</summary>
    /// <param name="lorsa">The Lorsa.</param>
    /// <param name="model">Its model.</param>
    /// <param name="corpus">The texts.</param>
    /// <param name="maximumTokens">After how many tokens to stop; the whole corpus when it is shorter.</param>
    /// <param name="top">How many sequences are kept for each head.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <returns>The activity of every head.</returns>
    public static HeadActivities Of(
        Lorsa lorsa, Model model, LorsaCorpus corpus, long maximumTokens = 1_000_000, int top = 16,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(lorsa);
        var length = lorsa.Config.ContextLength;
        var windows = (int)Math.Min(int.MaxValue, maximumTokens / length);
        var source = new ModelActivationSource(model, lorsa.Config.Layer, corpus, length, windows, hookIn: lorsa.Config.HookIn);
        return Of(lorsa, source.HeldOut(4, cancellationToken), top, progress, cancellationToken);
    }
}
