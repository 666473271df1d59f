using System.Globalization;
using System.Text.Json;

namespace HeadScope;

/// <summary>A value in a JSON file that knows where it stands, so that what is wrong with it can be said with file and key.</summary>
/// <param name="File">The file.</param>
/// <param name="Parent">The path of the object or array that holds it.</param>
/// <param name="Key">Its name in an object; null in an array.</param>
/// <param name="Index">Its place in an array.</param>
/// <param name="Value">The value.</param>
internal readonly record struct JsonField(string File, string Parent, string? Key, int Index, JsonElement Value)
{
    /// <summary>Reads a file whose outermost value is an object.</summary>
    /// <exception cref="FileNotFoundException">The file is not there.</exception>
    /// <exception cref="InvalidDataException">The file is not JSON, or no regular file.</exception>
    public static JsonField Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(RegularFile.ReadAllBytes(path));
            return new JsonField(path, "", "", 0, document.RootElement.Clone()).Expect(JsonValueKind.Object, "an object");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException(
                $"{path} is not valid JSON ({error.Message}). The file is damaged or incomplete: download it again.", error);
        }
    }

    /// <summary>What the value is called in messages.</summary>
    public string Name => Path.Length == 0 ? File : $"{File}: {Path}";

    // Put together when asked for: a vocabulary has many values and rarely a wrong one.
    private string Path =>
        Key is null ? string.Create(CultureInfo.InvariantCulture, $"{Parent}[{Index}]")
        : Parent.Length == 0 ? Key
        : $"{Parent}.{Key}";

    /// <summary>Whether there is a member of this name, be it null.</summary>
    public bool Has(string name) => Member(name).ValueKind != JsonValueKind.Undefined;

    /// <summary>The member of this name; null when it is absent or null.</summary>
    public JsonField? Optional(string name) => Member(name) is { ValueKind: not (JsonValueKind.Undefined or JsonValueKind.Null) } member
        ? new JsonField(File, Path, name, 0, member)
        : null;

    /// <summary>The member of this name.</summary>
    public JsonField Required(string name) =>
        Optional(name) ?? throw new InvalidDataException($"{File}: '{new JsonField(File, Path, name, 0, default).Path}' is missing.");

    /// <summary>The member of this name as true or false.</summary>
    public bool Flag(string name, bool missing = false) => Optional(name) switch
    {
        null => missing,
        { Value.ValueKind: JsonValueKind.True } => true,
        { Value.ValueKind: JsonValueKind.False } => false,
        { } other => throw other.Wrong("true or false"),
    };

    /// <summary>How many items an array has.</summary>
    public int Count => Expect(JsonValueKind.Array, "an array").Value.GetArrayLength();

    /// <summary>An item of an array, called by the array's name.</summary>
    public JsonField Item(int index) => this with { Value = Value[index] };

    /// <summary>The members of an object.</summary>
    public IEnumerable<(string Key, JsonField Field)> Members()
    {
        var path = Expect(JsonValueKind.Object, "an object").Path;
        foreach (var member in Value.EnumerateObject())
        {
            var key = Sound(member, member => member.Name);
            yield return (key, new JsonField(File, path, key, 0, member.Value));
        }
    }

    /// <summary>The items of an array.</summary>
    public IEnumerable<JsonField> Items()
    {
        var (file, path) = (File, Expect(JsonValueKind.Array, "an array").Path);
        return Value.EnumerateArray().Select((item, index) => new JsonField(file, path, null, index, item));
    }

    /// <summary>The value as text.</summary>
    public string Text() => Sound(Expect(JsonValueKind.String, "text").Value, value => value.GetString()!);

    /// <summary>The value as a token number.</summary>
    public int TokenId() => Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out var id) && id >= 0
        ? id
        : throw Wrong("a token number (a whole number, 0 or more)");

    /// <summary>The refusal of a value that means something this library does not do.</summary>
    public NotSupportedException Refuse(string supported) =>
        new($"{Name} is {Shown()}, which is not supported; supported: {supported}.");

    /// <summary>The beginning of a text, for messages; no character is cut in half.</summary>
    public static string Excerpt(string text, int most) =>
        text.Length <= most ? text : text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)] + "…";

    private JsonElement Member(string name) => Sound(
        (Expect(JsonValueKind.Object, "an object").Value, name),
        asked => asked.Value.TryGetProperty(asked.name, out var member) ? member : default);

    private JsonField Expect(JsonValueKind kind, string what) => Value.ValueKind == kind ? this : throw Wrong(what);

    private InvalidDataException Wrong(string expected) => new($"{Name} should be {expected}, but is {Shown()}.");

    private TResult Sound<T, TResult>(T value, Func<T, TResult> read)
    {
        try
        {
            return read(value);
        }
        catch (InvalidOperationException error)
        {
            throw new InvalidDataException($"{Name} holds a lone surrogate, which is no text.", error);
        }
    }

    private string Shown() => Excerpt(Value.GetRawText(), 80);
}
