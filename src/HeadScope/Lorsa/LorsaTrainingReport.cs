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
    public DataFrame Table => ResultTable.Of(Curve, p => new
    {
        step = p.Step, tokens = p.Tokens, lr = p.LearningRate, k = p.TopK, loss = p.Loss, ev = p.ExplainedVariance, l0 = p.ActiveHeads,
        silent_heads = p.SilentHeads, held_out_ev = p.HeldOutExplainedVariance,
    });

    internal IReadOnlyList<LorsaTrainingPoint> Curve { get; init; } = [];

    /// <summary>The curve as CSV with a header line.</summary>
    /// <returns>The text.</returns>
    public string ToCsv() => Table.ToCsv();
}

/// <summary>A row of a training curve.</summary>
internal readonly record struct LorsaTrainingPoint(
    long Step, long Tokens, double LearningRate, int TopK, double Loss, double ExplainedVariance, double ActiveHeads, int SilentHeads,
    double? HeldOutExplainedVariance);

/// <summary>Gathers the steps between two points of a training curve.</summary>
/// <param name="heads">n.</param>
internal sealed class LorsaCurve(int heads)
{
    private const int Sums = 7, Columns = 9;

    // Of the steps since the last point: their number, loss, squared error, squared deviation, tokens that counted, the last learning rate and k;
    // then the uses of each head.
    private readonly double[] pending = new double[Sums + heads];

    public List<LorsaTrainingPoint> Points { get; } = [];

    public bool HasSteps => pending[0] > 0;

    public double ExplainedVariance => 1 - (pending[2] / pending[3]);

    /// <summary>The unfinished point and the finished ones, [points, 9], as they are kept.</summary>
    public (Tensor Pending, Tensor Points) Kept
    {
        get => (tensor(pending), tensor(
            [.. Points.SelectMany(p => new[] { p.Step, p.Tokens, p.LearningRate, p.TopK, p.Loss, p.ExplainedVariance, p.ActiveHeads, p.SilentHeads, p.HeldOutExplainedVariance ?? double.NaN })],
            [Points.Count, Columns]));
        set
        {
            value.Pending.Copied<double>().CopyTo(pending, 0);
            Points.AddRange(value.Points.Copied<double>().Chunk(Columns).Select(p => new LorsaTrainingPoint(
                (long)p[0], (long)p[1], p[2], (int)p[3], p[4], p[5], p[6], (int)p[7], double.IsNaN(p[8]) ? null : p[8])));
        }
    }

    /// <summary>Adds a step.</summary>
    public void Add(Tensor y, Tensor mask, LorsaStepResult result)
    {
        using var scope = NewDisposeScope();
        var counted = mask.to(float64).sum([0L, 1L]);
        var deviation = y - mask.reshape(1, -1).mm(y.flatten(0, 1)).div(counted);
        var spread = deviation.mul(deviation).sum(-1).to(float64).mul(mask).sum([0L, 1L]);
        double[] sums = [1, result.Loss.Total, result.SquaredError, spread.item<double>(), counted.item<double>()];
        foreach (var (i, number) in sums.Index())
        {
            pending[i] += number;
        }

        (pending[5], pending[6]) = (result.LearningRate, result.TopK);
        foreach (var (i, number) in result.Uses.Index())
        {
            pending[Sums + i] += number;
        }
    }

    /// <summary>Makes a point of the steps since the last.</summary>
    public void Close(long step, long tokens, double? heldOut)
    {
        var uses = pending[Sums..];
        Points.Add(new(
            step, tokens, pending[5], (int)pending[6], pending[1] / pending[0], ExplainedVariance, uses.Sum() / pending[4], uses.Count(use => use == 0), heldOut));
        Array.Clear(pending);
    }
}
