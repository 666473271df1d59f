using System.Buffers;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>From the gradients of the entries back to the parameters.</summary>
internal sealed partial class LorsaPass
{
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

    private static float[] RentCleared(int length)
    {
        var array = ArrayPool<float>.Shared.Rent(length);
        array.AsSpan(0, length).Clear();
        return array;
    }
}
