namespace HeadScope;

/// <summary>One block: norms, attention and MLP.</summary>
/// <param name="AttentionNorm">The norm before attention (ln1).</param>
/// <param name="Attention">The attention layer.</param>
/// <param name="MlpNorm">The norm before the MLP (ln2); the same object as <paramref name="AttentionNorm"/> where they share one.</param>
/// <param name="Mlp">The MLP.</param>
public sealed record TransformerBlock(Norm AttentionNorm, Attention Attention, Norm MlpNorm, Mlp Mlp)
{
    internal IEnumerable<Linear> Linears =>
        new[] { Attention.Query, Attention.Key, Attention.Value, Attention.Output, Mlp.In, Mlp.Gate, Mlp.Output }.OfType<Linear>();

    /// <summary>Forgets the decoded weights; the next use decodes them again.</summary>
    public void Release()
    {
        foreach (var linear in Linears)
        {
            linear.Release();
        }
    }
}
