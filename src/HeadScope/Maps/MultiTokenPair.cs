namespace HeadScope;

/// <summary>A pair of a relation whose source is several tokens.</summary>
/// <param name="Source">The source as text.</param>
/// <param name="Target">The target as text, without the leading space that was tokenized with it.</param>
/// <param name="SourceTokens">The tokens of the source, written without a space before it.</param>
/// <param name="TargetToken">The token of <c>" " + target</c>.</param>
public sealed record MultiTokenPair(string Source, string Target, IReadOnlyList<int> SourceTokens, int TargetToken)
{
    /// <summary>The pairs of a relation whose source is more than one token without a space before it, and whose target is one token
    /// after a space.</summary>
    /// <param name="relation">The relation.</param>
    /// <param name="tokenizer">The tokenizer of the model.</param>
    /// <returns>The pairs, in their order.</returns>
    public static IReadOnlyList<MultiTokenPair> Of(Relation relation, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(relation);
        ArgumentNullException.ThrowIfNull(tokenizer);
        return [.. from pair in relation.Pairs
                   let source = tokenizer.Encode(pair.Source, addSpecialTokens: false)
                   let target = tokenizer.Encode(" " + pair.Target, addSpecialTokens: false)
                   where source.Length > 1 && target.Length == 1
                   select new MultiTokenPair(pair.Source, pair.Target, source, target[0])];
    }
}
