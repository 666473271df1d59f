namespace HeadScope;

/// <summary>
/// What tokenizer_config.json, or the older special_tokens_map.json, adds to a tokenizer: which tokens begin and end a text, and
/// added tokens that the tokenizer's own file may lack.
/// </summary>
internal sealed record TokenizerSettings
{
    /// <summary>The file, for messages; null when there is none.</summary>
    public string? Source { get; init; }

    /// <summary>Whether the file says which tokens begin and end a text, be it "none".</summary>
    public bool NamesEnds { get; init; }

    /// <summary>The token a text begins with.</summary>
    public string? BeginningOfText { get; init; }

    /// <summary>The token a text ends with.</summary>
    public string? EndOfText { get; init; }

    /// <summary>The entry for what the vocabulary lacks.</summary>
    public string? Unknown { get; init; }

    /// <summary>The Python class the file was written for.</summary>
    public string? TokenizerClass { get; init; }

    /// <summary>Whether a text gets its beginning token.</summary>
    public bool AddBeginning { get; init; }

    /// <summary>Whether a text gets its end token.</summary>
    public bool AddEnd { get; init; }

    /// <summary>Whether a text that does not start with a space gets one.</summary>
    public bool AddPrefixSpace { get; init; }

    /// <summary>added_tokens_decoder.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    /// <summary>Reads a settings file; without a path, what holds when there is none.</summary>
    public static TokenizerSettings Read(string? path)
    {
        if (path is null)
        {
            return new();
        }

        var root = JsonField.Read(path);
        return new()
        {
            Source = path,
            NamesEnds = root.Has("bos_token") || root.Has("eos_token"),
            BeginningOfText = Token(root, "bos_token"),
            EndOfText = Token(root, "eos_token"),
            Unknown = Token(root, "unk_token"),
            TokenizerClass = root.Optional("tokenizer_class")?.Text(),
            AddBeginning = root.Optional("add_bos_token")?.Flag() ?? false,
            AddEnd = root.Optional("add_eos_token")?.Flag() ?? false,
            AddPrefixSpace = root.Optional("add_prefix_space")?.Flag() ?? false,
            AddedTokens = root.Optional("added_tokens_decoder") is { } added ? [.. added.Members().Select(Added)] : [],
        };
    }

    /// <summary>Reads the settings of a folder, if it has any.</summary>
    public static TokenizerSettings OfFolder(string folder) => Read(
        new[] { "tokenizer_config.json", "special_tokens_map.json" }
            .Select(name => Path.Combine(folder, name))
            .FirstOrDefault(File.Exists));

    private static AddedToken Added((string Key, JsonField Field) member) =>
        int.TryParse(member.Key, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var id)
            ? TokenizerJson.AddedToken(member.Field, id)
            : throw new InvalidDataException($"{member.Field.Name} is not named by a token number.");

    private static string? Token(JsonField root, string name) =>
        root.Optional(name) is not { } field ? null
        : field.Value.ValueKind == System.Text.Json.JsonValueKind.Object ? field.Required("content").Text()
        : field.Text();
}
