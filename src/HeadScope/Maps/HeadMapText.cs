namespace HeadScope;

/// <content>The map as CSV and as JSON, and back.</content>
public sealed partial record HeadMap
{
    private const string FormatName = "headscope-head-map";

    internal string ShardText => Text(Shard);

    /// <summary>The scores as CSV: <see cref="Table"/> below a header.</summary>
    /// <returns>The columns relation, category, layer, head, k, pairs, relation_hits, suppression_hits, relation_score,
    /// suppression_score.</returns>
    public string ToCsv() => Table.ToCsv();

    /// <summary>The whole map as JSON, from which <see cref="FromJson"/> makes it again.</summary>
    /// <returns>An object with the model, and in <c>relations</c> for each its name, k, pairs, and as [layer][head] arrays
    /// relationScores, suppressionScores, relationHits and suppressionHits (null and -1 for heads of other parts).</returns>
    public string ToJson() => ResultJson.Write(FormatName, new
    {
        model = Model, layers = LayerCount, heads = HeadCount, keyValueHeads = KeyValueHeadCount, firstMlp = FirstMlp, shard = ShardText,
        relations = Relations.Select(Told),
        skipped = unscored.Select(s => new { name = s.Name, category = s.Category, pairsUsable = s.Usable, pairsTotal = s.Total, reason = s.Reason }),
    });

    /// <summary>Reads a map that <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">The JSON.</param>
    /// <returns>The map.</returns>
    /// <exception cref="InvalidDataException">The text is no JSON or no head map; the message names the field.</exception>
    public static HeadMap FromJson(string json) => ResultJson.Read(json, FormatName, "head map", root =>
    {
        var (layers, heads, keyValueHeads) = (root.Required("layers").Count(), root.Required("heads").Count(), root.Required("keyValueHeads").Count());
        RelationScores[] relations = [.. root.Required("relations").Items().Select(relation => Read(relation, layers, heads))];
        var shard = ParseShard(root.Required("shard").Text());
        Fault.InvalidDataIf(
            heads % keyValueHeads != 0 || shard.Part < 1 || shard.Part > shard.Of || relations.Length == 0,
            $"The head map is of part {Text(shard)}, of {heads} heads over {keyValueHeads} key-value heads and {relations.Length} relations; expected a part "
            + $"from 1/n to n/n, a multiple, and at least one relation.");
        return new HeadMap(
            root.Required("model").Text(), layers, heads, keyValueHeads, root.Required("firstMlp").Value.GetBoolean(), shard, relations)
        {
            unscored = [.. root.Required("skipped").Items().Select(s => new Unscored(
                s.Required("name").Text(), s.Required("category").Text(), (int)s.Required("pairsUsable").Whole(), (int)s.Required("pairsTotal").Whole(),
                s.Required("reason").Text()))],
        };
    });

    /// <summary>Reads a part written as <c>3/16</c>.</summary>
    /// <exception cref="FormatException">The text is not two whole numbers joined by a slash.</exception>
    internal static (int Part, int Of) ParseShard(string text) =>
        text.Split('/') is [var part, var of]
        && int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var i)
        && int.TryParse(of, NumberStyles.None, CultureInfo.InvariantCulture, out var n)
            ? (i, n)
            : throw new FormatException($"'{text}' is not a part: expected i/n, such as 3/16, the third of sixteen.");

    private static string Text((int Part, int Of) shard) => string.Create(CultureInfo.InvariantCulture, $"{shard.Part}/{shard.Of}");

    private static object Told(RelationScores relation)
    {
        IEnumerable<IEnumerable<object?>> ByLayer(bool suppression, Func<HeadScore, object?> cell) =>
            relation.Heads.Chunk(relation.HeadCount).Select(layer => layer.Select(head => cell(relation.Of(head, suppression))));
        static object? Score(HeadScore score) => score.Hits < 0 ? null : score.Score;
        static object? Hits(HeadScore score) => score.Hits;
        return new
        {
            name = relation.Name, category = relation.Category, k = relation.K, pairsUsed = relation.Relation.Pairs.Count,
            relationScores = ByLayer(false, Score), suppressionScores = ByLayer(true, Score),
            relationHits = ByLayer(false, Hits), suppressionHits = ByLayer(true, Hits),
            pairs = relation.Relation.Pairs.Select(p => (p.Source, p.Target, p.SourceToken, p.TargetToken)), skippedPairs = relation.SkippedPairs,
            relationExamples = ResultJson.ByHead(relation.PairsThatHit[0]), suppressionExamples = ResultJson.ByHead(relation.PairsThatHit[1]),
        };
    }

    private static RelationScores Read(JsonField json, int layers, int heads)
    {
        TokenPair[] pairs = [.. Lists("pairs").Select(p => new TokenPair(p[0].Text(), p[1].Text(), p[2].TokenId(), p[3].TokenId()))];
        Fault.InvalidDataIf(pairs.Length == 0, $"'{json.Name}' has no pairs.");
        int[] Hits(string name)
        {
            int[] values = [.. json.Required(name).Items().SelectMany(row => row.Items()).Select(v => v.Value.GetInt32())];
            return values.Length == (long)layers * heads && Array.TrueForAll(values, hits => hits >= -1 && hits <= pairs.Length)
                ? values
                : throw new InvalidDataException($"'{name}' of the head map holds {values.Length} numbers; expected {layers} × {heads}, each from -1 to {pairs.Length}.");
        }

        Dictionary<Head, int[]> Examples(string name) => json.Required(name).Members().ToDictionary(
            e => Head.Parse(e.Key),
            e => e.Field.Items().Select(i => i.Whole() < pairs.Length ? (int)i.Whole() : throw i.Malformed($"the place of one of {pairs.Length} pairs")).ToArray());
        return new(
            new(
                json.Required("name").Text(), json.Required("category").Text(), pairs,
                [.. Lists("skippedPairs").Select(p => (p[0].Text(), p[1].Text(), p[2].Text()))]),
            json.Required("k").Count(), layers, heads, [Hits("relationHits"), Hits("suppressionHits")],
            [Examples("relationExamples"), Examples("suppressionExamples")]);

        IEnumerable<JsonField[]> Lists(string name) => json.Required(name).Items().Select(list => list.Items().ToArray());
    }
}
