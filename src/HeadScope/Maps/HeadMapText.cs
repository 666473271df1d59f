using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace HeadScope;

/// <content>The map as CSV and as JSON, and back.</content>
public sealed partial record HeadMap
{
    private const string FormatName = "headscope-head-map";

    /// <summary>The scores as CSV: a line for each relation and head that was scored, below a header.</summary>
    /// <returns>The columns relation, category, layer, head, k, pairs, relation_hits, suppression_hits, relation_score,
    /// suppression_score.</returns>
    public string ToCsv() => CsvTable.Write(
        ["relation", "category", "layer", "head", "k", "pairs", "relation_hits", "suppression_hits", "relation_score", "suppression_score"],
        from relation in Relations
        from layer in Enumerable.Range(0, LayerCount)
        from head in Enumerable.Range(0, HeadCount)
        let score = relation.Of(new(layer, head))
        let suppression = relation.Of(new(layer, head), suppression: true)
        where score.Hits >= 0
        select (object[])
        [
            relation.Name,
            relation.Category,
            layer,
            head,
            relation.K,
            relation.PairsUsed,
            score.Hits,
            suppression.Hits,
            score.Score,
            suppression.Score,
        ]);

    /// <summary>The whole map as JSON, from which <see cref="FromJson"/> makes it again.</summary>
    /// <returns>An object with the model, and in <c>relations</c> for each its name, k, pairs, and as [layer][head] arrays
    /// relationScores, suppressionScores, relationHits and suppressionHits (null and -1 for heads of other parts).</returns>
    public string ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("format", FormatName);
            json.WriteNumber("version", 1);
            json.WriteString("model", Model);
            json.WriteNumber("layers", LayerCount);
            json.WriteNumber("heads", HeadCount);
            json.WriteNumber("keyValueHeads", KeyValueHeadCount);
            json.WriteBoolean("firstMlp", FirstMlp);
            json.WriteString("shard", Shard.ToString());
            json.WriteStartArray("relations");
            foreach (var relation in Relations)
            {
                Write(json, relation);
            }

            json.WriteEndArray();
            json.WriteStartArray("skipped");
            foreach (var skipped in Skipped)
            {
                json.WriteStartObject();
                json.WriteString("name", skipped.Name);
                json.WriteString("category", skipped.Category);
                json.WriteNumber("pairsUsable", skipped.PairsUsable);
                json.WriteNumber("pairsTotal", skipped.PairsTotal);
                json.WriteString("reason", skipped.Reason);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Reads a map that <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">The JSON.</param>
    /// <returns>The map.</returns>
    /// <exception cref="InvalidDataException">The text is no JSON or no head map; the message names the field.</exception>
    public static HeadMap FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = document.RootElement;
            ResultJson.RequireVersionOne(root, FormatName, "head map");

            var layers = root.GetProperty("layers").GetInt32();
            var heads = root.GetProperty("heads").GetInt32();
            return new HeadMap(
                root.GetProperty("model").GetString()!,
                layers,
                heads,
                root.GetProperty("keyValueHeads").GetInt32(),
                root.GetProperty("firstMlp").GetBoolean(),
                Shard.Parse(root.GetProperty("shard").GetString()!),
                [.. root.GetProperty("relations").EnumerateArray().Select(r => ReadRelation(r, layers, heads))],
                [.. root.GetProperty("skipped").EnumerateArray().Select(s => new SkippedRelation(
                    s.GetProperty("name").GetString()!,
                    s.GetProperty("category").GetString()!,
                    s.GetProperty("pairsUsable").GetInt32(),
                    s.GetProperty("pairsTotal").GetInt32(),
                    s.GetProperty("reason").GetString()!))]);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new InvalidDataException($"The head map cannot be read: {e.Message}", e);
        }
    }

    private static void Write(Utf8JsonWriter json, RelationScores relation)
    {
        json.WriteStartObject();
        json.WriteString("name", relation.Name);
        json.WriteString("category", relation.Category);
        json.WriteNumber("k", relation.K);
        json.WriteNumber("pairsUsed", relation.PairsUsed);
        Write(json, "relationScores", relation.Hits(suppression: false), (j, hits) => WriteScore(j, relation.Share(hits)));
        Write(json, "suppressionScores", relation.Hits(suppression: true), (j, hits) => WriteScore(j, relation.Share(hits)));
        Write(json, "relationHits", relation.Hits(suppression: false), (j, hits) => j.WriteNumberValue(hits));
        Write(json, "suppressionHits", relation.Hits(suppression: true), (j, hits) => j.WriteNumberValue(hits));
        json.WriteStartArray("pairs");
        foreach (var pair in relation.Pairs)
        {
            json.WriteStartArray();
            json.WriteStringValue(pair.Source);
            json.WriteStringValue(pair.Target);
            json.WriteNumberValue(pair.SourceToken);
            json.WriteNumberValue(pair.TargetToken);
            json.WriteEndArray();
        }

        json.WriteEndArray();
        json.WriteStartArray("skippedPairs");
        foreach (var pair in relation.SkippedPairs)
        {
            json.WriteStartArray();
            json.WriteStringValue(pair.Source);
            json.WriteStringValue(pair.Target);
            json.WriteStringValue(pair.Reason);
            json.WriteEndArray();
        }

        json.WriteEndArray();
        Write(json, "relationExamples", relation.RelationExamples);
        Write(json, "suppressionExamples", relation.SuppressionExamples);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, string name, int[,] hits, Action<Utf8JsonWriter, int> write)
    {
        json.WriteStartArray(name);
        for (var layer = 0; layer < hits.GetLength(0); layer++)
        {
            json.WriteStartArray();
            for (var head = 0; head < hits.GetLength(1); head++)
            {
                write(json, hits[layer, head]);
            }

            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, IReadOnlyDictionary<Head, IReadOnlyList<int>> examples)
    {
        json.WriteStartObject(name);
        foreach (var (head, pairs) in examples.OrderBy(e => e.Key))
        {
            json.WriteStartArray(head.ToString());
            foreach (var pair in pairs)
            {
                json.WriteNumberValue(pair);
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    private static void WriteScore(Utf8JsonWriter json, float score)
    {
        if (float.IsNaN(score))
        {
            json.WriteNullValue();
        }
        else
        {
            json.WriteNumberValue(score);
        }
    }

    private static RelationScores ReadRelation(JsonElement json, int layers, int heads) => new(
        json.GetProperty("name").GetString()!,
        json.GetProperty("category").GetString()!,
        json.GetProperty("k").GetInt32(),
        [.. json.GetProperty("pairs").EnumerateArray().Select(p => new TokenPair(p[0].GetString()!, p[1].GetString()!, p[2].GetInt32(), p[3].GetInt32()))],
        [.. json.GetProperty("skippedPairs").EnumerateArray().Select(p => new SkippedPair(p[0].GetString()!, p[1].GetString()!, p[2].GetString()!))],
        ReadHits(json, "relationHits", layers, heads),
        ReadHits(json, "suppressionHits", layers, heads),
        ReadExamples(json.GetProperty("relationExamples")),
        ReadExamples(json.GetProperty("suppressionExamples")));

    private static int[,] ReadHits(JsonElement json, string name, int layers, int heads)
    {
        int[] values = [.. json.GetProperty(name).EnumerateArray().SelectMany(row => row.EnumerateArray()).Select(v => v.GetInt32())];
        if (values.Length != layers * heads)
        {
            throw new InvalidDataException($"'{name}' of the head map holds {values.Length} numbers; expected {layers} × {heads}.");
        }

        var hits = new int[layers, heads];
        Buffer.BlockCopy(values, 0, hits, 0, Buffer.ByteLength(values));
        return hits;
    }

    private static Dictionary<Head, IReadOnlyList<int>> ReadExamples(JsonElement json) => json.EnumerateObject().ToDictionary(
        e => Head.Parse(e.Name), e => (IReadOnlyList<int>)[.. e.Value.EnumerateArray().Select(v => v.GetInt32())]);
}
