namespace HeadScope;

/// <summary>Finds out which tokens begin and end a text.</summary>
internal static class TextEnds
{
    /// <summary>Fills in both from the settings, else from the template, else from the customary names of special tokens.</summary>
    public static TokenizerDefinition AddTo(TokenizerDefinition definition, TokenizerSettings settings)
    {
        var added = definition.AddedTokens.ToLookup(token => token.Content, StringComparer.Ordinal);
        if (settings.NamesEnds)
        {
            return definition with { BeginningOfText = Named(settings.BeginningOfText), EndOfText = Named(settings.EndOfText) };
        }

        return definition with
        {
            BeginningOfText = definition.Prefix.Count > 0
                ? definition.Prefix[0]
                : First("<|begin_of_text|>", "<s>", "<|endoftext|>"),
            EndOfText = definition.Suffix.Count > 0
                ? definition.Suffix[^1]
                : First("<|end_of_text|>", "</s>", "<|endoftext|>"),
        };

        int? Named(string? name) =>
            name is null ? null
            : added[name].FirstOrDefault() is { } token ? token.Id
            : definition.Vocabulary.TryGetValue(name, out var id) ? id
            : null;

        int? First(params string[] names) => names
            .Select(name => added[name].FirstOrDefault(token => token.Special)?.Id)
            .FirstOrDefault(id => id is not null);
    }
}
