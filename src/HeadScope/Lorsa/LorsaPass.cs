using System.Buffers;
using System.Numerics.Tensors;
using HeadScope.Numerics;

namespace HeadScope.Lorsa;

/// <summary>
/// One batch through a Lorsa, forward and backward, in normalised units. Holds the room for all intermediate results, so a training loop
/// makes one and uses it again.
/// </summary>
/// <remarks>
/// <para>Forward, for every QK head g and OV head i of its group:
/// <c>q_g = rot(x W_Q + b_Q)</c>, <c>k_g</c> likewise, <c>P_g = softmax(q_g k_g^T / scale)</c> (causal),
/// <c>v_i = x w_V + b_V</c>, <c>z_i = P_g v_i</c>, <c>a = sparsify(z)</c>, <c>y = sum a_i w_O + b_D</c>.</para>
/// <para>Only finding the active heads needs all z. After that everything follows the few entries (token t, head i) with a gradient dz:
/// the output and dL/da are k rows of W_O per token; dL/dP row t is the sum of dz times row i of V^T; and because
/// <c>dL/dw_V_i = sum_t dz (P_g x)_t</c>, the gradient of W_V needs P_g x once per QK head and then k rows per token,
/// which is cheaper than dV^T x as soon as a group has more heads than 0.6 T.</para>
/// <para>No sum depends on the number of threads: work is split by token or by QK head, and each sum is done by one of them in order.</para>
/// </remarks>
internal sealed class LorsaPass
{
    // Rows of causal products done at once: the part of a block above the diagonal is wasted.
    private const int Block = 64;

    private readonly LorsaConfig config;
    private readonly RotaryTable rotary;
    private readonly int d, n, groups, e, w, r;
    private readonly float[] rawQueries;
    private readonly float[] rawKeys;
    private readonly float[] outputGradient;
    private readonly double[] tokenLoss;
    private float[] auxiliaryGradient = [];
    private double[] tokenAuxiliary = [];
    private double[] tokenPenalty = [];
    private double[] tokenThreshold = [];
    private float[] scores = [];

    public LorsaPass(LorsaConfig config, int batch, int length)
    {
        if (length > config.ContextLength)
        {
            throw new ArgumentException($"The sequences have {length} tokens; this Lorsa takes at most {config.ContextLength}.");
        }

        this.config = config;
        (Batch, Length, Tokens) = (batch, length, batch * length);
        (d, n, groups, e, r) = (config.ModelWidth, config.Heads, config.QkHeads, config.QkWidth, config.GroupSize);
        rotary = new RotaryTable(config.Rotary, e, length);
        w = rotary.Width;
        var qk = checked(groups * Tokens * w);
        Queries = new float[qk];
        Keys = new float[qk];
        var raw = config.QkNorm ? groups * Tokens * e : 0;
        rawQueries = new float[raw];
        rawKeys = new float[raw];
        Patterns = new float[checked(groups * Tokens * length)];
        Values = new float[checked(n * Tokens)];
        PreActivations = new float[checked(n * Tokens)];
        Reconstruction = new float[Tokens * d];
        outputGradient = new float[Tokens * d];
        tokenLoss = new double[Tokens];
        Entries = new HeadEntries(Tokens, n);
    }

    public int Batch { get; }

    public int Length { get; }

    /// <summary>N = B T.</summary>
    public int Tokens { get; }

    /// <summary>Rotated queries, [G, N, width].</summary>
    public float[] Queries { get; }

    /// <summary>Rotated keys, [G, N, width].</summary>
    public float[] Keys { get; }

    /// <summary>P, [G, B, T, T]; zero above the diagonal.</summary>
    public float[] Patterns { get; }

    /// <summary>v transposed, [n, N].</summary>
    public float[] Values { get; }

    /// <summary>z, [N, n].</summary>
    public float[] PreActivations { get; }

    /// <summary>The output, [N, d].</summary>
    public float[] Reconstruction { get; }

    /// <summary>|w_O|, [n].</summary>
    public float[] OutputNorms { get; private set; } = [];

    /// <summary>The active heads.</summary>
    public HeadEntries Entries { get; }

    /// <summary>Attention patterns and z.</summary>
    /// <param name="p">The parameters.</param>
    /// <param name="x">The input, [N, d].</param>
    public void Attend(LorsaParameters p, float[] x)
    {
        RequireTokens(x, nameof(x));
        OutputNorms = p.OutputNorms(d);
        MatrixProduct.Multiply(
            new(p.ValueWeight, n, d), new ReadOnlyMatrix(x, Tokens, d).Transpose(), new(Values, n, Tokens));
        Parallelism.For(groups, g => AttendGroup(g, p, x));
    }

    /// <summary>Takes over a change of W_O after <see cref="Attend"/>, which depends on everything else.</summary>
    public void Rescale(LorsaParameters p) => OutputNorms = p.OutputNorms(d);

    /// <summary>Chooses the active heads of every token.</summary>
    /// <param name="p">The parameters.</param>
    /// <param name="k">How many heads per token, where the activation has such a number.</param>
    /// <param name="forGradient">Whether silent heads with a gradient (JumpReLU) are listed too, with value 0.</param>
    public void Sparsify(LorsaParameters p, int k, bool forGradient = false)
    {
        k = Math.Min(k, n);
        var sparse = config.Activation is LorsaActivation.TopK or LorsaActivation.TopKMagnitude;
        Entries.Reset(sparse ? k : n);
        if (config.Activation == LorsaActivation.BatchTopK)
        {
            SparsifyBatch(k);
            return;
        }

        var thresholds = Array.ConvertAll(p.LogThreshold, MathF.Exp);
        Parallelism.For(Tokens, t =>
        {
            var z = PreActivations.AsSpan(t * n, n);
            var heads = Entries.Head.AsSpan(t * Entries.Capacity, Entries.Capacity);
            int count;
            if (sparse)
            {
                var u = ArrayPool<float>.Shared.Rent(n);
                Score(z, u.AsSpan(0, n));
                count = LargestPositive(u.AsSpan(0, n), heads[..k]);
                ArrayPool<float>.Shared.Return(u);
            }
            else
            {
                count = 0;
                for (var i = 0; i < n; i++)
                {
                    var listed = config.Activation switch
                    {
                        LorsaActivation.Relu => z[i] > 0,
                        LorsaActivation.JumpRelu => forGradient || z[i] * ScoreFactor(i) > thresholds[i],
                        _ => true,
                    };
                    if (listed)
                    {
                        heads[count++] = i;
                    }
                }
            }

            SetValues(t, count, thresholds);
        });
    }

    /// <summary>The output from the active heads.</summary>
    public void Decode(LorsaParameters p) => Parallelism.For(Tokens, t => DecodeToken(p, t));

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

    private void AttendGroup(int g, LorsaParameters p, float[] x)
    {
        Project(g, p.QueryWeight, p.QueryBias, p.QueryGain, x, rawQueries, Queries);
        Project(g, p.KeyWeight, p.KeyBias, p.KeyGain, x, rawKeys, Keys);
        for (var i = g * r; i < (g + 1) * r; i++)
        {
            var v = Values.AsSpan(i * Tokens, Tokens);
            TensorPrimitives.Add(v, p.ValueBias[i], v);
        }

        var scale = (float)(1 / config.Scale);
        for (var b = 0; b < Batch; b++)
        {
            var keys = new ReadOnlyMatrix(Keys.AsSpan(((g * Tokens) + (b * Length)) * w), Length, w);
            var values = new ReadOnlyMatrix(Values.AsSpan((g * r * Tokens) + (b * Length)), r, Length, Tokens);
            for (var first = 0; first < Length; first += Block)
            {
                var end = Math.Min(first + Block, Length);
                var rows = end - first;
                var queries = new ReadOnlyMatrix(Queries.AsSpan(((g * Tokens) + (b * Length) + first) * w), rows, w);
                var pattern = new Matrix(Patterns.AsSpan(PatternRow(g, b, first)), rows, end, Length);
                MatrixProduct.Multiply(queries, keys.SliceRows(0, end).Transpose(), pattern);
                for (var t = first; t < end; t++)
                {
                    var row = pattern.Row(t - first);
                    Softmax(row[..(t + 1)], scale);
                    row[(t + 1)..].Clear();
                }

                var z = new Matrix(PreActivations.AsSpan((((b * Length) + first) * n) + (g * r)), rows, r, n);
                MatrixProduct.Multiply(pattern, values.SliceColumns(0, end).Transpose(), z);
            }
        }
    }

    private void Project(int g, float[] weight, float[] bias, float[] gain, float[] x, float[] raw, float[] rotated)
    {
        var plain = config.QkNorm ? raw.AsSpan(g * Tokens * e, Tokens * e) : new float[Tokens * e];
        MatrixProduct.Multiply(new(x, Tokens, d), new(weight.AsSpan(g * d * e, d * e), d, e), new(plain, Tokens, e));
        Span<float> normed = new float[e];
        for (var t = 0; t < Tokens; t++)
        {
            var row = plain.Slice(t * e, e);
            TensorPrimitives.Add(row, bias.AsSpan(g * e, e), row);
            if (config.QkNorm)
            {
                TensorPrimitives.Multiply(row, InverseRootMeanSquare(row), normed);
                TensorPrimitives.Multiply(normed, gain.AsSpan(g * e, e), normed);
                row = normed;
            }

            rotary.Rotate(row, t % Length, rotated.AsSpan(((g * Tokens) + t) * w, w));
        }
    }

    private void SparsifyBatch(int k)
    {
        scores = scores.Length == 0 ? new float[Tokens * n] : scores;
        Parallelism.For(Tokens, t => Score(PreActivations.AsSpan(t * n, n), scores.AsSpan(t * n, n)));
        var wanted = (int)Math.Min((long)k * Tokens, scores.Length);
        var chosen = new int[wanted];
        var count = LargestPositive(scores, chosen);
        foreach (var index in chosen.AsSpan(0, count))
        {
            var t = index / n;
            Entries.Head[(t * Entries.Capacity) + Entries.Count[t]++] = index % n;
        }

        for (var t = 0; t < Tokens; t++)
        {
            SetValues(t, Entries.Count[t], []);
        }
    }

    private void SetValues(int t, int count, float[] thresholds)
    {
        Entries.Count[t] = count;
        Entries.MainCount[t] = count;
        for (var j = t * Entries.Capacity; j < (t * Entries.Capacity) + count; j++)
        {
            var i = Entries.Head[j];
            var z = PreActivations[(t * n) + i];
            Entries.Value[j] = thresholds.Length == 0 || z * ScoreFactor(i) > thresholds[i] ? z : 0;
        }
    }

    private float ScoreFactor(int head) => config.ScoreByOutputNorm ? OutputNorms[head] : 1;

    private void Score(ReadOnlySpan<float> z, Span<float> destination)
    {
        if (config.ScoreByOutputNorm)
        {
            TensorPrimitives.Multiply(z, OutputNorms, destination);
        }
        else
        {
            z.CopyTo(destination);
        }

        if (config.Activation == LorsaActivation.TopKMagnitude)
        {
            TensorPrimitives.Abs(destination, destination);
        }
    }

    private void DecodeToken(LorsaParameters p, int t)
    {
        var row = Reconstruction.AsSpan(t * d, d);
        if (p.OutputBias.Length == 0)
        {
            row.Clear();
        }
        else
        {
            p.OutputBias.CopyTo(row);
        }

        var first = t * Entries.Capacity;
        for (var j = first; j < first + Entries.MainCount[t]; j++)
        {
            if (Entries.Value[j] != 0)
            {
                AddScaled(p.OutputWeight.AsSpan(Entries.Head[j] * d, d), Entries.Value[j], row);
            }
        }
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

    private void Backward(LorsaParameters p, float[] x, LorsaParameters gradient, float[] thresholds)
    {
        Entries.ListByHead();
        Parallelism.For(groups, g => BackwardGroup(g, p, x, gradient, thresholds));
        if (gradient.OutputBias.Length > 0)
        {
            var sum = new double[d];
            for (var t = 0; t < Tokens; t++)
            {
                for (var c = 0; c < d; c++)
                {
                    sum[c] += outputGradient[(t * d) + c];
                }
            }

            TensorPrimitives.ConvertTruncating<double, float>(sum, gradient.OutputBias);
        }
    }

    private void BackwardGroup(int g, LorsaParameters p, float[] x, LorsaParameters gradient, float[] thresholds)
    {
        // The gradient of W_V by P x (see the remarks) or by dV, whichever is cheaper.
        var byContext = r > 0.6 * Length;
        var scoreGradient = RentCleared(Batch * Length * Length);
        var contextsOrValues = RentCleared(byContext ? Tokens * d : r * Tokens);
        if (byContext)
        {
            AttendInput(g, x, contextsOrValues);
        }

        for (var i = g * r; i < (g + 1) * r; i++)
        {
            var outputGradientOfHead = gradient.OutputWeight.AsSpan(i * d, d);
            var valueGradientOfHead = gradient.ValueWeight.AsSpan(i * d, d);
            outputGradientOfHead.Clear();
            valueGradientOfHead.Clear();
            double bias = 0, normGradient = 0, thresholdGradient = 0;
            foreach (var entry in Entries.OfHead(i))
            {
                var t = entry / Entries.Capacity;
                var isMain = entry - (t * Entries.Capacity) < Entries.MainCount[t];
                if (Entries.Value[entry] != 0)
                {
                    var dy = isMain ? outputGradient : auxiliaryGradient;
                    AddScaled(dy.AsSpan(t * d, d), Entries.Value[entry], outputGradientOfHead);
                }

                normGradient += Entries.NormGradient.Length == 0 ? 0 : Entries.NormGradient[entry];
                thresholdGradient += Entries.ThresholdGradient.Length == 0 ? 0 : Entries.ThresholdGradient[entry];
                var dz = Entries.Gradient[entry];
                if (dz == 0)
                {
                    continue;
                }

                bias += dz;
                var b = t / Length;
                var earlier = t - (b * Length) + 1;
                AddScaled(Values.AsSpan((i * Tokens) + (b * Length), earlier), dz, scoreGradient.AsSpan(t * Length, earlier));
                if (byContext)
                {
                    AddScaled(contextsOrValues.AsSpan(t * d, d), dz, valueGradientOfHead);
                }
                else
                {
                    AddScaled(
                        Patterns.AsSpan(PatternRow(g, b, earlier - 1), earlier), dz,
                        contextsOrValues.AsSpan(((i - (g * r)) * Tokens) + (b * Length), earlier));
                }
            }

            gradient.ValueBias[i] = (float)bias;
            if (normGradient != 0)
            {
                AddScaled(p.OutputWeight.AsSpan(i * d, d), (float)(normGradient / OutputNorms[i]), outputGradientOfHead);
            }

            if (gradient.LogThreshold.Length > 0)
            {
                gradient.LogThreshold[i] = (float)(thresholdGradient * thresholds[i]);
            }
        }

        if (!byContext)
        {
            MatrixProduct.Multiply(
                new(contextsOrValues, r, Tokens), new(x, Tokens, d), new(gradient.ValueWeight.AsSpan(g * r * d, r * d), r, d));
        }

        ArrayPool<float>.Shared.Return(contextsOrValues);
        ScoresBackward(g, scoreGradient, p, x, gradient);
        ArrayPool<float>.Shared.Return(scoreGradient);
    }

    /// <summary>P_g x, [N, d].</summary>
    private void AttendInput(int g, float[] x, float[] contexts)
    {
        for (var b = 0; b < Batch; b++)
        {
            var input = new ReadOnlyMatrix(x.AsSpan(b * Length * d), Length, d);
            for (var first = 0; first < Length; first += Block)
            {
                var end = Math.Min(first + Block, Length);
                var pattern = new ReadOnlyMatrix(Patterns.AsSpan(PatternRow(g, b, first)), end - first, end, Length);
                var context = new Matrix(contexts.AsSpan(((b * Length) + first) * d), end - first, d);
                MatrixProduct.Multiply(pattern, input.SliceRows(0, end), context);
            }
        }
    }

    /// <summary>From dL/dP through the softmax to W_Q, b_Q, W_K and b_K.</summary>
    private void ScoresBackward(int g, float[] patternGradient, LorsaParameters p, float[] x, LorsaParameters gradient)
    {
        var scale = (float)(1 / config.Scale);
        var queryGradient = RentCleared(Tokens * w);
        var keyGradient = RentCleared(Tokens * w);
        for (var b = 0; b < Batch; b++)
        {
            for (var t = 0; t < Length; t++)
            {
                // dS = P (dP - sum P dP)
                var dp = patternGradient.AsSpan(((b * Length) + t) * Length, t + 1);
                var pattern = Patterns.AsSpan(PatternRow(g, b, t), t + 1);
                TensorPrimitives.Subtract(dp, TensorPrimitives.Dot<float>(dp, pattern), dp);
                TensorPrimitives.Multiply(dp, pattern, dp);
                TensorPrimitives.Multiply(dp, scale, dp);
            }

            var row = ((g * Tokens) + (b * Length)) * w;
            var queries = new ReadOnlyMatrix(Queries.AsSpan(row), Length, w);
            var keys = new ReadOnlyMatrix(Keys.AsSpan(row), Length, w);
            var ds = new ReadOnlyMatrix(patternGradient.AsSpan(b * Length * Length), Length, Length);
            for (var first = 0; first < Length; first += Block)
            {
                var rows = Math.Min(Block, Length - first);
                var later = Length - first;
                var offset = ((b * Length) + first) * w;
                MatrixProduct.Multiply(
                    ds.SliceRows(first, rows).SliceColumns(0, first + rows), keys.SliceRows(0, first + rows),
                    new(queryGradient.AsSpan(offset), rows, w));
                MatrixProduct.Multiply(
                    ds.SliceRows(first, later).SliceColumns(first, rows).Transpose(), queries.SliceRows(first, later),
                    new(keyGradient.AsSpan(offset), rows, w));
            }
        }

        ProjectBackward(g, queryGradient, x, rawQueries, p.QueryGain, gradient.QueryWeight, gradient.QueryBias, gradient.QueryGain);
        ProjectBackward(g, keyGradient, x, rawKeys, p.KeyGain, gradient.KeyWeight, gradient.KeyBias, gradient.KeyGain);
        ArrayPool<float>.Shared.Return(queryGradient);
        ArrayPool<float>.Shared.Return(keyGradient);
    }

    private void ProjectBackward(
        int g, float[] rotatedGradient, float[] x, float[] raw, float[] gain, float[] weightGradient, float[] biasGradient,
        float[] gainGradient)
    {
        var plain = ArrayPool<float>.Shared.Rent(Tokens * e);
        var bias = new double[e];
        var gains = new double[e];
        for (var t = 0; t < Tokens; t++)
        {
            var row = plain.AsSpan(t * e, e);
            rotary.RotateBack(rotatedGradient.AsSpan(t * w, w), t % Length, row);
            if (config.QkNorm)
            {
                NormBackward(raw.AsSpan(((g * Tokens) + t) * e, e), gain.AsSpan(g * e, e), row, gains);
            }

            for (var c = 0; c < e; c++)
            {
                bias[c] += row[c];
            }
        }

        MatrixProduct.Multiply(
            new ReadOnlyMatrix(x, Tokens, d).Transpose(), new(plain.AsSpan(0, Tokens * e), Tokens, e),
            new(weightGradient.AsSpan(g * d * e, d * e), d, e));
        ArrayPool<float>.Shared.Return(plain);
        TensorPrimitives.ConvertTruncating<double, float>(bias, biasGradient.AsSpan(g * e, e));
        if (config.QkNorm)
        {
            TensorPrimitives.ConvertTruncating<double, float>(gains, gainGradient.AsSpan(g * e, e));
        }
    }

    /// <summary>Through <c>q / rms(q) * gain</c>: turns the gradient of the result into that of q, and adds that of the gain.</summary>
    private void NormBackward(ReadOnlySpan<float> q, ReadOnlySpan<float> gain, Span<float> gradient, double[] gains)
    {
        var inverse = InverseRootMeanSquare(q);
        var along = 0.0;
        for (var c = 0; c < e; c++)
        {
            gains[c] += (double)gradient[c] * q[c] * inverse;
            gradient[c] *= gain[c];
            along += (double)gradient[c] * q[c];
        }

        var back = (float)(along * inverse * inverse / e);
        for (var c = 0; c < e; c++)
        {
            gradient[c] = inverse * (gradient[c] - (q[c] * back));
        }
    }

    private float InverseRootMeanSquare(ReadOnlySpan<float> q) => (float)(1 / Math.Sqrt((DoubleSums.SumOfSquares(q) / e) + config.QkNormEpsilon));

    private int PatternRow(int g, int b, int t) => ((((g * Batch) + b) * Length) + t) * Length;

    private void RequireTokens(float[] values, string name)
    {
        if (values.Length != Tokens * d)
        {
            throw new ArgumentException($"{name} has {values.Length} numbers; expected {Batch} × {Length} × {d} = {Tokens * d}.");
        }
    }

    private static void Softmax(Span<float> row, float scale)
    {
        TensorPrimitives.Subtract(row, TensorPrimitives.Max<float>(row), row);
        TensorPrimitives.Multiply(row, scale, row);
        TensorPrimitives.Exp<float>(row, row);
        TensorPrimitives.Multiply(row, 1 / TensorPrimitives.Sum<float>(row), row);
    }

    /// <summary>The largest positive scores, as many as there is room for; their indices in ascending order.</summary>
    private static int LargestPositive(ReadOnlySpan<float> scores, Span<int> indices)
    {
        TopK.Of(scores, indices);
        var count = indices.Length;
        while (count > 0 && !(scores[indices[count - 1]] > 0))
        {
            count--;
        }

        indices[..count].Sort();
        return count;
    }

    private static void AddScaled(ReadOnlySpan<float> row, float factor, Span<float> destination) =>
        TensorPrimitives.MultiplyAdd(row, factor, destination, destination);

    private static float[] RentCleared(int length)
    {
        var array = ArrayPool<float>.Shared.Rent(length);
        array.AsSpan(0, length).Clear();
        return array;
    }
}
