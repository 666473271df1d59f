using System.Numerics.Tensors;

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
/// <param name="DeadFraction">The share of heads that were active at no token.</param>
/// <param name="Frequencies">How often each head is active, [n].</param>
public sealed record LorsaEvaluation(
    long Tokens, double ExplainedVariance, double ExplainedVarianceByToken, double NormalizedError, double SquaredError, double ErrorNorm,
    double ErrorNormRatio, double ActiveHeads, double MeanActivation, double DeadFraction, IReadOnlyList<double> Frequencies)
{
    /// <summary>The heads that were active at no token.</summary>
    public IEnumerable<int> DeadHeads => Frequencies.Select((f, i) => (f, i)).Where(pair => pair.f == 0).Select(pair => pair.i);

    /// <summary>Evaluates a Lorsa on batches of activations. Holds one batch at a time and the outputs' mean, so batches may be many.</summary>
    /// <param name="lorsa">The Lorsa.</param>
    /// <param name="batches">Activations in the units of the model; read twice, once for the mean output.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <returns>The metrics.</returns>
    /// <exception cref="ArgumentException">There is no token that counts.</exception>
    public static LorsaEvaluation Of(Lorsa lorsa, IEnumerable<ActivationBatch> batches, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(lorsa);
        ArgumentNullException.ThrowIfNull(batches);
        var (d, n) = (lorsa.Config.ModelWidth, lorsa.Config.Heads);
        var counted = 0L;
        var mean = new double[d];
        foreach (var batch in batches)
        {
            cancellationToken.ThrowIfCancellationRequested();
            for (var t = 0; t < batch.MaskNumbers.Length; t++)
            {
                if (batch.MaskNumbers[t] == 0)
                {
                    continue;
                }

                counted++;
                for (var c = 0; c < d; c++)
                {
                    mean[c] += batch.OutputNumbers[(t * d) + c] * (double)lorsa.OutputScale;
                }
            }
        }

        if (counted == 0)
        {
            throw new ArgumentException("There is no token to evaluate on.");
        }

        TensorPrimitives.Divide(mean, counted, mean);
        var muRow = new float[d];
        TensorPrimitives.ConvertTruncating<double, float>(mean, muRow);
        double error = 0, variance = 0, size = 0, byToken = 0, errorNorm = 0, norm = 0, activation = 0;
        long active = 0, activeAnywhere = 0;
        var frequencies = new double[n];
        var (y, difference) = (new float[d], new float[d]);
        LorsaPass? pass = null;
        foreach (var batch in batches)
        {
            cancellationToken.ThrowIfCancellationRequested();
            pass = lorsa.Pass(batch.InputNumbers, batch.Sequences, batch.Length, pass);
            for (var t = 0; t < batch.MaskNumbers.Length; t++)
            {
                var first = t * pass.Entries.Capacity;
                for (var j = first; j < first + pass.Entries.MainCount[t]; j++)
                {
                    var a = pass.Entries.Value[j];
                    activation += Math.Max(a, 0);
                    activeAnywhere += a > 0 ? 1 : 0;
                    if (a > 0 && batch.MaskNumbers[t] != 0)
                    {
                        active++;
                        frequencies[pass.Entries.Head[j]] += 1.0 / counted;
                    }
                }

                if (batch.MaskNumbers[t] == 0)
                {
                    continue;
                }

                TensorPrimitives.Multiply(batch.OutputNumbers.AsSpan(t * d, d), (float)lorsa.OutputScale, y);
                TensorPrimitives.Subtract(pass.Reconstruction.AsSpan(t * d, d), y, difference);
                var squared = DoubleSums.SumOfSquares(difference);
                var spread = DoubleSums.SumOfSquaredDifferences(y, muRow);
                var length = DoubleSums.SumOfSquares(y);
                error += squared;
                variance += spread;
                size += length;
                byToken += 1 - (squared / spread);
                errorNorm += Math.Sqrt(squared);
                norm += Math.Sqrt(length);
            }
        }

        return new LorsaEvaluation(
            counted, 1 - (error / variance), byToken / counted, error / size, error / counted, errorNorm / counted, errorNorm / norm,
            (double)active / counted, activation / Math.Max(1, activeAnywhere), frequencies.Count(f => f == 0) / (double)n, frequencies);
    }
}

/// <summary>What replacing the attention output does to the model's next-token prediction, in nats per prediction.</summary>
/// <param name="Predictions">The number of predictions; those made at the token at the beginning of a text are left out.</param>
/// <param name="Original">The cross entropy of the model itself.</param>
/// <param name="WithLorsa">With the Lorsa in place of the attention layer.</param>
/// <param name="WithZero">With an attention output of 0.</param>
/// <param name="WithMean">With the mean attention output of these tokens.</param>
public sealed record LorsaLossRecovered(int Predictions, double Original, double WithLorsa, double WithZero, double WithMean)
{
    /// <summary>(zero - Lorsa) / (zero - original): 1 when the Lorsa does what the layer did.</summary>
    public double VersusZero => (WithZero - WithLorsa) / (WithZero - Original);

    /// <summary>(mean - Lorsa) / (mean - original).</summary>
    public double VersusMean => (WithMean - WithLorsa) / (WithMean - Original);

    /// <summary>Measures it.</summary>
    /// <param name="lorsa">The Lorsa.</param>
    /// <param name="model">The model it belongs to, with the weight processing it was trained on.</param>
    /// <param name="sequences">Token sequences of one length, each with the token that begins a text in front; that one is not replaced.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops between sequences.</param>
    /// <returns>The cross entropies.</returns>
    /// <exception cref="ArgumentException">The sequences are too short to predict anything.</exception>
    public static LorsaLossRecovered Of(
        Lorsa lorsa, Model model, IReadOnlyList<int[]> sequences, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(lorsa);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sequences);
        if (sequences.Count == 0 || sequences.Any(sequence => sequence.Length < 3))
        {
            throw new ArgumentException("Loss is measured on sequences of at least 3 tokens.");
        }

        var d = model.Config.ModelWidth;
        var mean = new double[d];
        var sums = new double[4];
        var predictions = 0;
        for (var i = 0; i < sequences.Count; i++)
        {
            var (original, attention) = CrossEntropy(sequences[i], null);
            sums[0] += original;
            predictions += sequences[i].Length - 2;
            for (var t = 1; t < sequences[i].Length; t++)
            {
                for (var c = 0; c < d; c++)
                {
                    mean[c] += attention![(t * d) + c];
                }
            }

            progress?.Report(new WorkProgress("loss recovered", i + 1, 2 * sequences.Count, "sequences"));
        }

        var replaced = sequences.Sum(sequence => sequence.Length - 1);
        var meanRow = Array.ConvertAll(mean, sum => (float)(sum / replaced));
        for (var i = 0; i < sequences.Count; i++)
        {
            sums[1] += Replaced(sequences[i], values => lorsa.Encode(model, sequences[i]).OutputNumbers().CopyTo(values));
            sums[2] += Replaced(sequences[i], values => values.Clear());
            sums[3] += Replaced(sequences[i], values =>
            {
                for (var t = 0; t < sequences[i].Length; t++)
                {
                    meanRow.CopyTo(values.Slice(t * d, d));
                }
            });
            progress?.Report(new WorkProgress("loss recovered", sequences.Count + i + 1, 2 * sequences.Count, "sequences"));
        }

        return new LorsaLossRecovered(
            predictions, sums[0] / predictions, sums[1] / predictions, sums[2] / predictions, sums[3] / predictions);

        double Replaced(int[] tokens, SpanAction edit) => CrossEntropy(tokens, new Hooks().EditNumbers(lorsa.Config.HookOut, context =>
        {
            // The output at the first token stays as it was.
            var first = context.Values[..d].ToArray();
            edit(context.Values);
            first.CopyTo(context.Values);
        })).Loss;

        (double Loss, float[]? Attention) CrossEntropy(int[] tokens, Hooks? edits)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var pass = model.Run(tokens, edits ?? new Hooks().Keep(lorsa.Config.HookOut), cancellationToken: cancellationToken);
            var logits = pass.TakeLogits().AsFlatSpan();
            var vocabulary = logits.Length / tokens.Length;
            var loss = 0.0;
            for (var t = 1; t < tokens.Length - 1; t++)
            {
                var row = logits.Slice(t * vocabulary, vocabulary);
                loss += Elementwise.LogSumExp(row) - row[tokens[t + 1]];
            }

            return (loss, edits is null ? pass.Take(lorsa.Config.HookOut).AsFlatSpan().ToArray() : null);
        }
    }

    private delegate void SpanAction(Span<float> values);
}
