using System.Globalization;
using System.Text;

namespace HeadScope;

/// <summary>A point of a training curve: means over the steps since the last point.</summary>
/// <param name="Step">The steps taken.</param>
/// <param name="Tokens">The tokens seen, all of them.</param>
/// <param name="LearningRate">The learning rate of the last step.</param>
/// <param name="TopK">k of the last step.</param>
/// <param name="Loss">The loss, in normalised units.</param>
/// <param name="ExplainedVariance">The explained variance of the training batches, pooled over the steps.</param>
/// <param name="ActiveHeads">L0, the mean number of active heads per token.</param>
/// <param name="SilentHeads">The heads that were active at none of the tokens since the last point.</param>
/// <param name="HeldOutExplainedVariance">The explained variance on held-out tokens where it was evaluated; else null.</param>
/// <param name="Seconds">The time since the training began or was resumed.</param>
public sealed record LorsaTrainingPoint(
    long Step, long Tokens, double LearningRate, int TopK, double Loss, double ExplainedVariance, double ActiveHeads, int SilentHeads,
    double? HeldOutExplainedVariance, double Seconds);

/// <summary>How a training went.</summary>
/// <param name="Curve">The training curve.</param>
/// <param name="HeldOut">The quality on the held-out tokens at the end; null when none were held out.</param>
/// <param name="TokensPerSecond">Tokens per second over the whole (last) run, activations of the model included.</param>
public sealed record LorsaTrainingReport(IReadOnlyList<LorsaTrainingPoint> Curve, LorsaEvaluation? HeldOut, double TokensPerSecond)
{
    /// <summary>The curve as CSV with a header line.</summary>
    /// <returns>The text.</returns>
    public string ToCsv()
    {
        var text = new StringBuilder("step,tokens,lr,k,loss,ev,l0,silent_heads,held_out_ev,seconds\n");
        foreach (var p in Curve)
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"{p.Step},{p.Tokens},{p.LearningRate:g6},{p.TopK},{p.Loss:g8},{p.ExplainedVariance:g6},{p.ActiveHeads:g6},{p.SilentHeads},{p.HeldOutExplainedVariance:g6},{p.Seconds:f2}\n");
        }

        return text.ToString();
    }
}
