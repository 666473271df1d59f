using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>Trains Lorsas.</summary>
/// <remarks>
/// A training is determined by its options, its seed and its data, not by the number of threads or by where it was interrupted. With a
/// <see cref="LorsaTrainingOptions.Folder"/> it writes checkpoints there, goes on from one it finds, and leaves the finished Lorsa in the
/// layout that <see cref="Lorsa.Load"/> and Language-Model-SAEs read.
/// </remarks>
public sealed partial class Lorsa
{
    /// <summary>Trains a Lorsa for a layer of a model on a corpus.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="corpus">The texts.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops after the step at hand and writes a checkpoint.</param>
    /// <returns>The Lorsa, with its training curve in <see cref="Lorsa.Training"/>.</returns>
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
        options = (options ?? new()).For(model);
        var source = new ModelActivationSource(
            model, layer, corpus, options.ContextLength, options.HeldOutSequences, options.ShuffleBuffer, options.Seed);
        var config = ConfigFor(model, layer, options);
        return Train(source, config, options, OriginalAttention.Of(model, config), progress, cancellationToken).For(model);
    }

    /// <summary>Trains a Lorsa on activations from anywhere.</summary>
    /// <param name="source">The activations.</param>
    /// <param name="config">
    /// Its shape; where options and shape both have a number (heads, k, activation, context), that of the shape counts.
    /// </param>
    /// <param name="options">How. A start from the attention needs <paramref name="model"/>.</param>
    /// <param name="model">The model the activations are from, for the start; null for a random start.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops after the step at hand and writes a checkpoint.</param>
    /// <returns>The Lorsa, with its training curve in <see cref="Lorsa.Training"/>.</returns>
    /// <exception cref="ArgumentException">The options do not fit the source, each other, or the checkpoint found.</exception>
    /// <exception cref="InvalidDataException">The data cannot be read; the last checkpoint is intact.</exception>
    /// <exception cref="ArithmeticException">Training diverged; the message names step and parameter.</exception>
    public static Lorsa Train(
        ActivationSource source, LorsaConfig config, LorsaTrainingOptions options, Model? model = null,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(options);
        options = options with
        {
            Heads = config.Heads,
            QkHeads = config.QkHeads,
            TopK = config.TopK,
            Activation = config.Activation,
            ContextLength = config.ContextLength,
        };
        var lorsa = Train(
            source, config, options, model is null ? null : OriginalAttention.Of(model, config), progress, cancellationToken);
        return model is null ? lorsa : lorsa.For(model);
    }

    /// <summary>The shape of a Lorsa for a layer of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="options">The numbers of heads, k, the activation and the context.</param>
    /// <returns>The shape; positions as in the model.</returns>
    public static LorsaConfig ConfigFor(Model model, int layer, LorsaTrainingOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        options = options.For(model);
        return new LorsaConfig
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

    internal static Lorsa Train(
        ActivationSource source, LorsaConfig config, LorsaTrainingOptions options, OriginalAttention? original,
        IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        config.Validate();
        options.Validate();
        if (source.ModelWidth != config.ModelWidth)
        {
            throw new ArgumentException($"The activations have width {source.ModelWidth}; the Lorsa has width {config.ModelWidth}.");
        }

        var numbers = new LorsaParameters(config);
        var stepper = new LorsaStepper(config, numbers, options.Rules());
        var fingerprint = options.Fingerprint(config);
        LorsaTrainingState.DeleteLeftovers(options.Folder);
        LorsaTrainingState state;
        if (options.Folder is { } found && File.Exists(Path.Combine(found, LorsaTrainingState.FileName)))
        {
            state = LorsaTrainingState.Load(found, stepper, fingerprint, CurveBuilder.Length(config));
        }
        else
        {
            progress?.Report(new WorkProgress("starting", 0, 0, "steps"));
            var (inputNorm, outputNorm) = Norms(source, options, cancellationToken);
            Initialize(numbers, config, options, original, source, inputNorm, outputNorm, cancellationToken);
            state = new LorsaTrainingState
            {
                Options = fingerprint,
                InputNorm = inputNorm,
                OutputNorm = outputNorm,
                Sequences = 0,
                Curve = [],
                Pending = new double[CurveBuilder.Length(config)],
            };
        }

        return new Run(source, config, options, stepper, state, progress).Go(cancellationToken);
    }

    /// <summary>The mean norms of input and output.</summary>
    private static (double Input, double Output) Norms(ActivationSource source, LorsaTrainingOptions options, CancellationToken cancellationToken)
    {
        double input = 0, output = 0, tokens = 0;
        var d = source.ModelWidth;
        foreach (var batch in source.Batches(0, options.BatchSequences, cancellationToken).Take((int)Math.Min(options.NormBatches, options.Steps)))
        {
            for (var t = 0; t < batch.MaskNumbers.Length; t++)
            {
                if (batch.MaskNumbers[t] != 0 || options.StatisticsOverAllTokens)
                {
                    input += Math.Sqrt(DoubleSums.SumOfSquares(batch.InputNumbers.AsSpan(t * d, d)));
                    output += Math.Sqrt(DoubleSums.SumOfSquares(batch.OutputNumbers.AsSpan(t * d, d)));
                    tokens++;
                }
            }
        }

        return (input / tokens, output / tokens);
    }

    private static void Initialize(
        LorsaParameters p, LorsaConfig config, LorsaTrainingOptions options, OriginalAttention? original, ActivationSource source,
        double inputNorm, double outputNorm, CancellationToken cancellationToken)
    {
        var firstCode = options.Initialization == LorsaInitialization.RandomFirstCode;
        LorsaInitializer.Randomize(p, config, options.Seed, firstCode, options.InitialThreshold);
        var batch = source.Batches(0, options.BatchSequences, cancellationToken).First();
        var (x, y) = Normalized(batch, config.ModelWidth, inputNorm, outputNorm);
        LorsaInitializer.CenterOutput(
            p, y, options.StatisticsOverAllTokens ? [.. Enumerable.Repeat(1f, batch.MaskNumbers.Length)] : batch.MaskNumbers);
        if (options.Initialization != LorsaInitialization.FromAttention)
        {
            LorsaInitializer.ScaleToOutput(p, config, x, y, batch.MaskNumbers, batch.Sequences, withQueriesAndKeys: firstCode);
            return;
        }

        if (original is null)
        {
            throw new ArgumentException("A start from the attention needs the model; pass it, or choose a random start.");
        }

        LorsaInitializer.CopyQueriesAndKeys(
            p, config, original, Math.Sqrt(config.ModelWidth) / inputNorm, withBiases: !options.DropQueryKeyBiases);
        if (original.Value.Length == 0)
        {
            LorsaInitializer.ScaleToOutput(p, config, x, y, batch.MaskNumbers, batch.Sequences, withQueriesAndKeys: false);
            return;
        }

        LorsaInitializer.UseSubspaces(
            p, config, original, [.. Enumerable.Range(0, original.Heads).Select(h => LorsaInitializer.ActiveSubspace(x, config.ModelWidth, original, h))]);
        LorsaInitializer.FitOutputNorm(p, config, x, y, batch.MaskNumbers, batch.Sequences);
    }

    private static (float[] X, float[] Y) Normalized(ActivationBatch batch, int d, double inputNorm, double outputNorm)
    {
        var (x, y) = (new float[batch.InputNumbers.Length], new float[batch.OutputNumbers.Length]);
        TensorPrimitives.Multiply(batch.InputNumbers, (float)(Math.Sqrt(d) / inputNorm), x);
        TensorPrimitives.Multiply(batch.OutputNumbers, (float)(Math.Sqrt(d) / outputNorm), y);
        return (x, y);
    }

    /// <summary>The loop, from a state to the end.</summary>
    private sealed class Run(
        ActivationSource source, LorsaConfig config, LorsaTrainingOptions options, LorsaStepper stepper, LorsaTrainingState start,
        IProgress<WorkProgress>? progress)
    {
        private readonly CurveBuilder curve = new(config, start.Curve, start.Pending);
        private readonly long tokensPerStep = (long)options.BatchSequences * options.ContextLength;

        public Lorsa Go(CancellationToken cancellationToken)
        {
            var clock = Stopwatch.StartNew();
            var (steps, first) = (options.Steps, stepper.Step);
            using var batches = source.Batches(start.Sequences, options.BatchSequences, CancellationToken.None).GetEnumerator();
            try
            {
                while (true)
                {
                    ClosePoint(clock, cancellationToken);
                    if (stepper.Step == steps)
                    {
                        break;
                    }

                    cancellationToken.ThrowIfCancellationRequested();
                    batches.MoveNext();
                    var batch = batches.Current;
                    var (x, y) = Normalized(batch, config.ModelWidth, start.InputNorm, start.OutputNorm);
                    var result = stepper.TakeStep(x, y, batch.MaskNumbers, batch.Sequences, batch.Length);
                    curve.Add(stepper.Pass, y, batch.MaskNumbers, result);
                    progress?.Report(new WorkProgress(
                        "training", stepper.Step * tokensPerStep, steps * tokensPerStep, "tokens",
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"EV {curve.ExplainedVariance:f3}, loss {result.Loss.Total:g4}, {(stepper.Step - first) * tokensPerStep / clock.Elapsed.TotalSeconds:f0} tokens/s")));
                    if (stepper.Step % options.CheckpointEvery == 0 || stepper.Step == steps)
                    {
                        Save();
                    }
                }
            }
            catch (OperationCanceledException)
            {
                Save();
                throw;
            }

            var rate = (stepper.Step - first) * tokensPerStep / Math.Max(clock.Elapsed.TotalSeconds, 1e-9);
            var heldOut = source.HasHeldOut ? Evaluate(cancellationToken) : null;
            var lorsa = Model(new LorsaTrainingReport(curve.Finish(heldOut?.ExplainedVariance), heldOut, rate));
            if (options.Folder is { } folder)
            {
                AtomicFile.WriteText(Path.Combine(folder, "curve.csv"), lorsa.Training!.ToCsv());
                if (config.Activation is not (LorsaActivation.TopKMagnitude or LorsaActivation.Dense))
                {
                    lorsa.Save(folder);
                }
            }

            return lorsa;
        }

        /// <summary>Makes a point of the curve where one is due; what a training that stopped before it came to that does first.</summary>
        private void ClosePoint(Stopwatch clock, CancellationToken cancellationToken)
        {
            var (step, last) = (stepper.Step, stepper.Step == options.Steps);
            var evaluate = options.EvaluateEvery > 0 && step % options.EvaluateEvery == 0 && source.HasHeldOut && !last;
            if (curve.HasSteps && (step % options.ReportEvery == 0 || evaluate || last))
            {
                var heldOut = evaluate ? Evaluate(cancellationToken).ExplainedVariance : (double?)null;
                curve.Close(step, step * tokensPerStep, heldOut, clock.Elapsed.TotalSeconds);
            }
        }

        private LorsaEvaluation Evaluate(CancellationToken cancellationToken) =>
            LorsaEvaluation.Of(Model(null), source.HeldOut(options.BatchSequences, cancellationToken), cancellationToken);

        private Lorsa Model(LorsaTrainingReport? report) =>
            Of(config, stepper.Parameters, LorsaNormalization.Dataset, start.InputNorm, start.OutputNorm, report);

        private void Save()
        {
            if (options.Folder is { } folder)
            {
                new LorsaTrainingState
                {
                    Options = start.Options,
                    InputNorm = start.InputNorm,
                    OutputNorm = start.OutputNorm,
                    Sequences = stepper.Step * options.BatchSequences,
                    Curve = curve.Points,
                    Pending = curve.Pending,
                }.Save(folder, stepper);
            }
        }
    }

    /// <summary>Gathers the steps between two points of the curve.</summary>
    private sealed class CurveBuilder(LorsaConfig config, IReadOnlyList<LorsaTrainingPoint> points, double[] pending)
    {
        // The pending numbers: steps, loss, squared error, squared deviation, tokens that counted, active heads, the last learning rate and k;
        // then the uses of each head.
        private const int Sums = 8;

        public List<LorsaTrainingPoint> Points { get; } = [.. points];

        public double[] Pending => pending;

        public bool HasSteps => pending[0] > 0;

        public double ExplainedVariance => 1 - (pending[2] / pending[3]);

        public static int Length(LorsaConfig config) => Sums + config.Heads;

        public void Add(LorsaPass pass, float[] y, float[] mask, LorsaStepResult result)
        {
            var d = config.ModelWidth;
            var mean = new double[d];
            var counted = mask.Sum(m => (double)m);
            for (var t = 0; t < mask.Length; t++)
            {
                for (var c = 0; mask[t] != 0 && c < d; c++)
                {
                    mean[c] += y[(t * d) + c] / counted;
                }
            }

            var mu = new float[d];
            TensorPrimitives.ConvertTruncating<double, float>(mean, mu);
            double error = 0, deviation = 0;
            for (var t = 0; t < mask.Length; t++)
            {
                if (mask[t] == 0)
                {
                    continue;
                }

                error += DoubleSums.SumOfSquaredDifferences(pass.Reconstruction.AsSpan(t * d, d), y.AsSpan(t * d, d));
                deviation += DoubleSums.SumOfSquaredDifferences(y.AsSpan(t * d, d), mu);
                for (var j = t * pass.Entries.Capacity; j < (t * pass.Entries.Capacity) + pass.Entries.MainCount[t]; j++)
                {
                    if (pass.Entries.Value[j] != 0)
                    {
                        pending[5]++;
                        pending[Sums + pass.Entries.Head[j]]++;
                    }
                }
            }

            pending[0]++;
            pending[1] += result.Loss.Total;
            pending[2] += error;
            pending[3] += deviation;
            pending[4] += counted;
            pending[6] = result.LearningRate;
            pending[7] = result.TopK;
        }

        public void Close(long step, long tokens, double? heldOut, double seconds)
        {
            Points.Add(new LorsaTrainingPoint(
                step, tokens, pending[6], (int)pending[7], pending[1] / pending[0], ExplainedVariance, pending[5] / pending[4],
                pending.AsSpan(Sums).Count(0.0), heldOut, seconds));
            Array.Clear(pending);
        }

        public IReadOnlyList<LorsaTrainingPoint> Finish(double? heldOut)
        {
            if (Points.Count > 0)
            {
                Points[^1] = Points[^1] with { HeldOutExplainedVariance = heldOut };
            }

            return Points;
        }
    }
}
