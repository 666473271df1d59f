using System.Globalization;
using System.Text.Json;

namespace HeadScope;

/// <summary>Reads keys of a <c>config.json</c> or of a part of it; every error names file, key and value.</summary>
internal sealed class ConfigFile
{
    private readonly string path;
    private readonly JsonElement root;
    private readonly string parent;

    private ConfigFile(string path, JsonElement root, string parent)
    {
        this.path = path;
        this.root = root;
        this.parent = parent;
    }

    /// <summary>The file.</summary>
    public string Path => path;

    /// <summary>Reads the file.</summary>
    public static ConfigFile Read(string path)
    {
        using var document = ParseObject(path);
        return new(path, document.RootElement.Clone(), "");
    }

    /// <summary>Reads a file that holds a JSON object, all of whose names and texts can be read.</summary>
    public static JsonDocument ParseObject(string path)
    {
        try
        {
            var document = JsonDocument.Parse(RegularFile.ReadAllBytes(path));

            // Half a surrogate pair is refused only where it is read, a name even where another is looked for: so everything is read once.
            using var nowhere = new Utf8JsonWriter(Stream.Null);
            document.RootElement.WriteTo(nowhere);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document
                : throw new InvalidDataException($"'{path}' is not a configuration: expected a JSON object.");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"'{path}' is not valid JSON: {error.Message}", error);
        }
        catch (InvalidOperationException error)
        {
            throw new InvalidDataException($"'{path}' has a name or a text with half a surrogate pair, such as \\ud800, which is no text.", error);
        }
    }

    /// <summary>Whether the key is there and not null.</summary>
    public bool Has(string key) => Find(key) is not null;

    /// <summary>The object under a key; null when it is missing or null.</summary>
    public ConfigFile? Part(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } part => new(path, part, $"{parent}{key}."),
        { } other => throw Malformed(key, other, "an object"),
    };

    /// <summary>A positive whole number under the first of some keys that is there.</summary>
    public int Count(params ReadOnlySpan<string> keys) => CountOrNull(keys)
        ?? throw new InvalidDataException($"'{path}' has no '{parent}{string.Join($"' or '{parent}", keys.ToArray())}'.");

    /// <summary>A positive whole number under the first of some keys that is there; null when none is.</summary>
    public int? CountOrNull(params ReadOnlySpan<string> keys)
    {
        foreach (var key in keys)
        {
            if (Find(key) is { } value)
            {
                return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number > 0
                    ? number
                    : throw Malformed(key, value, "a positive whole number");
            }
        }

        return null;
    }

    /// <summary>A whole number from 0 on; null when it is missing.</summary>
    public int? WholeOrNull(string key) => Find(key) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= 0 ? number
        : throw Malformed(key, value, "a whole number from 0 on");

    /// <summary>A positive number; null when it is missing.</summary>
    public double? NumberOrNull(string key) => Find(key) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number && value.GetDouble() is > 0 and < double.PositiveInfinity and var number ? number
        : throw Malformed(key, value, "a positive number");

    /// <summary>A positive number.</summary>
    public double Number(string key) =>
        NumberOrNull(key) ?? throw new InvalidDataException($"'{path}' has no '{parent}{key}'.");

    /// <summary>A truth value, or what stands for a missing one.</summary>
    public bool Flag(string key, bool missing) => Find(key) switch
    {
        null => missing,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } other => throw Malformed(key, other, "true or false"),
    };

    /// <summary>A text; null when it is missing.</summary>
    public string? Text(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => text.GetString(),
        { } other => throw Malformed(key, other, "a text"),
    };

    /// <summary>The error for a feature that is not supported.</summary>
    public NotSupportedException Refuse(string key, string supported) => new(string.Create(
        CultureInfo.InvariantCulture,
        $"'{path}' asks for '{parent}{key}' = {Find(key)?.GetRawText() ?? "(missing)"}, which HeadScope does not support: {supported}"));

    private JsonElement? Find(string key) =>
        root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private InvalidDataException Malformed(string key, JsonElement value, string expected) =>
        new($"'{path}' has '{parent}{key}' = {value.GetRawText()}; expected {expected}.");
}
