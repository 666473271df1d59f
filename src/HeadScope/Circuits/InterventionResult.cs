namespace HeadScope;

/// <summary>What changing the signals of some edges does, prompt by prompt, with a control (arXiv 2410.00340, section 6).</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Edges">The edges, all changed in one pass.</param>
/// <param name="Options">How they were changed.</param>
/// <param name="Prompts">All prompts, changed or not.</param>
public sealed record InterventionResult(
    string Model, IReadOnlyList<SignalEdge> Edges, InterventionOptions Options, IReadOnlyList<PromptIntervention> Prompts)
{
    /// <summary>The prompts in which a receiver fires, and something was changed.</summary>
    public IReadOnlyList<PromptIntervention> Changed => [.. Prompts.Where(p => p.ChangedEdges > 0)];

    /// <summary>The logit difference of the changed prompts before.</summary>
    public Spread LogitDifferenceBefore => Spread.Of(Changed.Select(p => p.Before.LogitDifference));

    /// <summary>The logit difference of the changed prompts after.</summary>
    public Spread LogitDifferenceAfter => Spread.Of(Changed.Select(p => p.After.LogitDifference));

    /// <summary>The logit difference of the changed prompts with the control.</summary>
    public Spread LogitDifferenceControl => Spread.Of(Changed.Select(p => p.Control.LogitDifference));

    /// <summary>The scaled attention score at one edge, over the prompts in which its receiver fires.</summary>
    /// <param name="edge">The edge, counted from 0.</param>
    /// <returns>Before, after, and with the control.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such edge.</exception>
    public (Spread Before, Spread After, Spread Control) Scores(int edge)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(edge);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(edge, Edges.Count);
        PromptIntervention[] fired = [.. Prompts.Where(p => p.After.Edges[edge].ChangeNorm > 0)];
        return (
            Spread.Of(fired.Select(p => p.Before.Edges[edge].Score)),
            Spread.Of(fired.Select(p => p.After.Edges[edge].Score)),
            Spread.Of(fired.Select(p => p.Control.Edges[edge].Score)));
    }

    /// <summary>The result as CSV, a line for each prompt and edge below a header.</summary>
    /// <returns>The columns prompt, edge, changed, and for before, after and control each logit_difference and score; after and control
    /// also with norm_ratio, cosine and change_norm.</returns>
    public string ToCsv() => CsvTable.Write(
        [
            "prompt", "edge", "changed", "logit_difference_before", "logit_difference_after", "logit_difference_control",
            "score_before", "score_after", "score_control", "norm_ratio_after", "norm_ratio_control", "cosine_after", "cosine_control",
            "change_norm_after", "change_norm_control",
        ],
        from prompt in Prompts
        from edge in Enumerable.Range(0, Edges.Count)
        let before = prompt.Before.Edges[edge]
        let after = prompt.After.Edges[edge]
        let control = prompt.Control.Edges[edge]
        select (object[])
        [
            prompt.Prompt,
            Edges[edge].ToString(),
            after.ChangeNorm > 0,
            prompt.Before.LogitDifference,
            prompt.After.LogitDifference,
            prompt.Control.LogitDifference,
            before.Score,
            after.Score,
            control.Score,
            after.NormRatio,
            control.NormRatio,
            after.Cosine,
            control.Cosine,
            after.ChangeNorm,
            control.ChangeNorm,
        ]);

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Edges.Count} edges of {Model}, {Changed.Count} of {Prompts.Count} prompts changed: logit difference {LogitDifferenceBefore}, "
        + $"after {LogitDifferenceAfter}, control {LogitDifferenceControl}";
}
