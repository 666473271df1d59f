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
    /// <exception cref="InvalidDataException">The file is not JSON.</exception>
    public static JsonField Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(System.IO.File.ReadAllBytes(path));
            var root = new JsonField(path, string.Empty, string.Empty, 0, document.RootElement.Clone());
            root.Expect(JsonValueKind.Object, "an object");
            return root;
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

    /// <summary>The member of this name; null when it is absent or null.</summary>
    public JsonField? Optional(string name)
    {
        Expect(JsonValueKind.Object, "an object");
        return Value.TryGetProperty(name, out var member) && member.ValueKind != JsonValueKind.Null
            ? new JsonField(File, Path, name, 0, member)
            : null;
    }

    /// <summary>The member of this name.</summary>
    public JsonField Required(string name) =>
        Optional(name) ?? throw new InvalidDataException($"{File}: '{new JsonField(File, Path, name, 0, default).Path}' is missing.");

    /// <summary>Whether there is a member of this name, be it null.</summary>
    public bool Has(string name) => Value.ValueKind == JsonValueKind.Object && Value.TryGetProperty(name, out _);

    /// <summary>How many members an object, or items an array, has.</summary>
    public int Count
    {
        get
        {
            if (Value.ValueKind == JsonValueKind.Object)
            {
                return Value.GetPropertyCount();
            }

            Expect(JsonValueKind.Array, "an array");
            return Value.GetArrayLength();
        }
    }

    /// <summary>An item of an array.</summary>
    public JsonField Item(int index) => new(File, Path, null, index, Value[index]);

    /// <summary>The members of an object.</summary>
    public IEnumerable<(string Key, JsonField Field)> Members()
    {
        Expect(JsonValueKind.Object, "an object");
        var path = Path;
        foreach (var member in Value.EnumerateObject())
        {
            string key;
            try
            {
                key = member.Name;
            }
            catch (InvalidOperationException error)
            {
                throw new InvalidDataException($"{Name} has a key with a lone surrogate, which is no text.", error);
            }

            yield return (key, new JsonField(File, path, key, 0, member.Value));
        }
    }

    /// <summary>The items of an array.</summary>
    public IEnumerable<JsonField> Items()
    {
        Expect(JsonValueKind.Array, "an array");
        var path = Path;
        var index = 0;
        foreach (var item in Value.EnumerateArray())
        {
            yield return new JsonField(File, path, null, index++, item);
        }
    }

    /// <summary>The value as text.</summary>
    public string Text()
    {
        Expect(JsonValueKind.String, "text");
        try
        {
            return Value.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw new InvalidDataException($"{Name} holds a lone surrogate, which is no text.", error);
        }
    }

    /// <summary>The value as a token number.</summary>
    public int TokenId() =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out var id) && id >= 0
            ? id
            : throw new InvalidDataException($"{Name} should be a token number (a whole number, 0 or more), but is {Shown()}.");

    /// <summary>The value as true or false.</summary>
    public bool Flag() => Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw new InvalidDataException($"{Name} should be true or false, but is {Shown()}."),
    };

    /// <summary>The refusal of a value that means something this library does not do.</summary>
    public NotSupportedException Refuse(string supported) =>
        new($"{Name} is {Shown()}, which is not supported; supported: {supported}.");

    private void Expect(JsonValueKind kind, string what)
    {
        if (Value.ValueKind != kind)
        {
            throw new InvalidDataException($"{Name} should be {what}, but is {Shown()}.");
        }
    }

    private string Shown()
    {
        var raw = Value.GetRawText();
        return raw.Length <= 80 ? raw : raw[..80] + "…";
    }
}
