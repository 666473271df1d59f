namespace HeadScope.Tests;

/// <summary>
/// What the MAPS tests check and no public call shows: prompts in tokens, accuracy without given heads, the ranking of targets. Only this file knows
/// what computes them.
/// </summary>
internal static class MapsUnderTest
{
    /// <summary>The tokens of a template with each pair's source in its place.</summary>
    public static IReadOnlyList<int[]> Tokens(string template, IReadOnlyList<TokenPair> pairs, Tokenizer tokenizer) =>
        Prompts.Of(template, pairs, tokenizer).Tokens;

    /// <summary>Dynamic scores on prompts given in tokens, whose source stands at the same position of every prompt.</summary>
    public static DynamicScores Dynamic(
        Model model, RelationScores scores, IReadOnlyList<(string Template, int[][] Tokens, int Position)> prompts, int[] targets, int batchSize) =>
        DynamicMap.Measure(
            model, scores, [.. prompts.Select(p => new Prompts(p.Template, p.Tokens, [.. p.Tokens.Select(_ => p.Position)]))], targets, batchSize, null,
            CancellationToken.None);

    /// <summary>The heads in the order in which they are ablated.</summary>
    public static IReadOnlyList<HeadScore> Ranked(RelationScores scores) => [.. HeadAblation.Ranked(scores)];

    /// <summary>The k largest numbers' indices, the numbers given in blocks; of equal ones the first.</summary>
    public static int[] LargestByBlocks(float[] numbers, int k, int blockSize)
    {
        var running = new RunningTop(k);
        for (var first = 0; first < numbers.Length; first += blockSize)
        {
            running.Offer(numbers.AsSpan(first, Math.Min(blockSize, numbers.Length - first)), first);
        }

        return running.Ids.ToArray();
    }

    /// <summary>Which vectors promote, and which suppress, their target among the k first tokens.</summary>
    /// <param name="unembedding">W_U by token, [V, width].</param>
    /// <param name="vectors">[n, width].</param>
    /// <param name="targets">A token for each vector.</param>
    /// <param name="k">k.</param>
    /// <returns>The indices of vectors.</returns>
    public static (int[] Up, int[] Down) Hits(float[] unembedding, float[] vectors, int[] targets, int k)
    {
        var width = vectors.Length / targets.Length;
        var vocabulary = new VocabularyRows(unembedding, unembedding.Length / width, width);
        var ranking = new TargetRanking(vocabulary, TargetQuestions.About(vocabulary, targets, [.. targets.Select(_ => k)]));
        var rows = new ProjectionRows(width);
        vectors.CopyTo(rows.Add(targets.Length).Values);
        for (var i = 0; i < targets.Length; i++)
        {
            rows.Items[i] = new Projection { Id = i, Question = i };
        }

        Assert.Equal(-1, ranking.Begin(rows, 0));
        ranking.Screen(rows);
        ranking.Count(rows, null, TestContext.Current.CancellationToken);
        var items = rows.Items.ToArray();
        return ([.. items.Where(i => i.Above < k).Select(i => i.Id)], [.. items.Where(i => i.Below < k).Select(i => i.Id)]);
    }

    /// <summary>The share of prompts that a model completes right without some of its heads.</summary>
    internal sealed class Accuracy(Model model, IReadOnlyList<int[]> prompts, int[] targets, int batchSize, AblationKind kind = AblationKind.Zero)
    {
        private readonly AccuracyMeter meter = new(model, new Prompts("", prompts, []), targets, batchSize, kind, CancellationToken.None);

        /// <summary>Without all of these heads.</summary>
        public float Without(params Head[] heads) => meter.Accuracy(heads, CancellationToken.None);

        /// <summary>Without none, the first, the first two …</summary>
        public AblationRun OneByOne(params Head[] heads) => meter.Ablate(heads, null, CancellationToken.None);
    }
}
