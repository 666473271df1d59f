using System.Diagnostics;
using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>A training from its start, or from the checkpoint that it finds, to its end.</summary>
internal sealed class LorsaTraining : IDisposable
{
    private readonly ActivationSource source;
    private readonly LorsaTrainingOptions options;
    private readonly IProgress<WorkProgress>? progress;
    private readonly Lorsa lorsa;
    private readonly LorsaStepper stepper;
    private readonly LorsaCurve curve;
    private readonly long tokensPerStep;
    private bool isFinished;

    private LorsaTraining(ActivationSource source, Lorsa lorsa, LorsaTrainingOptions options, IProgress<WorkProgress>? progress)
    {
        (this.source, this.lorsa, this.options, this.progress) = (source, lorsa, options, progress);
        (stepper, curve) = (new(lorsa, options), new(lorsa.Config.Heads));
        tokensPerStep = (long)options.BatchSequences * options.ContextLength;
    }

    /// <summary>Trains a Lorsa on activations, on their device.</summary>
    public static Lorsa Run(
        ActivationSource source, LorsaConfig config, LorsaTrainingOptions options, OriginalAttention? original,
        IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        LibTorch.Require();
        config.Validate();
        options.Validate();
        using var scope = NewDisposeScope();
        LorsaTraining training;
        using (var found = LorsaTrainingState.Open(options, config))
        {
            if (found is null)
            {
                progress?.Report(new WorkProgress("starting", 0, 0, "steps"));
            }

            var batch = source.Batches(0, options.BatchSequences, cancellationToken).First();
            var (inputNorm, outputNorm) = found?.Norms ?? Norms(source, options, cancellationToken);
            var start = new Lorsa(config, isFolded: false, inputNorm, outputNorm);
            training = new(source, start.to(batch.Input.device), options, progress);
            if (found is null)
            {
                training.Start(batch, original);
            }
            else
            {
                found.Restore(training.stepper, training.curve);
            }
        }

        using (training)
        {
            return training.Go(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        stepper.Dispose();
        if (!isFinished)
        {
            lorsa.Dispose();
        }
    }

    /// <summary>The mean norms of input and output.</summary>
    private static (double Input, double Output) Norms(ActivationSource source, LorsaTrainingOptions options, CancellationToken cancellationToken)
    {
        double input = 0, output = 0, tokens = 0;
        using var batches = source.Batches(0, options.BatchSequences, cancellationToken).GetEnumerator();
        for (var i = 0; i < Math.Min(options.NormBatches, options.Steps); i++)
        {
            using var scope = NewDisposeScope();
            batches.MoveNext();
            var mask = batches.Current.Mask.to(float64);
            input += batches.Current.Input.to(float32).norm(-1).to(float64).mul(mask).sum([0L, 1L]).item<double>();
            output += batches.Current.Output.to(float32).norm(-1).to(float64).mul(mask).sum([0L, 1L]).item<double>();
            tokens += mask.sum([0L, 1L]).item<double>();
        }

        return (input / tokens, output / tokens);
    }

    /// <summary>Sets the parameters before the first step.</summary>
    private void Start(ActivationBatch batch, OriginalAttention? original)
    {
        LorsaStart.Randomize(lorsa, options.Seed, options.FirstCode);
        var (x, y, mask) = Normalized(batch);
        LorsaStart.CenterOutput(lorsa, y, mask);
        if (options.RandomStart)
        {
            LorsaStart.ScaleToOutput(lorsa, x, y, mask, withQueriesAndKeys: options.FirstCode);
            return;
        }

        Fault.ArgumentIf(original is null, $"A start from the attention needs the model; pass it, or choose a random start.");
        LorsaStart.CopyQueriesAndKeys(lorsa, original, lorsa.InputScale);
        if (original.Value is null)
        {
            LorsaStart.ScaleToOutput(lorsa, x, y, mask, withQueriesAndKeys: false);
            return;
        }

        LorsaStart.UseSubspaces(
            lorsa, original, [.. Enumerable.Range(0, original.Heads).Select(h => LorsaStart.ActiveSubspace(x, original, h))]);
        LorsaStart.FitOutputNorm(lorsa, x, y, mask);
    }

    // In torch's own memory: matrix products on memory of .NET's differ in their last bits from run to run.
    private (Tensor X, Tensor Y, Tensor Mask) Normalized(ActivationBatch batch)
    {
        var device = lorsa.Weight("W_V").device;
        return (
            batch.Input.to(float32, device).mul(Scalars.Of(lorsa.InputScale)), batch.Output.to(float32, device).mul(Scalars.Of(lorsa.OutputScale)),
            batch.Mask.to(float32, device));
    }

    private Lorsa Go(CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        var (steps, first) = (options.Steps, stepper.Step);
        using var batches = source.Batches(first * options.BatchSequences, options.BatchSequences, CancellationToken.None).GetEnumerator();
        try
        {
            while (true)
            {
                ClosePoint(cancellationToken);
                if (stepper.Step == steps)
                {
                    break;
                }

                cancellationToken.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                batches.MoveNext();
                var (x, y, mask) = Normalized(batches.Current);
                var result = stepper.TakeStep(x, y, mask);
                curve.Add(y, mask, result);
                progress?.Report(new WorkProgress(
                    "training", stepper.Step * tokensPerStep, steps * tokensPerStep, "tokens",
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"EV {curve.ExplainedVariance:f3}, loss {result.Loss.Total:g4}, {(stepper.Step - first) * tokensPerStep / clock.Elapsed.TotalSeconds:f0} tokens/s")));
                if (stepper.Step % options.CheckpointEvery == 0 || stepper.Step == steps)
                {
                    LorsaTrainingState.Save(options, stepper, curve);
                }
            }
        }
        catch (OperationCanceledException)
        {
            LorsaTrainingState.Save(options, stepper, curve);
            throw;
        }

        var rate = (stepper.Step - first) * tokensPerStep / Math.Max(clock.Elapsed.TotalSeconds, 1e-9);
        var heldOut = options.HeldOutSequences > 0 ? Evaluate(cancellationToken) : null;
        heldOut?.Frequencies.DetachFromDisposeScope();
        if (curve.Points.Count > 0)
        {
            curve.Points[^1] = curve.Points[^1] with { HeldOutExplainedVariance = heldOut?.ExplainedVariance };
        }

        lorsa.Training = new LorsaTrainingReport(heldOut, rate) { Curve = curve.Points };
        lorsa.zero_grad(set_to_none: true);
        if (options.Folder is { } folder)
        {
            AtomicFile.WriteText(Path.Combine(folder, "curve.csv"), lorsa.Training.ToCsv());
            if (lorsa.Config.Activation is not (LorsaActivation.TopKMagnitude or LorsaActivation.Dense))
            {
                lorsa.Save(folder);
            }
        }

        isFinished = true;
        return lorsa;
    }

    /// <summary>Makes a point of the curve where one is due; what a training that stopped before it came to that does first.</summary>
    private void ClosePoint(CancellationToken cancellationToken)
    {
        var (step, last) = (stepper.Step, stepper.Step == options.Steps);
        var evaluate = options.EvaluateEvery > 0 && step % options.EvaluateEvery == 0 && options.HeldOutSequences > 0 && !last;
        if (curve.HasSteps && (step % options.ReportEvery == 0 || evaluate || last))
        {
            curve.Close(step, step * tokensPerStep, evaluate ? Evaluate(cancellationToken).ExplainedVariance : null);
        }
    }

    private LorsaEvaluation Evaluate(CancellationToken cancellationToken) =>
        LorsaEvaluation.Of(lorsa, source.HeldOut(options.BatchSequences, cancellationToken), cancellationToken);
}
