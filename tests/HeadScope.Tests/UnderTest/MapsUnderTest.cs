using static TorchSharp.torch;

namespace HeadScope.Tests;

/// <summary>
/// What the MAPS tests check and no public call shows: relations and prompts in tokens, for models without a tokenizer, and the ranking of
/// targets. Only this file knows what computes them.
/// </summary>
internal static class MapsUnderTest
{
    /// <summary>Scores a relation in tokens.</summary>
    public static RelationScores Score(Model model, string name, IReadOnlyList<(string Source, string Target, int SourceToken, int TargetToken)> pairs, HeadMapOptions? options = null) =>
        HeadMap.Score(model, [new TokenRelation(name, "", [.. pairs.Select(p => new TokenPair(p.Source, p.Target, p.SourceToken, p.TargetToken))], [])], options)[name];

    /// <summary>Dynamic scores on prompts given in tokens, whose source stands at the same position of every prompt.</summary>
    public static DynamicScores Dynamic(
        Model model, RelationScores scores, IReadOnlyList<(string Template, int[][] Tokens, int Position)> prompts, int[] targets, int batchSize) =>
        DynamicMap.Measure(
            model, scores, [.. prompts.Select(p => new Prompts(p.Template, p.Tokens, [.. p.Tokens.Select(_ => p.Position)]))], targets, batchSize, null,
            CancellationToken.None);

    /// <summary>The same scores with other hits, by context and sign those of all templates and heads.</summary>
    public static DynamicScores With(DynamicScores scores, Dictionary<(bool Context, bool Suppression), int[]> hits)
    {
        var heads = scores.Static.LayerCount * scores.Static.HeadCount;
        return scores with
        {
            Found = [.. scores.Templates.Select((_, t) => ((bool[])[false, true]).Select(
                context => ((bool[])[false, true]).Select(suppression => hits[(context, suppression)][(t * heads)..((t + 1) * heads)]).ToArray()).ToArray())],
        };
    }

    /// <summary>The tokens of a template with each source in its place, of pairs that are one token each, and their targets.</summary>
    public static (IReadOnlyList<int[]> Prompts, int[] Targets) Tokens(string template, Relation relation, Tokenizer tokenizer)
    {
        var pairs = TokenRelation.From(relation, tokenizer).Pairs;
        return (Prompts.Of(template, pairs, tokenizer).Tokens, [.. pairs.Select(p => p.TargetToken)]);
    }

    /// <summary>The heads in the order in which they are ablated.</summary>
    public static IReadOnlyList<Head> Strongest(RelationScores scores, int count) => [.. HeadAblation.Strongest(scores, count)];

    /// <summary>A head's salient operations, each with one target.</summary>
    public static SalientOperations Operations(string model, Head head, IReadOnlyList<(int SourceToken, string Source, int TargetToken, string Target)> pairs) =>
        new(model, [head], FirstMlp: true) { Means = [1], Operations = [[.. pairs.Select(p => (p.SourceToken, p.Source, 2f, Targets(p), Targets()))]] };

    private static IReadOnlyList<(int, string, float)> Targets(params (int, string, int Token, string Text)[] pairs) => [.. pairs.Select(p => (p.Token, p.Text, 3f))];

    /// <summary>The k largest numbers' indices, the numbers given in blocks; of equal ones the first.</summary>
    public static int[] LargestByBlocks(float[] numbers, int k, int blockSize)
    {
        (int Token, float Value)[][]? found = null;
        for (var first = 0; first < numbers.Length; first += blockSize)
        {
            found = SalientSearch.Largest(tensor(numbers[first..Math.Min(numbers.Length, first + blockSize)]).unsqueeze(0), k, first, found);
        }

        return [.. found![0].Select(t => t.Token)];
    }

    /// <summary>Which vectors promote, and which suppress, their target among the k first tokens.</summary>
    /// <param name="unembedding">W_U by token, [V, width].</param>
    /// <param name="vectors">[n, width].</param>
    /// <param name="targets">A token for each vector.</param>
    /// <param name="k">k.</param>
    /// <param name="plain">Whether torch's operations alone count.</param>
    /// <param name="dtype">The type of the numbers.</param>
    /// <returns>The indices of vectors.</returns>
    public static (int[] Up, int[] Down) Hits(float[] unembedding, float[] vectors, int[] targets, int k, bool plain = false, ScalarType dtype = ScalarType.Float32)
    {
        using var scope = NewDisposeScope();
        long width = vectors.Length / targets.Length, count = targets.Length;
        var weight = tensor(unembedding, [unembedding.Length / width, width]);
        var parameter = new Parameter(new WeightMemory(CPU, dtype), weight.shape, (first, some) => weight.narrow(0, first, some).alias());
        var ranking = new TargetRanking(scope, parameter, Array.ConvertAll(targets, t => (long)t), [.. targets.Select(_ => (long)k)], CPU, dtype, plain);
        var hits = zeros([2, count], @bool);
        Assert.Equal(-1, ranking.Screen(arange(count), tensor(vectors, [count, width]).to(dtype)));
        ranking.Count(hits[0], hits[1], _ => { }, TestContext.Current.CancellationToken);

        int[] Marked(int sign) => [.. hits[sign].nonzero().flatten().data<long>().Select(i => (int)i)];
        return (Marked(0), Marked(1));
    }

    /// <summary>The share of prompts that a model completes right without some of its heads.</summary>
    internal sealed class Accuracy(Model model, IReadOnlyList<int[]> prompts, int[] targets, int batchSize, bool mean = false)
    {
        private readonly AccuracyMeter meter = new(model, new Prompts("", prompts, []), targets, batchSize, mean, CancellationToken.None);

        /// <summary>Without all of these heads.</summary>
        public float Without(params Head[] heads) => meter.Accuracy(heads, CancellationToken.None);

        /// <summary>Without none, the first, the first two …</summary>
        public IReadOnlyList<float> OneByOne(params Head[] heads) => meter.Ablate(heads, null, CancellationToken.None);
    }
}
