namespace HeadScope;

/// <summary>All parameters of a model.</summary>
/// <param name="TokenEmbedding">W_E, [vocabulary, d_model].</param>
/// <param name="PositionEmbedding">W_pos, [context, d_model]; null for rotary positions.</param>
/// <param name="Blocks">The blocks.</param>
/// <param name="FinalNorm">The norm before the unembedding.</param>
/// <param name="Unembedding">d_model → vocabulary.</param>
internal sealed record Parameters(
    Weight TokenEmbedding, Weight? PositionEmbedding, TransformerBlock[] Blocks, Norm FinalNorm, Linear Unembedding);
