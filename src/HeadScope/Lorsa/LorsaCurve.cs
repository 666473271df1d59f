using static TorchSharp.torch;

namespace HeadScope;

/// <summary>Gathers the steps between two points of a training curve.</summary>
/// <param name="heads">n.</param>
internal sealed class LorsaCurve(int heads)
{
    // The pending numbers: steps, loss, squared error, squared deviation, tokens that counted, the last learning rate and k; then the uses
    // of each head.
    private const int Sums = 7, Columns = 9;

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
        var mean = mask.reshape(1, -1).mm(y.flatten(0, 1)).div(counted);
        var deviation = y - mean;
        pending[0]++;
        pending[1] += result.Loss.Total;
        pending[2] += result.SquaredError;
        pending[3] += deviation.mul(deviation).sum(-1).to(float64).mul(mask).sum([0L, 1L]).item<double>();
        pending[4] += counted.item<double>();
        pending[5] = result.LearningRate;
        pending[6] = result.TopK;
        for (var i = 0; i < heads; i++)
        {
            pending[Sums + i] += result.Uses[i];
        }
    }

    /// <summary>Makes a point of the steps since the last.</summary>
    public void Close(long step, long tokens, double? heldOut)
    {
        var uses = pending.AsSpan(Sums).ToArray();
        Points.Add(new(
            step, tokens, pending[5], (int)pending[6], pending[1] / pending[0], ExplainedVariance, uses.Sum() / pending[4], uses.Count(use => use == 0), heldOut));
        Array.Clear(pending);
    }
}
