using System.Collections;
using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;

namespace HeadScope;

/// <summary>Results as JSON: an object that names its format and version, words of other scripts as they are.</summary>
internal static class ResultJson
{
    private static readonly JsonSerializerOptions InLines = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions InOneLine = new(InLines) { WriteIndented = false };

    /// <summary>Writes what is told of a result, <c>new { model, layers = 12, … }</c>, behind its format and version.</summary>
    public static string Write(string format, object told, bool indented = false) =>
        Text(new JsonObject([.. Fields(new { format, version = 1 }), .. Fields(told)]), indented);

    /// <summary>A value as the text of its JSON.</summary>
    public static string Text(object value, bool indented) => Node(value)!.ToJsonString(indented ? InLines : InOneLine);

    /// <summary>A value as JSON: lists and tuples as arrays, of another object its properties. (<see cref="JsonSerializer"/> does no such thing in
    /// file-based programs, which switch reflection off for it.)</summary>
    public static JsonNode? Node(object? value) => value switch
    {
        null or JsonNode => (JsonNode?)value,
        string text => text,
        bool truth => truth,
        int number => number,
        long number => number,
        float number => number,
        double number => number,
        Head head => $"{head}",
        ITuple tuple => new JsonArray([.. Enumerable.Range(0, tuple.Length).Select(i => Node(tuple[i]))]),
        IEnumerable items => new JsonArray([.. items.Cast<object?>().Select(Node)]),
        _ => new JsonObject(Fields(value)),
    };

    /// <summary>Values by head, in order, as an object.</summary>
    public static JsonObject ByHead<T>(IEnumerable<KeyValuePair<Head, T>> values) =>
        new(values.OrderBy(of => of.Key).Select(of => KeyValuePair.Create($"{of.Key}", Node(of.Value))));

    /// <summary>Makes a result of its JSON.</summary>
    /// <param name="json">The JSON.</param>
    /// <param name="format">The name of the format.</param>
    /// <param name="kind">What the result is called in messages, such as <c>head map</c>.</param>
    /// <param name="result">Makes it of the object; what it does not find there, or finds otherwise, may be any exception of reading JSON.</param>
    /// <exception cref="InvalidDataException">It is no JSON, something else, or of another version, or cannot be read.</exception>
    public static T Read<T>(string json, string format, string kind, Func<JsonField, T> result)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = new JsonField(kind, "", "", 0, document.RootElement);
            Fault.InvalidDataIf(
                root.Value.ValueKind != JsonValueKind.Object || root.Optional("format")?.Text() != format,
                $"This JSON is no {kind}: expected an object with \"format\": \"{format}\".");
            var version = root.Required("version").Whole();
            Fault.InvalidDataIf(version != 1, $"The {kind} has version {version}; this HeadScope reads version 1.");
            return result(root);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or ArgumentException or IndexOutOfRangeException)
        {
            throw new InvalidDataException($"The {kind} cannot be read: {e.Message}", e);
        }
    }

    private static IEnumerable<KeyValuePair<string, JsonNode?>> Fields(object told) =>
        told.GetType().GetProperties().Select(property => KeyValuePair.Create(property.Name, Node(property.GetValue(told))));
}
