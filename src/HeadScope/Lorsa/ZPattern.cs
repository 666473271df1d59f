namespace HeadScope;

/// <summary>
/// How the T tokens of a text make up what a head gathers: the contribution of token s at token t is <c>P(t, s) v(s)</c>, and the
/// contributions at a token sum to its z. Tensors are fp32, on the CPU.
/// </summary>
/// <param name="Head">The OV head.</param>
/// <param name="Tokens">The tokens.</param>
/// <param name="TokenTexts">Each token as text; <c>#17</c> where there is no tokenizer.</param>
/// <param name="Contributions">What each token adds, [query, source]; zero for later sources.</param>
/// <param name="Attention">P, the pattern of the QK head, [query, source].</param>
/// <param name="PreActivations">z of each token, [T].</param>
/// <param name="Activations">a of each token: z where the head is active, else 0, [T].</param>
public sealed record ZPattern(
    int Head, IReadOnlyList<int> Tokens, IReadOnlyList<string> TokenTexts, Tensor Contributions, Tensor Attention, Tensor PreActivations,
    Tensor Activations)
{
    /// <summary>The token at which the head is most active.</summary>
    public int Peak => TopK.Indices(Activations.Copied<float>(), 1)[0];

    /// <summary>Each token and each one up to it: query, source, token (of the source), contribution, attention.</summary>
    public DataFrame Table
    {
        get
        {
            var (contributions, attention, length) = (Contributions.Copied<float>(), Attention.Copied<float>(), Tokens.Count);
            return ResultTable.Of(Enumerable.Range(0, length).SelectMany(t => Enumerable.Range(0, t + 1), (t, s) => (Query: t, Source: s)), pair => new
            {
                query = pair.Query, source = pair.Source, token = TokenTexts[pair.Source],
                contribution = contributions[(pair.Query * length) + pair.Source], attention = attention[(pair.Query * length) + pair.Source],
            });
        }
    }

    /// <summary>The contributions at one token, largest in size first.</summary>
    /// <param name="position">The token.</param>
    /// <returns>Source position and contribution.</returns>
    public IReadOnlyList<(int Position, float Contribution)> At(int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, Tokens.Count);
        using var scope = NewDisposeScope();
        return [.. Contributions[position].Copied<float>().Take(position + 1).Index().OrderByDescending(source => Math.Abs(source.Item))];
    }

    /// <inheritdoc/>
    public override string ToString() => $"z-pattern of Lorsa head {Head} over {Tokens.Count} tokens";
}
