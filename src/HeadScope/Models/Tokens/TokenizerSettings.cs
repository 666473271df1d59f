using System.Globalization;
using System.Text.Json;

namespace HeadScope;

/// <summary>
/// What tokenizer_config.json, or the older special_tokens_map.json, adds to a tokenizer: which tokens begin and end a text, and
/// added tokens that the tokenizer's own file may lack.
/// </summary>
/// <param name="File">The file's content; null when there is none.</param>
internal sealed record TokenizerSettings(JsonField? File)
{
    /// <summary>added_tokens_decoder.</summary>
    public IEnumerable<AddedToken> AddedTokens => (File?.Optional("added_tokens_decoder")?.Members() ?? []).Select(member =>
        int.TryParse(member.Key, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? TokenizerJson.AddedToken(member.Field, id)
            : throw new InvalidDataException($"{member.Field.Name} is not named by a token number."));

    /// <summary>Reads the settings of a folder, if it has any.</summary>
    public static TokenizerSettings OfFolder(string folder) => Read(
        new[] { "tokenizer_config.json", "special_tokens_map.json" }
            .Select(name => Path.Combine(folder, name))
            .FirstOrDefault(System.IO.File.Exists));

    /// <summary>Reads a settings file, if there is one.</summary>
    public static TokenizerSettings Read(string? path) => new(path is null ? null : JsonField.Read(path));

    /// <summary>A truth value of the file; false when it is absent.</summary>
    public bool Flag(string key) => File?.Flag(key) ?? false;

    /// <summary>The name of a token, such as bos_token; null when it is absent.</summary>
    public string? Token(string key) =>
        File?.Optional(key) is not { } field ? null
        : field.Value.ValueKind == JsonValueKind.Object ? field.Required("content").Text()
        : field.Text();

    /// <summary>
    /// Fills in which tokens begin and end a text: those the file names, be it "none"; else those of the template; else those of
    /// the customary names.
    /// </summary>
    public TokenizerDefinition AddEndsTo(TokenizerDefinition definition)
    {
        var added = definition.AddedTokens.ToLookup(token => token.Content, StringComparer.Ordinal);
        if (File is { } file && (file.Has("bos_token") || file.Has("eos_token")))
        {
            return definition with { BeginningOfText = Named("bos_token"), EndOfText = Named("eos_token") };
        }

        return definition with
        {
            BeginningOfText = definition.Prefix is [var first, ..] ? first : Customary("<|begin_of_text|>", "<s>", "<|endoftext|>"),
            EndOfText = definition.Suffix is [.., var last] ? last : Customary("<|end_of_text|>", "</s>", "<|endoftext|>"),
        };

        int? Named(string key) =>
            Token(key) is not { } name ? null
            : added[name].FirstOrDefault() is { } token ? token.Id
            : definition.Vocabulary.TryGetValue(name, out var id) ? id
            : null;

        int? Customary(params string[] names) => names.SelectMany(name => added[name]).FirstOrDefault(token => token.Special)?.Id;
    }
}
