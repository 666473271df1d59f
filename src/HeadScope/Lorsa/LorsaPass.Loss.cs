using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>The loss, and the gradients of the entries.</summary>
internal sealed partial class LorsaPass
{
    /// <summary>The loss of the batch and the gradient of every parameter. Expects <see cref="Attend"/> and <see cref="Sparsify"/>.</summary>
    /// <param name="p">The parameters.</param>
    /// <param name="x">The input, [N, d].</param>
    /// <param name="y">The output to reach, [N, d].</param>
    /// <param name="mask">1 for tokens that count, 0 for the others, [N].</param>
    /// <param name="objective">What is minimised.</param>
    /// <param name="penalty">The weight of the penalty on activity at this step.</param>
    /// <param name="dead">The dead heads, for the auxiliary loss; null for none.</param>
    /// <param name="gradient">Takes the gradient; null for the loss alone.</param>
    public LorsaLoss Loss(
        LorsaParameters p, float[] x, float[] y, float[] mask, LorsaObjective objective, double penalty, bool[]? dead,
        LorsaParameters? gradient)
    {
        RequireTokens(y, nameof(y));
        var counted = Math.Max(1.0, mask.Sum(m => (double)m));
        var withPenalty = objective.Penalty != LorsaPenalty.None && penalty != 0;
        var jump = config.Activation == LorsaActivation.JumpRelu;
        var withThreshold = jump && objective.ThresholdCoefficient != 0;
        if ((withPenalty && config.Activation is LorsaActivation.TopKMagnitude or LorsaActivation.Dense)
            || (!jump && objective.ThresholdCoefficient != 0))
        {
            throw new ArgumentException($"The penalties asked for need another activation than {config.Activation}.");
        }

        var auxiliary = objective.AuxiliaryCoefficient != 0 && dead?.Contains(true) == true ? objective.AuxiliaryCoefficient : 0;
        if (auxiliary != 0)
        {
            AddDeadHeads(p, dead!, objective.AuxiliaryHeads);
            auxiliaryGradient = auxiliaryGradient.Length == 0 ? new float[Tokens * d] : auxiliaryGradient;
        }

        Entries.ResetGradients(withPenalty || withThreshold, jump);
        tokenPenalty = withPenalty ? new double[Tokens] : [];
        tokenThreshold = withThreshold ? new double[Tokens] : [];
        tokenAuxiliary = auxiliary != 0 ? new double[Tokens] : [];
        var frequencies = withPenalty && objective.Penalty == LorsaPenalty.TanhQuadratic ? MeanTanh(objective.TanhStretch) : [];
        var thresholds = Array.ConvertAll(p.LogThreshold, MathF.Exp);
        var perNumber = 1 / (counted * (objective.MeanOverWidth ? d : 1));

        Parallelism.For(Tokens, t =>
        {
            DecodeToken(p, t);
            var error = outputGradient.AsSpan(t * d, d);
            TensorPrimitives.Subtract(Reconstruction.AsSpan(t * d, d), y.AsSpan(t * d, d), error);
            tokenLoss[t] = mask[t] * DoubleSums.SumOfSquares(error) * perNumber;
            if (auxiliary != 0)
            {
                ExplainResidual(p, t, error, mask[t] * auxiliary / counted);
            }

            TensorPrimitives.Multiply(error, (float)(2 * mask[t] * perNumber), error);
            if (auxiliary != 0)
            {
                TensorPrimitives.Add(error, auxiliaryGradient.AsSpan(t * d, d), error);
            }

            EntryGradients(p, t, error, mask[t] / counted, objective, withPenalty ? penalty : 0, frequencies, thresholds);
        });

        var penaltyLoss = tokenPenalty.Sum();
        foreach (var f in frequencies)
        {
            penaltyLoss += penalty * f * (1 + (f / objective.FrequencyScale));
        }

        if (gradient is not null)
        {
            Backward(p, x, gradient, thresholds);
        }

        var loss = new LorsaLoss(0, tokenLoss.Sum(), penaltyLoss, tokenThreshold.Sum(), tokenAuxiliary.Sum());
        return loss with { Total = loss.Reconstruction + loss.Penalty + loss.Threshold + loss.Auxiliary };
    }

    /// <summary>Lists the dead heads that explain the residual best after the active ones.</summary>
    private void AddDeadHeads(LorsaParameters p, bool[] dead, int most)
    {
        var candidates = Enumerable.Range(0, n).Where(i => dead[i]).ToArray();
        var k = Math.Min(most, candidates.Length);
        var (capacity, heads, values) = (Entries.Capacity, Entries.Head, Entries.Value);
        var counts = Entries.Count.ToArray();
        Entries.Reset(capacity + k);
        Parallelism.For(Tokens, t =>
        {
            heads.AsSpan(t * capacity, counts[t]).CopyTo(Entries.Head.AsSpan(t * Entries.Capacity));
            values.AsSpan(t * capacity, counts[t]).CopyTo(Entries.Value.AsSpan(t * Entries.Capacity));
            Entries.MainCount[t] = counts[t];
            var u = new float[candidates.Length];
            for (var j = 0; j < u.Length; j++)
            {
                u[j] = PreActivations[(t * n) + candidates[j]] * ScoreFactor(candidates[j]);
            }

            var chosen = new int[k];
            var count = LargestPositive(u, chosen);
            var next = (t * Entries.Capacity) + counts[t];
            foreach (var j in chosen.AsSpan(0, count))
            {
                Entries.Head[next] = candidates[j];
                Entries.Value[next++] = PreActivations[(t * n) + candidates[j]];
            }

            Entries.Count[t] = counts[t] + count;
        });
    }

    /// <summary>The auxiliary loss of a token and its gradient for the sum of the two predictions.</summary>
    private void ExplainResidual(LorsaParameters p, int t, ReadOnlySpan<float> error, double weight)
    {
        var rest = auxiliaryGradient.AsSpan(t * d, d);
        error.CopyTo(rest);
        var first = t * Entries.Capacity;
        for (var j = first + Entries.MainCount[t]; j < first + Entries.Count[t]; j++)
        {
            AddScaled(p.OutputWeight.AsSpan(Entries.Head[j] * d, d), Entries.Value[j], rest);
        }

        tokenAuxiliary[t] = weight * DoubleSums.SumOfSquares(rest);
        TensorPrimitives.Multiply(rest, (float)(2 * weight), rest);
    }

    /// <summary>tanh(s f) of every head, averaged over all tokens, [n].</summary>
    private double[] MeanTanh(double stretch)
    {
        var mean = new double[n];
        for (var t = 0; t < Tokens; t++)
        {
            for (var j = t * Entries.Capacity; j < (t * Entries.Capacity) + Entries.MainCount[t]; j++)
            {
                var i = Entries.Head[j];
                mean[i] += Math.Tanh(stretch * Entries.Value[j] * OutputNorms[i]) / Tokens;
            }
        }

        return mean;
    }

    /// <summary>dL/dz, and where asked for dL/d|w_O| and dL/dθ, of the entries of a token.</summary>
    private void EntryGradients(
        LorsaParameters p, int t, ReadOnlySpan<float> dy, double share, LorsaObjective objective, double penalty, double[] frequencies,
        float[] thresholds)
    {
        var first = t * Entries.Capacity;
        var norm = 0.0;
        if (penalty != 0 && objective.Penalty == LorsaPenalty.Power)
        {
            for (var j = first; j < first + Entries.MainCount[t]; j++)
            {
                norm += Math.Pow(Entries.Value[j] * OutputNorms[Entries.Head[j]], objective.Power);
            }

            tokenPenalty[t] = penalty * share * Math.Pow(norm, 1 / objective.Power);
        }

        for (var j = first; j < first + Entries.MainCount[t]; j++)
        {
            var i = Entries.Head[j];
            var (a, size) = (Entries.Value[j], OutputNorms[i]);
            double da = TensorPrimitives.Dot(dy, p.OutputWeight.AsSpan(i * d, d));
            if (penalty != 0)
            {
                // The derivative of the penalty by f = a |w_O|.
                var f = a * (double)size;
                var df = 0.0;
                if (objective.Penalty == LorsaPenalty.Power)
                {
                    df = norm == 0 && objective.Power != 1 ? 0
                        : penalty * share * Math.Pow(norm, (1 / objective.Power) - 1) * Math.Pow(f, objective.Power - 1);
                }
                else
                {
                    var tanh = Math.Tanh(objective.TanhStretch * f);
                    var slope = objective.TanhStretch * (1 - (tanh * tanh));
                    df = objective.Penalty == LorsaPenalty.Tanh
                        ? penalty * share * slope
                        : penalty / Tokens * (1 + (2 * frequencies[i] / objective.FrequencyScale)) * slope;
                    tokenPenalty[t] += objective.Penalty == LorsaPenalty.Tanh ? penalty * share * tanh : 0;
                }

                da += df * size;
                Entries.NormGradient[j] += (float)(df * a);
            }

            if (thresholds.Length == 0)
            {
                Entries.Gradient[j] = (float)da;
                continue;
            }

            var z = PreActivations[(t * n) + i];
            var (u, theta) = (z * ScoreFactor(i), thresholds[i]);
            Entries.Gradient[j] = u > theta ? (float)da : 0;
            if (u > 0 && Math.Abs(u - theta) < config.JumpReluWindow / 2)
            {
                Entries.ThresholdGradient[j] = (float)(-theta / config.JumpReluWindow * da / ScoreFactor(i));
            }

            if (objective.ThresholdCoefficient != 0 && z < theta)
            {
                var weight = objective.ThresholdCoefficient * share;
                tokenThreshold[t] += weight * (theta - z) * size;
                Entries.Gradient[j] -= (float)(weight * size);
                Entries.ThresholdGradient[j] += (float)(weight * size);
                Entries.NormGradient[j] += (float)(weight * (theta - z));
            }
        }

        for (var j = first + Entries.MainCount[t]; j < first + Entries.Count[t]; j++)
        {
            Entries.Gradient[j] = TensorPrimitives.Dot<float>(
                auxiliaryGradient.AsSpan(t * d, d), p.OutputWeight.AsSpan(Entries.Head[j] * d, d));
        }
    }
}
