using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope;

/// <content>The map as CSV and as JSON, and back.</content>
public sealed partial record HeadMap
{
    private const string FormatName = "headscope-head-map";

    internal string ShardText => Text(Shard);

    /// <summary>The scores as CSV: <see cref="Table"/> below a header.</summary>
    /// <returns>The columns relation, category, layer, head, k, pairs, relation_hits, suppression_hits, relation_score,
    /// suppression_score.</returns>
    public string ToCsv() => CsvTable.Write(Table);

    /// <summary>The whole map as JSON, from which <see cref="FromJson"/> makes it again.</summary>
    /// <returns>An object with the model, and in <c>relations</c> for each its name, k, pairs, and as [layer][head] arrays
    /// relationScores, suppressionScores, relationHits and suppressionHits (null and -1 for heads of other parts).</returns>
    public string ToJson() => ResultJson.Written(new JsonObject
    {
        ["format"] = FormatName,
        ["version"] = 1,
        ["model"] = Model,
        ["layers"] = LayerCount,
        ["heads"] = HeadCount,
        ["keyValueHeads"] = KeyValueHeadCount,
        ["firstMlp"] = FirstMlp,
        ["shard"] = ShardText,
        ["relations"] = ResultJson.List(Relations, Written),
        ["skipped"] = ResultJson.List(unscored, s => new JsonObject
        {
            ["name"] = s.Name,
            ["category"] = s.Category,
            ["pairsUsable"] = s.Usable,
            ["pairsTotal"] = s.Total,
            ["reason"] = s.Reason,
        }),
    });

    /// <summary>Reads a map that <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">The JSON.</param>
    /// <returns>The map.</returns>
    /// <exception cref="InvalidDataException">The text is no JSON or no head map; the message names the field.</exception>
    public static HeadMap FromJson(string json) => ResultJson.Read(json, FormatName, "head map", root =>
    {
        var (layers, heads, keyValueHeads) = (root.Number("layers", least: 1), root.Number("heads", least: 1), root.Number("keyValueHeads", least: 1));
        var (shard, relations) = (ParseShard(root.Text("shard")), root.GetProperty("relations"));
        Fault.InvalidDataIf(
            heads % keyValueHeads != 0 || shard.Part < 1 || shard.Part > shard.Of || relations.GetArrayLength() == 0,
            $"The head map is of part {Text(shard)}, of {heads} heads over {keyValueHeads} key-value heads and {relations.GetArrayLength()} relations; expected a part "
            + $"from 1/n to n/n, a multiple, and at least one relation.");
        return new HeadMap(
            root.Text("model"), layers, heads, keyValueHeads, root.GetProperty("firstMlp").GetBoolean(), shard,
            [.. relations.EnumerateArray().Select(r => ReadRelation(r, layers, heads))])
        {
            unscored = [.. root.GetProperty("skipped").EnumerateArray().Select(s => new Unscored(
                s.Text("name"), s.Text("category"), s.Number("pairsUsable", least: 0), s.Number("pairsTotal", least: 0), s.Text("reason")))],
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

    private static JsonObject Written(RelationScores relation)
    {
        JsonArray Table(bool suppression, Func<HeadScore, JsonNode?> cell) =>
            ResultJson.List(relation.Heads.Chunk(relation.HeadCount), layer => ResultJson.List(layer, head => cell(relation.Of(head, suppression))));
        static JsonNode? Score(HeadScore score) => score.Hits < 0 ? null : score.Score;
        static JsonNode? Hits(HeadScore score) => score.Hits;
        JsonObject Examples(int sign) => new(relation.PairsThatHit[sign].OrderBy(e => e.Key).Select(
            e => KeyValuePair.Create(e.Key.ToString(), (JsonNode?)ResultJson.List(e.Value, pair => pair))));
        return new()
        {
            ["name"] = relation.Name,
            ["category"] = relation.Category,
            ["k"] = relation.K,
            ["pairsUsed"] = relation.Relation.Pairs.Count,
            ["relationScores"] = Table(false, Score),
            ["suppressionScores"] = Table(true, Score),
            ["relationHits"] = Table(false, Hits),
            ["suppressionHits"] = Table(true, Hits),
            ["pairs"] = ResultJson.List(relation.Relation.Pairs, p => new JsonArray(p.Source, p.Target, p.SourceToken, p.TargetToken)),
            ["skippedPairs"] = ResultJson.List(relation.SkippedPairs, p => new JsonArray(p.Source, p.Target, p.Reason)),
            ["relationExamples"] = Examples(0),
            ["suppressionExamples"] = Examples(1),
        };
    }

    private static RelationScores ReadRelation(JsonElement json, int layers, int heads)
    {
        TokenPair[] pairs = [.. json.GetProperty("pairs").EnumerateArray().Select(p => new TokenPair(Word(p[0]), Word(p[1]), p[2].GetInt32(), p[3].GetInt32()))];
        static string Word(JsonElement word) => word.GetString() ?? throw new FormatException("A word of a pair is null.");
        Fault.InvalidDataIf(pairs.Length == 0, $"A relation of the head map has no pairs.");
        int[] Hits(string name)
        {
            int[] values = [.. json.GetProperty(name).EnumerateArray().SelectMany(row => row.EnumerateArray()).Select(v => v.GetInt32())];
            return values.Length == (long)layers * heads && Array.TrueForAll(values, hits => hits >= -1 && hits <= pairs.Length)
                ? values
                : throw new InvalidDataException($"'{name}' of the head map holds {values.Length} numbers; expected {layers} × {heads}, each from -1 to {pairs.Length}.");
        }

        Dictionary<Head, int[]> Examples(string name) => json.GetProperty(name).EnumerateObject().ToDictionary(
            e => Head.Parse(e.Name),
            e => e.Value.EnumerateArray().Select(v => v.GetInt32()).Select(i => i >= 0 && i < pairs.Length
                ? i
                : throw new FormatException($"'{name}' of head {e.Name} names pair {i}; there are {pairs.Length}.")).ToArray());
        return new(
            new(
                json.Text("name"), json.Text("category"), pairs,
                [.. json.GetProperty("skippedPairs").EnumerateArray().Select(p => (Word(p[0]), Word(p[1]), Word(p[2])))]),
            json.Number("k", least: 1), layers, heads, [Hits("relationHits"), Hits("suppressionHits")], [Examples("relationExamples"), Examples("suppressionExamples")]);
    }
}
