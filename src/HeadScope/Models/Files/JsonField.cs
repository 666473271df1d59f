using System.Text.Unicode;

namespace HeadScope;

/// <summary>A value in a JSON file that knows where it stands, so that what is wrong with it can be said with file and key.</summary>
/// <remarks>The parent is the path of the object or array that holds it; the key is null in an array.</remarks>
internal readonly record struct JsonField(string File, string Parent, string? Key, int Index, JsonElement Value)
{
    /// <summary>What the value is called in messages.</summary>
    public string Name => Path.Length == 0 ? File : $"{File}: {Path}";

    // Put together when asked for: a vocabulary has many values and rarely a wrong one.
    private string Path =>
        Key is null ? string.Create(CultureInfo.InvariantCulture, $"{Parent}[{Index}]")
        : Parent.Length == 0 ? Key
        : $"{Parent}.{Key}";

    /// <summary>Reads a file whose outermost value is an object.</summary>
    /// <exception cref="InvalidDataException">It is not, or no JSON, or no regular file.</exception>
    public static JsonField Read(string path) => Parse(path, RegularFile.ReadAllBytes(path));

    /// <summary>Reads what a file holds.</summary>
    public static JsonField Parse(string file, byte[] json)
    {
        try
        {
            using var document = JsonDocument.Parse(Utf8.IsValid(json) ? json : throw new JsonException("some bytes are no UTF-8"));
            var root = new JsonField(file, "", "", 0, document.RootElement.Clone()).Expect(JsonValueKind.Object, "an object");

            // Half a surrogate pair is an error only where it is read, a name even where another is looked for: so everything is read once.
            if (json.AsSpan().IndexOf(@"\ud"u8) >= 0 || json.AsSpan().IndexOf(@"\uD"u8) >= 0)
            {
                root.RequireText();
            }

            return root;
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"'{file}' is not valid JSON ({error.Message}). The file is damaged or incomplete: download it again.", error);
        }
    }

    /// <summary>Whether there is a member of this name, be it null.</summary>
    public bool Has(string name) => Value.TryGetProperty(name, out _);

    /// <summary>The place of a member, without a value when it is absent or null.</summary>
    public JsonField this[string name] => new(
        File,
        Path,
        name,
        0,
        Expect(JsonValueKind.Object, "an object").Value.TryGetProperty(name, out var member) && member.ValueKind != JsonValueKind.Null ? member : default);

    /// <summary>The member of this name; null when it is absent or null.</summary>
    public JsonField? Optional(string name) => this[name] is { Value.ValueKind: not JsonValueKind.Undefined } member ? member : null;

    /// <summary>The first member of one of these names.</summary>
    public JsonField Required(params string[] names)
    {
        var self = this;
        return names.Select(name => self.Optional(name)).FirstOrDefault(member => member is not null)
            ?? throw new InvalidDataException($"'{File}' has no {string.Join(" or ", names.Select(name => $"'{self[name].Path}'"))}.");
    }

    /// <summary>The member of this name as true or false, or what stands for a missing one.</summary>
    public bool Flag(string name, bool missing = false) => Optional(name) switch
    {
        null => missing,
        { Value.ValueKind: JsonValueKind.True } => true,
        { Value.ValueKind: JsonValueKind.False } => false,
        { } other => throw other.Malformed("true or false"),
    };

    public IEnumerable<JsonField> Items()
    {
        var (file, path) = (File, Expect(JsonValueKind.Array, "an array").Path);
        return Value.EnumerateArray().Select((item, index) => new JsonField(file, path, null, index, item));
    }

    public IEnumerable<(string Key, JsonField Field)> Members()
    {
        var (file, path) = (File, Expect(JsonValueKind.Object, "an object").Path);
        return Value.EnumerateObject().Select(member => new JsonField(file, path, member.Name, 0, member.Value)).Select(field => (field.Key!, field));
    }

    public string Text() => Expect(JsonValueKind.String, "a text").Value.GetString()!;

    /// <summary>The value as a whole number from 1 on.</summary>
    public int Count() => (int)Whole(1, int.MaxValue, "a positive whole number");

    /// <summary>The value as a whole number from 0 on.</summary>
    public long Whole() => Whole(0, long.MaxValue, "a whole number from 0 on");

    public int TokenId() => (int)Whole(0, int.MaxValue, "a token number (a whole number, 0 or more)");

    /// <summary>The value as a number above 0.</summary>
    public double Positive() => Value.ValueKind == JsonValueKind.Number && Value.GetDouble() is > 0 and < double.PositiveInfinity and var number
        ? number
        : throw Malformed("a positive number");

    /// <summary>The refusal of a value that means something this library does not do.</summary>
    public NotSupportedException Refuse(string supported) =>
        new($"'{File}' asks for '{Path}' = {Shown()}, which HeadScope does not support; {supported}.");

    public void RefuseIf(bool isSo, string supported) => _ = isSo ? throw Refuse(supported) : 0;

    public InvalidDataException Malformed(string expected) => new($"'{File}' has '{Path}' = {Shown()}; expected {expected}.");

    /// <summary>The beginning of a text, for messages; no character is cut in half.</summary>
    public static string Excerpt(string text, int most) =>
        text.Length <= most ? text : text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)] + "…";

    private long Whole(long least, long most, string expected) =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt64(out var number) && number >= least && number <= most
            ? number
            : throw Malformed(expected);

    private JsonField Expect(JsonValueKind kind, string what) => Value.ValueKind == kind ? this : throw Malformed(what);

    private string Shown() => Value.ValueKind == JsonValueKind.Undefined ? "(missing)" : Excerpt(Value.GetRawText(), 80);

    private void RequireText()
    {
        try
        {
            foreach (var field in Value.ValueKind switch
            {
                JsonValueKind.Object => Members().Select(member => member.Field),
                JsonValueKind.Array => Items(),
                _ => [],
            })
            {
                field.RequireText();
            }

            _ = Value.ValueKind == JsonValueKind.String ? Value.GetString() : null;
        }
        catch (InvalidOperationException error)
        {
            throw new InvalidDataException($"{Name} holds half a surrogate pair, which is no text.", error);
        }
    }
}
