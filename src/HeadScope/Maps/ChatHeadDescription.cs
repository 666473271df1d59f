namespace HeadScope;

/// <summary>What a chat model says about a head, and what it was shown.</summary>
/// <param name="Head">The head.</param>
/// <param name="Inputs">What the amplified tokens have in common.</param>
/// <param name="Rule">Which rule leads from them to the promoted tokens.</param>
/// <param name="IsClear">Whether the chat model found the rule clear.</param>
/// <param name="ChatModel">Which model answered; null when it did not say.</param>
/// <param name="Operations">The operations it was shown.</param>
public sealed record ChatHeadDescription(
    Head Head, string Inputs, string Rule, bool IsClear, string? ChatModel, HeadOperations Operations)
{
    /// <inheritdoc/>
    public override string ToString() => $"Head {Head}: {Inputs} {Rule}{(IsClear ? "" : " (unclear)")}";
}
