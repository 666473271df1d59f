namespace HeadScope;

/// <summary>The linear maps of an attention layer; heads lie side by side in the outputs of Query, Key and Value and in the inputs
/// of Output.</summary>
/// <param name="Query">d_model → HeadCount × d_head.</param>
/// <param name="Key">d_model → KeyValueHeadCount × d_head.</param>
/// <param name="Value">d_model → KeyValueHeadCount × d_head.</param>
/// <param name="Output">HeadCount × d_head → d_model.</param>
public sealed record Attention(Linear Query, Linear Key, Linear Value, Linear Output);
