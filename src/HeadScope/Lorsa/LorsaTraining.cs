using System.Diagnostics;

namespace HeadScope;

public sealed partial class Lorsa
{
    /// <summary>Trains a Lorsa for a layer of a model on a corpus, on the model's device.</summary>
    /// <remarks>
    /// A training is determined by its options, its seed and its data, not by where it was interrupted. With a
    /// <see cref="LorsaTrainingOptions.Folder"/> it writes checkpoints there, goes on from one it finds, and leaves the finished Lorsa in the
    /// layout that <see cref="Load"/> and Language-Model-SAEs read.
    /// </remarks>
    /// <param name="model">The model.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="corpus">The texts.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops after the step at hand and writes a checkpoint.</param>
    /// <returns>The Lorsa, with its training curve in <see cref="Training"/>.</returns>
    /// <exception cref="ArgumentException">The options do not fit the model, each other, or the checkpoint found.</exception>
    /// <exception cref="InvalidDataException">The corpus cannot be read or is too short; the last checkpoint is intact.</exception>
    /// <exception cref="ArithmeticException">Training diverged; the message names step and parameter.</exception>
    /// <exception cref="IOException">A checkpoint cannot be written; the one before is intact.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Lorsa Train(
        Model model, int layer, LorsaCorpus corpus, LorsaTrainingOptions? options = null,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(corpus);
        options = (options ?? new()).For(model);
        Fault.ArgumentIf(
            corpus.WindowLength is { } length && length != options.ContextLength,
            $"The windows have {corpus.WindowLength} tokens, ContextLength is {options.ContextLength}; expected the same.");
        using var scope = NewDisposeScope();
        var source = new ModelActivationSource(model, layer, corpus, options.ContextLength, options.HeldOutSequences, shuffleBuffer: 1024, options.Seed);
        var config = ConfigFor(model, layer, options);
        using var trained = LorsaTraining.Run(source, config, options, OriginalAttention.Of(model, config), progress, cancellationToken);
        return trained.For(model);
    }

    /// <summary>The shape of a Lorsa for a layer of a model, of options that are complete: positions as in the model.</summary>
    internal static LorsaConfig ConfigFor(Model model, int layer, LorsaTrainingOptions options) => new LorsaConfig
    {
        ModelWidth = model.Config.ModelWidth,
        Heads = options.Heads,
        QkHeads = options.QkHeads == 0 ? model.Config.HeadCount : options.QkHeads,
        QkWidth = model.Config.HeadWidth,
        ContextLength = options.ContextLength,
        Activation = options.Activation,
        TopK = options.TopK,
        HookIn = $"blocks.{layer}.ln1.hook_normalized",
        HookOut = $"blocks.{layer}.hook_attn_out",
    }.With(model.Config.Rotary);
}

/// <summary>A training from its start, or from the checkpoint that it finds, to its end.</summary>
internal sealed class LorsaTraining(ActivationSource source, Lorsa lorsa, LorsaTrainingOptions options, IProgress<WorkProgress>? progress) : IDisposable
{
    private readonly LorsaStepper stepper = new(lorsa, options);
    private readonly LorsaCurve curve = new(lorsa.Config.Heads);
    private readonly long tokensPerStep = (long)options.BatchSequences * options.ContextLength;
    private bool isFinished;

    /// <summary>Trains a Lorsa on activations, on their device.</summary>
    public static Lorsa Run(
        ActivationSource source, LorsaConfig config, LorsaTrainingOptions options, OriginalAttention? original,
        IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        LibTorch.Require();
        config.Validate();
        options.Validate();
        using var scope = NewDisposeScope();
        using var ordinary = inference_mode(false);
        using var gradients = enable_grad();
        LorsaTraining training;
        using (var found = LorsaTrainingState.Open(options, config))
        {
            if (found is null)
            {
                progress?.Report(new WorkProgress("starting", 0, 0, "steps"));
            }

            var batch = source.Batches(0, options.BatchSequences, cancellationToken).First();
            var (inputNorm, outputNorm) = found?.Norms ?? Norms(source, options, cancellationToken);
            training = new(source, new Lorsa(config, isFolded: false, inputNorm, outputNorm).to(batch.Input.device), options, progress);
            if (found is null)
            {
                training.Start(batch, original);
            }
            else
            {
                found.Restore(training.stepper, training.curve, options.Steps);
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
        var batches = source.Batches(0, options.BatchSequences, cancellationToken).Take((int)Math.Min(options.NormBatches, options.Steps));
        ActivationBatch.ForEach(batches, cancellationToken, batch =>
        {
            var mask = batch.Mask.to(float64);
            input += batch.Input.to(float32).norm(-1).to(float64).mul(mask).sum([0L, 1L]).item<double>();
            output += batch.Output.to(float32).norm(-1).to(float64).mul(mask).sum([0L, 1L]).item<double>();
            tokens += mask.sum([0L, 1L]).item<double>();
        });
        return (input / tokens, output / tokens);
    }

    /// <summary>Sets the parameters before the first step.</summary>
    private void Start(ActivationBatch batch, OriginalAttention? original)
    {
        LorsaStart.Randomize(lorsa, options.Seed, options.FirstCode);
        var (x, y, mask) = Normalized(batch);
        LorsaStart.CenterOutput(lorsa, y, mask);
        if (!options.RandomStart)
        {
            Fault.ArgumentIf(original is null, $"A start from the attention needs the model; pass it, or choose a random start.");
            LorsaStart.CopyQueriesAndKeys(lorsa, original, lorsa.InputScale);
        }

        if (options.RandomStart || original?.Value is null)
        {
            LorsaStart.ScaleToOutput(lorsa, x, y, mask, withQueriesAndKeys: options.RandomStart && options.FirstCode);
            return;
        }

        LorsaStart.UseSubspaces(lorsa, original, [.. Enumerable.Range(0, original.Heads).Select(h => LorsaStart.ActiveSubspace(x, original, h))]);
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
                var result = TakeStep(batches);
                var note = string.Create(
                    CultureInfo.InvariantCulture,
                    $"EV {curve.ExplainedVariance:f3}, loss {result.Loss.Total:g4}, {(stepper.Step - first) * tokensPerStep / clock.Elapsed.TotalSeconds:f0} tokens/s");
                progress?.Report(new WorkProgress("training", stepper.Step * tokensPerStep, steps * tokensPerStep, "tokens", note));
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

    // Whole or not at all: the loops of a step would stop where a cell or a command is interrupted, and leave a state that was in no training.
    private LorsaStepResult TakeStep(IEnumerator<ActivationBatch> batches)
    {
        using var uninterrupted = AmbientWork.Enter(null, CancellationToken.None);
        batches.MoveNext();
        var (x, y, mask) = Normalized(batches.Current);
        var result = stepper.TakeStep(x, y, mask);
        curve.Add(y, mask, result);
        return result;
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
