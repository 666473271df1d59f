using System.Text.Json;

namespace HeadScope;

/// <summary>The envelope of results kept as JSON: an object that names its format and version.</summary>
internal static class ResultJson
{
    /// <summary>Refuses JSON that is not a result of the expected kind in version 1.</summary>
    /// <param name="root">The JSON.</param>
    /// <param name="format">The name of the format.</param>
    /// <param name="kind">What the result is called in messages, such as <c>head map</c>.</param>
    /// <exception cref="InvalidDataException">It is something else, or of another version.</exception>
    /// <exception cref="KeyNotFoundException">It has no version.</exception>
    public static void RequireVersionOne(JsonElement root, string format, string kind)
    {
        Fault.InvalidDataIf(
            root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("format", out var found) || found.ToString() != format,
            $"This JSON is no {kind}: expected an object with \"format\": \"{format}\".");
        var version = root.GetProperty("version").GetInt32();
        Fault.InvalidDataIf(version != 1, $"The {kind} has version {version}; this HeadScope reads version 1.");
    }
}
