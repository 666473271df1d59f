using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace HeadScope;

/// <summary>The salient operations of a head: the source tokens it amplifies most, and what it maps them to.</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Head">The head.</param>
/// <param name="FirstMlp">Whether the embeddings passed the first MLP.</param>
/// <param name="MeanAmplification">The mean of |u W_V W_O| / |u| over the vocabulary.</param>
/// <param name="Operations">The operations, most amplified first.</param>
public sealed record HeadOperations(
    string Model, Head Head, bool FirstMlp, double MeanAmplification, IReadOnlyList<SalientOperation> Operations)
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The operations as CSV: a line for each source token and target.</summary>
    /// <param name="heads">The heads' operations.</param>
    /// <returns>The columns layer, head, rank, token, text, amplification, sign (1 for targets, -1 for suppressed tokens), target_rank,
    /// target, target_text, value.</returns>
    public static string ToCsv(IEnumerable<HeadOperations> heads) => CsvTable.Write(
        ["layer", "head", "rank", "token", "text", "amplification", "sign", "target_rank", "target", "target_text", "value"],
        from head in heads
        from operation in head.Operations.Select((o, rank) => (o, rank))
        from target in operation.o.Targets.Select((t, rank) => (t, rank, sign: 1))
            .Concat(operation.o.Suppressed.Select((t, rank) => (t, rank, sign: -1)))
        select (object[])
        [
            head.Head.Layer,
            head.Head.Index,
            operation.rank + 1,
            operation.o.Token,
            operation.o.Text,
            operation.o.Amplification,
            target.sign,
            target.rank + 1,
            target.t.Token,
            target.t.Text,
            target.t.Value,
        ]);

    /// <summary>The operations as JSON: the model, and in <c>heads</c> an object for each head.</summary>
    /// <param name="heads">The heads' operations.</param>
    /// <returns>An object with model and heads: layer, head, firstMlp, meanAmplification, operations: id, token, amplification,
    /// targetIds, targets, values, suppressedIds, suppressed, suppressedValues.</returns>
    public static string ToJson(IReadOnlyList<HeadOperations> heads)
    {
        ArgumentNullException.ThrowIfNull(heads);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, Indented))
        {
            json.WriteStartObject();
            json.WriteString("format", "headscope-salient-operations");
            json.WriteNumber("version", 1);
            json.WriteString("model", heads.Count > 0 ? heads[0].Model : "");
            json.WriteStartArray("heads");
            foreach (var head in heads)
            {
                head.Write(json);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.ToArray());
    }

    /// <summary>The operations of this head as JSON.</summary>
    /// <returns>As <see cref="ToJson(IReadOnlyList{HeadOperations})"/> with one head.</returns>
    public string ToJson() => ToJson([this]);

    /// <summary>The operations of this head as CSV.</summary>
    /// <returns>As <see cref="ToCsv(IEnumerable{HeadOperations})"/> with one head.</returns>
    public string ToCsv() => ToCsv([this]);

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Head}: {string.Join("; ", Operations.Take(3).Select(o => $"'{o.Text}' → {string.Join(", ", o.Targets.Take(2).Select(t => $"'{t.Text}'"))}"))}");

    private static void Write(Utf8JsonWriter json, string name, IReadOnlyList<TokenValue> tokens, string ids, string values)
    {
        json.WriteStartArray(ids);
        foreach (var token in tokens)
        {
            json.WriteNumberValue(token.Token);
        }

        json.WriteEndArray();
        json.WriteStartArray(name);
        foreach (var token in tokens)
        {
            json.WriteStringValue(token.Text);
        }

        json.WriteEndArray();
        json.WriteStartArray(values);
        foreach (var token in tokens)
        {
            json.WriteNumberValue(token.Value);
        }

        json.WriteEndArray();
    }

    private void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteNumber("layer", Head.Layer);
        json.WriteNumber("head", Head.Index);
        json.WriteBoolean("firstMlp", FirstMlp);
        json.WriteNumber("meanAmplification", MeanAmplification);
        json.WriteStartArray("operations");
        foreach (var operation in Operations)
        {
            json.WriteStartObject();
            json.WriteNumber("id", operation.Token);
            json.WriteString("token", operation.Text);
            json.WriteNumber("amplification", operation.Amplification);
            Write(json, "targets", operation.Targets, "targetIds", "values");
            Write(json, "suppressed", operation.Suppressed, "suppressedIds", "suppressedValues");
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
