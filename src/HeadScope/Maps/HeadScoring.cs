using System.Collections.Concurrent;

namespace HeadScope;

/// <summary>Fills in what a head takes from its source, before W_O: for neighbouring pairs from <paramref name="firstPair"/> on, [pairs, d_head].</summary>
/// <param name="head">The head.</param>
/// <param name="firstPair">The first pair.</param>
/// <param name="values">Takes the values.</param>
internal delegate void HeadValues(Head head, int firstPair, Matrix values);

/// <summary>
/// Finds the pairs of which a head's output z W_O W_U has the target among the k largest, or among the k smallest, entries; z is what
/// makes scores static (equation 2 of arXiv 2412.11965) or dynamic. W_O W_U is not formed: z W_O is a row of the residual stream, and
/// the vocabulary is looked at only as far as <see cref="TargetRanking"/> needs to see which targets are among the k.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="heads">The heads.</param>
/// <param name="pairs">The number of pairs.</param>
/// <param name="values">What heads take from their sources.</param>
/// <param name="sharedInGroup">Whether that is the same for all heads that share a key-value head.</param>
internal sealed class HeadScoring(Model model, IReadOnlyList<Head> heads, int pairs, HeadValues values, bool sharedInGroup)
{
    // Bounds of the working memory: the projections of one batch, those that wait to be counted, and a thread's block.
    private const long BatchBytes = 64L << 20;
    private const long WaitingBytes = 32L << 20;
    private const int BlockProjections = 384;

    private readonly List<HeadHit> hits = [];

    // Room for a block's projections, of which few remain undecided.
    private readonly ConcurrentBag<ProjectionRows> unused = [];

    private int Width => model.Config.ModelWidth;

    private int GroupSize => model.Config.HeadCount / model.Config.KeyValueHeadCount;

    /// <summary>Finds the hits, by pair.</summary>
    public IReadOnlyList<HeadHit> Run(TargetRanking ranking, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        var items = Items();
        var waiting = new ProjectionRows(Width);
        var done = 0L;
        for (var first = 0; first < items.Count;)
        {
            var end = first;
            for (var bytes = 0L; end < items.Count && (end == first || bytes + Bytes(items[end]) <= BatchBytes); end++)
            {
                bytes += Bytes(items[end]);
            }

            var undecided = new ProjectionRows[end - first];
            var begin = first;
            Parallelism.For(
                end - first,
                i =>
                {
                    var item = items[begin + i];
                    undecided[i] = Project(item, ranking);
                    var projections = Interlocked.Add(ref done, (long)item.Heads * item.Pairs);
                    progress?.Report(new WorkProgress("projecting pairs", projections / pairs, heads.Count, "heads"));
                },
                cancellationToken);
            foreach (var rows in undecided)
            {
                waiting.Append(rows);
            }

            first = end;
            if (first == items.Count || waiting.Bytes > WaitingBytes)
            {
                Count(waiting, ranking, progress, cancellationToken);
            }
        }

        return [.. hits.OrderBy(hit => hit.Pair)];
    }

    // Neighbouring heads of one layer with neighbouring pairs, few enough for a thread's cache; heads that share a key-value head stay
    // together.
    private List<Item> Items()
    {
        var items = new List<Item>();
        for (var first = 0; first < heads.Count;)
        {
            var end = first + 1;
            while (end < heads.Count
                && heads[end].Layer == heads[first].Layer
                && (heads[end].Index / GroupSize == heads[first].Index / GroupSize || (end - first + 1) * pairs <= BlockProjections))
            {
                end++;
            }

            var rows = Math.Max(1, BlockProjections / (end - first));
            for (var row = 0; row < pairs; row += rows)
            {
                items.Add(new Item(first, end - first, row, Math.Min(rows, pairs - row)));
            }

            first = end;
        }

        return items;
    }

    private ProjectionRows Project(Item item, TargetRanking ranking)
    {
        var z = new float[item.Pairs * model.Config.HeadWidth];
        if (!unused.TryTake(out var result))
        {
            result = new ProjectionRows(Width);
        }

        for (var i = 0; i < item.Heads; i++)
        {
            var head = heads[item.FirstHead + i];
            var block = new Matrix(z, item.Pairs, model.Config.HeadWidth);
            if (i == 0 || !sharedInGroup || head.Index / GroupSize != heads[item.FirstHead + i - 1].Index / GroupSize)
            {
                values(head, item.FirstPair, block);
            }

            var first = result.Count;
            MatrixProduct.Multiply(block, model.OutputWeight(head), result.Add(item.Pairs));
            for (var pair = 0; pair < item.Pairs; pair++)
            {
                result.Items[first + pair] = new Projection { Id = item.FirstHead + i, Question = item.FirstPair + pair };
            }

            if (ranking.Begin(result, first) >= 0)
            {
                throw new InvalidDataException($"W_O of head {head} holds a NaN or an infinity, or the unembedding of a target: the weights are damaged.");
            }
        }

        ranking.Screen(result);
        var undecided = new ProjectionRows(Width);
        undecided.Append(result);
        result.Clear();
        unused.Add(result);
        return undecided;
    }

    private void Count(ProjectionRows waiting, TargetRanking ranking, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        var stage = $"ranking {waiting.Count} targets";
        ranking.Count(
            waiting,
            tokens => progress?.Report(new WorkProgress(stage, tokens, model.Config.VocabularySize, "tokens")),
            cancellationToken);
        foreach (var projection in waiting.Items)
        {
            var k = ranking.K(projection.Question);
            if (projection.Above < k)
            {
                hits.Add(new HeadHit(projection.Question, heads[projection.Id], IsSuppression: false));
            }

            if (projection.Below < k)
            {
                hits.Add(new HeadHit(projection.Question, heads[projection.Id], IsSuppression: true));
            }
        }

        waiting.Clear();
    }

    private long Bytes(Item item) => (long)item.Heads * item.Pairs * Width * sizeof(float);

    private readonly record struct Item(int FirstHead, int Heads, int FirstPair, int Pairs);
}
