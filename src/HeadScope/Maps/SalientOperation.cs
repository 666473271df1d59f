namespace HeadScope;

/// <summary>What a head does to one source token that it amplifies.</summary>
/// <param name="Token">The source token.</param>
/// <param name="Text">The source as text; empty when the model has no tokenizer.</param>
/// <param name="Amplification">|u W_V W_O| / |u|.</param>
/// <param name="Targets">The largest entries of u W_V W_O W_U, largest first.</param>
/// <param name="Suppressed">The smallest entries, smallest first.</param>
public sealed record SalientOperation(
    int Token, string Text, float Amplification, IReadOnlyList<TokenValue> Targets, IReadOnlyList<TokenValue> Suppressed);
