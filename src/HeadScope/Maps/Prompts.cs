namespace HeadScope;

/// <summary>A template filled in with each source of a relation.</summary>
/// <param name="Template">The template: a text with <c>&lt;X&gt;</c> in the place of the source.</param>
/// <param name="Tokens">For each pair the tokens of its prompt.</param>
/// <param name="SourcePositions">For each pair where its source stands in the prompt; of a source of several tokens the last.</param>
internal sealed record Prompts(string Template, IReadOnlyList<int[]> Tokens, IReadOnlyList<int> SourcePositions)
{
    private const string Placeholder = "<X>";

    /// <summary>Fills in sources of one token, with the special tokens that the tokenizer adds by itself.</summary>
    /// <exception cref="ArgumentException">The template has not one place, or a source does not stand in its prompt as one token.</exception>
    public static Prompts Of(string template, IReadOnlyList<TokenPair> pairs, Tokenizer tokenizer)
    {
        Require(template);
        var tokens = pairs.Select(p => tokenizer.Encode(template.Replace(Placeholder, p.Source, StringComparison.Ordinal))).ToArray();

        // Where the first prompt alone says it, all prompts say it: a source may be a word of the template too.
        var usual = Array.IndexOf(tokens[0], pairs[0].SourceToken);
        int[] positions = [.. pairs.Select((pair, i) => tokens[i].ElementAtOrDefault(usual) == pair.SourceToken && usual >= 0
            ? usual
            : Array.IndexOf(tokens[i], pair.SourceToken))];
        var missing = Array.IndexOf(positions, -1);
        Fault.ArgumentIf(
            missing >= 0, $"In '{template}' the source '{pairs[missing].Source}' is not the token that it is after a space: put a space before {Placeholder}.");
        return new Prompts(template, tokens, positions);
    }

    /// <summary>Appends sources of several tokens to a template that ends with their place, as published: the template's last space stays
    /// a token of its own, and the source follows without one. Of the pairs those whose source is more than one token that way, and whose
    /// target is one after a space.</summary>
    /// <returns>The prompts, and the target of each.</returns>
    /// <exception cref="ArgumentException">The template does not end with the place of the source, or there are no such pairs.</exception>
    public static (Prompts Prompts, int[] Targets) OfSeveralTokens(string template, Relation relation, Tokenizer tokenizer)
    {
        Require(template);
        Fault.ArgumentIf(
            !template.EndsWith(Placeholder, StringComparison.Ordinal), $"'{template}' does not end with {Placeholder}, as sources of several tokens need.");
        var pairs = relation.Pairs
            .Select(p => (Source: tokenizer.Encode(p.Source, addSpecialTokens: false), Target: tokenizer.Encode(" " + p.Target, addSpecialTokens: false)))
            .Where(p => p.Source.Length > 1 && p.Target.Length == 1).ToArray();
        Fault.ArgumentIf(pairs.Length == 0, $"No pair of '{relation.Name}' has a source of several tokens and a target of one for this tokenizer.");
        var before = tokenizer.Encode(template[..^Placeholder.Length]);
        int[][] tokens = [.. pairs.Select(p => (int[])[.. before, .. p.Source])];
        return (new(template, tokens, [.. tokens.Select(t => t.Length - 1)]), [.. pairs.Select(p => p.Target[0])]);
    }

    /// <summary>Throws when a text has no place for the source, or several.</summary>
    public static void Require(string template)
    {
        ArgumentNullException.ThrowIfNull(template);
        Fault.ArgumentIf(
            template.Split(Placeholder) is not [_, _], $"'{template}' is no template: expected one {Placeholder}, the place of the source.");
    }
}
