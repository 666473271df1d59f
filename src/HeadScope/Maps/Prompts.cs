namespace HeadScope;

/// <summary>A template filled in with each source of a relation.</summary>
/// <param name="Template">The template.</param>
/// <param name="Tokens">For each pair the tokens of its prompt.</param>
/// <param name="SourcePositions">For each pair where its source stands in the prompt; of a source of several tokens the last.</param>
internal sealed record Prompts(string Template, IReadOnlyList<int[]> Tokens, IReadOnlyList<int> SourcePositions)
{
    /// <summary>Fills in sources of one token, with the special tokens that the tokenizer adds by itself.</summary>
    /// <exception cref="ArgumentException">The template has not one place, or a source does not stand in its prompt as one token.</exception>
    public static Prompts Of(string template, IReadOnlyList<TokenPair> pairs, Tokenizer tokenizer)
    {
        PromptTemplates.Require(template);
        var tokens = pairs.Select(p => tokenizer.Encode(template.Replace(PromptTemplates.Placeholder, p.Source, StringComparison.Ordinal))).ToArray();

        // Where the first prompt alone says it, all prompts say it: a source may be a word of the template too.
        var usual = Array.IndexOf(tokens[0], pairs[0].SourceToken);
        var positions = new int[pairs.Count];
        for (var i = 0; i < positions.Length; i++)
        {
            positions[i] = usual >= 0 && usual < tokens[i].Length && tokens[i][usual] == pairs[i].SourceToken
                ? usual
                : Array.IndexOf(tokens[i], pairs[i].SourceToken);
            if (positions[i] < 0)
            {
                throw new ArgumentException(
                    $"In '{template}' the source '{pairs[i].Source}' is not the token that it is after a space: put a space before {PromptTemplates.Placeholder}.",
                    nameof(template));
            }
        }

        return new Prompts(template, tokens, positions);
    }

    /// <summary>Appends sources of several tokens to a template that ends with their place, as published: the template's last space stays
    /// a token of its own, and the source follows without one.</summary>
    /// <exception cref="ArgumentException">The template does not end with the place of the source.</exception>
    public static Prompts OfSeveralTokens(string template, IReadOnlyList<MultiTokenPair> pairs, Tokenizer tokenizer)
    {
        PromptTemplates.Require(template);
        if (!template.EndsWith(PromptTemplates.Placeholder, StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{template}' does not end with {PromptTemplates.Placeholder}, as sources of several tokens need.", nameof(template));
        }

        var before = tokenizer.Encode(template[..^PromptTemplates.Placeholder.Length]);
        int[][] tokens = [.. pairs.Select(p => (int[])[.. before, .. p.SourceTokens])];
        return new Prompts(template, tokens, [.. tokens.Select(t => t.Length - 1)]);
    }
}
