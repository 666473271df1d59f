namespace HeadScope;

/// <summary>How often a token takes part in firings.</summary>
/// <param name="Token">The token.</param>
/// <param name="Text">Its text; its number where the model has no tokenizer.</param>
/// <param name="Count">How often.</param>
public sealed record TokenUse(int Token, string Text, int Count);
