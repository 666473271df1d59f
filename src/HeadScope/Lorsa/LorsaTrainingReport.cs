using Microsoft.Data.Analysis;

namespace HeadScope;

/// <summary>How a training went.</summary>
/// <param name="HeldOut">The quality on the held-out tokens at the end; null when none were held out.</param>
/// <param name="TokensPerSecond">Tokens per second over the whole (last) run, activations of the model included.</param>
public sealed record LorsaTrainingReport(LorsaEvaluation? HeldOut, double TokensPerSecond)
{
    /// <summary>
    /// The training curve, a row for each point, with means over the steps since the last one: <c>step</c>, the steps taken; <c>tokens</c> seen,
    /// all of them; <c>lr</c> and <c>k</c> of the last step; <c>loss</c> in normalised units; <c>ev</c>, the explained variance of the
    /// training batches, pooled over the steps; <c>l0</c>, the mean number of active heads per token; <c>silent_heads</c>, those that were
    /// active at none of the tokens; <c>held_out_ev</c>, the explained variance on held-out tokens where it was evaluated.
    /// </summary>
    public DataFrame Table => new(
        new Int64DataFrameColumn("step", Curve.Select(p => p.Step)),
        new Int64DataFrameColumn("tokens", Curve.Select(p => p.Tokens)),
        new DoubleDataFrameColumn("lr", Curve.Select(p => p.LearningRate)),
        new Int32DataFrameColumn("k", Curve.Select(p => p.TopK)),
        new DoubleDataFrameColumn("loss", Curve.Select(p => p.Loss)),
        new DoubleDataFrameColumn("ev", Curve.Select(p => p.ExplainedVariance)),
        new DoubleDataFrameColumn("l0", Curve.Select(p => p.ActiveHeads)),
        new Int32DataFrameColumn("silent_heads", Curve.Select(p => p.SilentHeads)),
        new DoubleDataFrameColumn("held_out_ev", Curve.Select(p => p.HeldOutExplainedVariance)));

    internal IReadOnlyList<LorsaTrainingPoint> Curve { get; init; } = [];

    /// <summary>The curve as CSV with a header line.</summary>
    /// <returns>The text.</returns>
    public string ToCsv() => CsvTable.Write(Table);
}

/// <summary>A row of a training curve.</summary>
internal readonly record struct LorsaTrainingPoint(
    long Step, long Tokens, double LearningRate, int TopK, double Loss, double ExplainedVariance, double ActiveHeads, int SilentHeads,
    double? HeldOutExplainedVariance);
