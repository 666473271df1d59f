namespace HeadScope;

/// <summary>A token with its number, such as a logit.</summary>
/// <param name="Token">The token.</param>
/// <param name="Text">The token as text; empty when the model has no tokenizer.</param>
/// <param name="Value">The number.</param>
public readonly record struct TokenValue(int Token, string Text, float Value);
