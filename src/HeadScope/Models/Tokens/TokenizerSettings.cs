using System.Globalization;
using System.Text.Json;

namespace HeadScope;

/// <summary>
/// What tokenizer_config.json, or the older special_tokens_map.json, adds to a tokenizer: which tokens begin and end a text, and
/// added tokens that the tokenizer's own file may lack.
/// </summary>
internal sealed class TokenizerSettings
{
    private readonly JsonField? _root;

    private TokenizerSettings(JsonField? root)
    {
        _root = root;
        AddedTokens = [.. root?.Optional("added_tokens_decoder")?.Members().Select(Added) ?? []];
    }

    /// <summary>What holds without a file.</summary>
    public static TokenizerSettings None { get; } = new(null);

    /// <summary>The file, for messages; null when there is none.</summary>
    public string? Source => _root?.File;

    /// <summary>added_tokens_decoder.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; }

    /// <summary>Reads a settings file, if there is one.</summary>
    public static TokenizerSettings Read(string? path) => path is null ? None : new(JsonField.Read(path));

    /// <summary>Reads the settings of a folder, if it has any.</summary>
    public static TokenizerSettings OfFolder(string folder) => Read(
        new[] { "tokenizer_config.json", "special_tokens_map.json" }
            .Select(name => Path.Combine(folder, name))
            .FirstOrDefault(File.Exists));

    /// <summary>A text of the file; null when it is absent.</summary>
    public string? Text(string key) => _root?.Optional(key)?.Text();

    /// <summary>A truth value of the file; false when it is absent.</summary>
    public bool Flag(string key) => _root?.Optional(key)?.Flag() ?? false;

    /// <summary>The name of a token, such as bos_token; null when it is absent.</summary>
    public string? Token(string key) =>
        _root?.Optional(key) is not { } field ? null
        : field.Value.ValueKind == JsonValueKind.Object ? field.Required("content").Text()
        : field.Text();

    /// <summary>
    /// Fills in which tokens begin and end a text: those the file names, be it "none"; else those of the template; else those of
    /// the customary names.
    /// </summary>
    public TokenizerDefinition AddEndsTo(TokenizerDefinition definition)
    {
        var added = definition.AddedTokens.ToLookup(token => token.Content, StringComparer.Ordinal);
        if (_root is { } root && (root.Has("bos_token") || root.Has("eos_token")))
        {
            return definition with { BeginningOfText = Named(Token("bos_token")), EndOfText = Named(Token("eos_token")) };
        }

        return definition with
        {
            BeginningOfText = definition.Prefix is [var first, ..] ? first : Customary("<|begin_of_text|>", "<s>", "<|endoftext|>"),
            EndOfText = definition.Suffix is [.., var last] ? last : Customary("<|end_of_text|>", "</s>", "<|endoftext|>"),
        };

        int? Named(string? name) =>
            name is null ? null
            : added[name].FirstOrDefault() is { } token ? token.Id
            : definition.Vocabulary.TryGetValue(name, out var id) ? id
            : null;

        int? Customary(params string[] names) =>
            names.Select(name => added[name].FirstOrDefault(token => token.Special)?.Id).FirstOrDefault(id => id is not null);
    }

    private static AddedToken Added((string Key, JsonField Field) member) =>
        int.TryParse(member.Key, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? TokenizerJson.AddedToken(member.Field, id)
            : throw new InvalidDataException($"{member.Field.Name} is not named by a token number.");
}
