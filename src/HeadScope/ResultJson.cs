using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope;

/// <summary>Results as JSON: an object that names its format and version, words of other scripts as they are.</summary>
internal static class ResultJson
{
    private static readonly JsonSerializerOptions InLines = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonSerializerOptions InOneLine = new(InLines) { WriteIndented = false };

    public static string Written(JsonObject result, bool indented = false) => result.ToJsonString(indented ? InLines : InOneLine);

    public static JsonArray List<T>(IEnumerable<T> items, Func<T, JsonNode?> item) => new([.. items.Select(item)]);

    /// <exception cref="FormatException">It is null.</exception>
    public static string Text(this JsonElement json, string name) => json.GetProperty(name).GetString() ?? throw new FormatException($"'{name}' is null.");

    /// <exception cref="FormatException">It is below the least.</exception>
    public static int Number(this JsonElement json, string name, int least) =>
        json.GetProperty(name).GetInt32() is var number && number >= least
            ? number
            : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"'{name}' is {number}; expected at least {least}."));

    /// <exception cref="FormatException">It is beyond what a double holds.</exception>
    public static double Finite(this JsonElement json, string name) =>
        json.GetProperty(name).GetDouble() is var number && double.IsFinite(number) ? number : throw new FormatException($"'{name}' is no finite number.");

    /// <summary>Makes a result of its JSON.</summary>
    /// <param name="json">The JSON.</param>
    /// <param name="format">The name of the format.</param>
    /// <param name="kind">What the result is called in messages, such as <c>head map</c>.</param>
    /// <param name="result">Makes it of the object; what it does not find there, or finds otherwise, may be any exception of reading JSON.</param>
    /// <exception cref="InvalidDataException">It is no JSON, something else, or of another version, or cannot be read.</exception>
    public static T Read<T>(string json, string format, string kind, Func<JsonElement, T> result)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = document.RootElement;
            Fault.InvalidDataIf(
                root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("format", out var found) || found.ToString() != format,
                $"This JSON is no {kind}: expected an object with \"format\": \"{format}\".");
            var version = root.GetProperty("version").GetInt32();
            Fault.InvalidDataIf(version != 1, $"The {kind} has version {version}; this HeadScope reads version 1.");
            return result(root);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException
            or IndexOutOfRangeException or OverflowException)
        {
            throw new InvalidDataException($"The {kind} cannot be read: {e.Message}", e);
        }
    }
}
