namespace HeadScope;

/// <summary>The quality of a Lorsa on some tokens. Only tokens that count enter, unless said otherwise.</summary>
/// <param name="Tokens">The tokens that counted.</param>
/// <param name="ExplainedVariance">1 - mean |ŷ - y|² / mean |y - mean y|², over all tokens together.</param>
/// <param name="ExplainedVarianceByToken">The mean over tokens of 1 - |ŷ - y|² / |y - mean y|² ("legacy").</param>
/// <param name="NormalizedError">NMSE: the sum of |ŷ - y|² over the sum of |y|².</param>
/// <param name="SquaredError">The mean |ŷ - y|² in the units of training (the loss).</param>
/// <param name="ErrorNorm">The mean |ŷ - y| in the units of training.</param>
/// <param name="ErrorNormRatio">The mean |ŷ - y| over the mean |y|.</param>
/// <param name="ActiveHeads">L0, the mean number of heads with a positive activation per token.</param>
/// <param name="MeanActivation">The mean positive activation, padding included, in the units of training.</param>
/// <param name="Frequencies">At which share of the tokens each head is active, [n], fp32, on the CPU.</param>
public sealed record LorsaEvaluation(
    long Tokens, double ExplainedVariance, double ExplainedVarianceByToken, double NormalizedError, double SquaredError, double ErrorNorm,
    double ErrorNormRatio, double ActiveHeads, double MeanActivation, Tensor Frequencies)
{
    /// <summary>The share of heads that were active at no token.</summary>
    public double DeadFraction => (double)DeadHeads.Count() / Frequencies.shape[0];

    /// <summary>The heads that were active at no token.</summary>
    public IEnumerable<int> DeadHeads => Frequencies.Copied<float>().Index().Where(head => head.Item == 0).Select(head => head.Index);

    /// <summary>How often each head is active: head, frequency.</summary>
    public DataFrame Table => new(
        new Int32DataFrameColumn("head", Enumerable.Range(0, (int)Frequencies.shape[0])), new SingleDataFrameColumn("frequency", Frequencies.Copied<float>()));

    /// <summary>Evaluates a Lorsa on the first windows of a corpus.</summary>
    /// <param name="lorsa">The Lorsa, with its model.</param>
    /// <param name="corpus">The texts.</param>
    /// <param name="sequences">How many windows of the Lorsa's context are read.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <returns>The metrics.</returns>
    /// <exception cref="ArgumentException">There is no token that counts.</exception>
    /// <exception cref="InvalidOperationException">The Lorsa has no model.</exception>
    public static LorsaEvaluation Of(Lorsa lorsa, LorsaCorpus corpus, int sequences = 32, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(lorsa);
        ArgumentNullException.ThrowIfNull(corpus);
        (_, cancellationToken) = AmbientWork.Or(null, cancellationToken);
        return Of(lorsa, lorsa.ActivationsOn(corpus, sequences).HeldOut(4, cancellationToken), cancellationToken);
    }

    /// <summary>Evaluates a Lorsa on batches, which are read twice, once for the mean output. Holds one batch at a time.</summary>
    internal static LorsaEvaluation Of(Lorsa lorsa, IEnumerable<ActivationBatch> batches, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var (d, n) = (lorsa.Config.ModelWidth, lorsa.Config.Heads);
        var tokens = 0L;
        var mean = zeros(d, float64);
        ActivationBatch.ForEach(batches, cancellationToken, batch =>
        {
            var y = Counting(batch, batch.Output);
            tokens += y.shape[0];
            mean.add_(y.sum([0]).cpu(), Scalars.One);
        });
        Fault.ArgumentIf(tokens == 0, $"There is no token to evaluate on.");
        mean.div_(Scalars.Of(tokens));
        double error = 0, variance = 0, size = 0, byToken = 0, errorNorm = 0, norm = 0, activation = 0;
        var (active, activeAnywhere) = (zeros(n, int64), 0L);
        ActivationBatch.ForEach(batches, cancellationToken, batch =>
        {
            var found = lorsa.Encode(batch.Input);
            var positive = found.Activations.clamp_min(Scalars.Of(0));
            activation += Total(positive.sum([-1], type: float64));
            activeAnywhere += positive.count_nonzero().cpu().item<long>();
            active.add_(Counting(batch, positive.gt(Scalars.Of(0))).sum([0]).to(int64).cpu(), Scalars.One);

            // Sums over rows do not depend on the number of threads, those over all numbers do.
            var y = Counting(batch, batch.Output);
            var squared = Squares(Counting(batch, found.Output).to(y.device).sub(y));
            var (spread, length) = (Squares(y.sub(mean.to(y.device))), Squares(y));
            error += Total(squared);
            variance += Total(spread);
            size += Total(length);
            byToken += Total(squared.div(spread));
            errorNorm += Total(squared.sqrt());
            norm += Total(length.sqrt());
        });
        var scale = lorsa.OutputScale;

        // Kept with the report of a training, however many scopes that ends.
        var frequencies = active.to(float64).div(Scalars.Of(tokens)).to(float32).DetachFromDisposeScope();
        return new(
            tokens, 1 - (error / variance), 1 - (byToken / tokens), error / size, error / tokens * scale * scale, errorNorm / tokens * scale,
            errorNorm / norm, Total(active) / tokens, activation / Math.Max(1, activeAnywhere), frequencies);

        static Tensor Counting(ActivationBatch batch, Tensor values) =>
            values.flatten(0, 1)[batch.Mask.flatten().to(@bool).to(values.device)].to(float64);

        static Tensor Squares(Tensor rows) => rows.mul(rows).sum([-1]);

        static double Total(Tensor numbers) => numbers.Copied<double>().Sum();
    }
}

public sealed partial class Lorsa
{
    /// <summary>
    /// The cross entropy of the model's next-token predictions, in nats, with its attention output as it is, and replaced by the Lorsa's, by
    /// 0, and by a mean; and the loss recovered, <c>(zero - Lorsa) / (zero - original)</c> and <c>(mean - Lorsa) / (mean -
    /// original)</c>: 1 when the Lorsa does what the layer did.
    /// </summary>
    /// <param name="sequences">
    /// Token sequences, each with the token that begins a text in front: its output is not replaced, and the prediction made there is left out.
    /// </param>
    /// <param name="mean">The mean attention output, [d]; null for that of these sequences.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops between sequences.</param>
    /// <returns>The cross entropies and the two shares.</returns>
    /// <exception cref="ArgumentException">A sequence is too short to predict anything, or the mean has another shape.</exception>
    /// <exception cref="InvalidOperationException">There is no model.</exception>
    public (double Original, double WithLorsa, double WithZero, double WithMean, double VersusZero, double VersusMean) LossRecovered(
        IReadOnlyList<int[]> sequences, Tensor? mean = null, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(sequences);
        Fault.ArgumentIf(
            sequences.Count == 0 || sequences.Any(sequence => sequence is not { Length: >= 3 }), $"Loss is measured on sequences of at least 3 tokens.");
        var model = RequireModel();
        Fault.ArgumentIf(
            mean is not null && !mean.shape.SequenceEqual([model.Config.ModelWidth]),
            $"The mean has the shape [{string.Join(", ", mean?.shape ?? [])}]; expected [{model.Config.ModelWidth}], a mean attention output.");
        using var scope = NewDisposeScope();
        var sum = zeros(model.Config.ModelWidth, float64, model.Device);
        double original = 0, withLorsa = 0, withZero = 0, withMean = 0;
        var done = 0;
        foreach (var sequence in sequences)
        {
            using var pass = model.Run(sequence, new Hooks().Keep(Config.HookIn, Config.HookOut), cancellationToken: cancellationToken);
            using var encoded = NewDisposeScope();
            original += Loss(sequence, pass);
            sum.add_(pass[Config.HookOut].narrow(1, 1, sequence.Length - 1).sum([0, 1], type: float64), Scalars.One);
            withLorsa += Replaced(sequence, Encode(pass[Config.HookIn]).Output.narrow(1, 1, sequence.Length - 1));
            withZero += Replaced(sequence, zeros(1, model.Dtype, model.Device));
            progress?.Report(new WorkProgress("loss recovered", ++done, 2 * sequences.Count, "sequences"));
        }

        mean ??= sum.div(Scalars.Of(sequences.Sum(sequence => sequence.Length - 1)));
        foreach (var sequence in sequences)
        {
            withMean += Replaced(sequence, mean);
            progress?.Report(new WorkProgress("loss recovered", ++done, 2 * sequences.Count, "sequences"));
        }

        var predictions = sequences.Sum(sequence => sequence.Length - 2);
        return (
            original / predictions, withLorsa / predictions, withZero / predictions, withMean / predictions,
            (withZero - withLorsa) / (withZero - original), (withMean - withLorsa) / (withMean - original));

        double Replaced(int[] tokens, Tensor output)
        {
            var hooks = new Hooks().Edit(Config.HookOut, value =>
            {
                value.narrow(1, 1, tokens.Length - 1).copy_(output);
                return value;
            });
            using var pass = model.Run(tokens, hooks, cancellationToken: cancellationToken);
            return Loss(tokens, pass);
        }

        static double Loss(int[] tokens, ForwardPass pass)
        {
            using var scope = NewDisposeScope();
            var next = tensor([.. tokens[2..].Select(token => (long)token)], device: pass.Logits!.device);
            var logits = pass.Logits[0].narrow(0, 1, tokens.Length - 2).to(float32);
            return nn.functional.cross_entropy(logits, next, reduction: nn.Reduction.None).Copied<double>().Sum();
        }
    }
}
