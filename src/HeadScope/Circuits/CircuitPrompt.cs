namespace HeadScope;

/// <summary>One prompt of a task, with the roles that its tokens play.</summary>
/// <param name="Tokens">The token ids that the model reads; the last one is the place of the prediction.</param>
/// <param name="Roles">
/// The position of each role, in the order of naming: IO, S1, S2, end, … Where two roles stand at one position the later one names it.
/// </param>
/// <param name="Answer">The token that the task expects next; null when there is none to compare.</param>
/// <param name="Distractor">The token it competes with; null when there is none.</param>
/// <param name="Text">The text, where the prompt has one.</param>
public sealed record CircuitPrompt(
    IReadOnlyList<int> Tokens,
    IReadOnlyList<KeyValuePair<string, int>> Roles,
    int? Answer = null,
    int? Distractor = null,
    string? Text = null)
{
    /// <summary>The position of a role.</summary>
    /// <param name="role">The role.</param>
    /// <returns>The position; null when the prompt has no such role.</returns>
    public int? PositionOf(string role) =>
        Roles.Where(r => string.Equals(r.Key, role, StringComparison.Ordinal)).Select(r => (int?)r.Value).FirstOrDefault();

    /// <summary>The role of a position: the last one that stands there.</summary>
    /// <param name="position">The position.</param>
    /// <returns>The role; null when the position has none.</returns>
    public string? RoleAt(int position) => Roles.LastOrDefault(r => r.Value == position).Key;
}
