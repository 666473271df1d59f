namespace HeadScope;

/// <summary>Sets the parameters of a Lorsa before the first step. Inputs and outputs are normalised, [B, T, d]; the mask is [B, T].</summary>
internal static class LorsaStart
{
    /// <summary>Random parameters, with the distributions of the first published code or of Language-Model-SAEs; biases are 0, gains and thresholds 1.</summary>
    public static void Randomize(Lorsa lorsa, int seed, bool firstCode)
    {
        double d = lorsa.Config.ModelWidth, g = lorsa.Config.QkHeads, e = lorsa.Config.QkWidth, n = lorsa.Config.Heads;
        var random = new Random(seed);
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        foreach (var (name, _) in Lorsa.Shapes(lorsa.Config))
        {
            var weight = lorsa.Weight(name);
            Func<double>? draw = name switch
            {
                "W_Q" or "W_K" when firstCode => () => random.Normal() * Math.Sqrt(2 / (d * e)),
                "W_Q" or "W_K" => () => ((random.NextDouble() * 2) - 1) * Math.Sqrt(6 / ((d + g) * e)),
                "W_V" => () => random.Normal() * (firstCode ? Math.Sqrt(2 / d) : 1 / Math.Sqrt(n)),
                "W_O" => () => random.Normal() * (firstCode ? Math.Sqrt(2 / d) : 1 / Math.Sqrt(d)),
                _ => null,
            };
            weight.copy_(draw is null
                ? tensor(name is "ln_q.w" or "ln_k.w" ? 1 : 0)
                : tensor([.. Enumerable.Range(0, (int)weight.numel()).Select(_ => (float)draw())], weight.shape));
        }
    }

    /// <summary>
    /// Queries and keys of the model, neighbouring QK heads sharing one of its heads: <c>W_Q[j] = W_Q^model[j H / G] / c</c>, where inputs are
    /// multiplied by c before they reach the Lorsa.
    /// </summary>
    public static void CopyQueriesAndKeys(Lorsa lorsa, OriginalAttention original, double inputScale)
    {
        var config = lorsa.Config;
        Fault.ArgumentIf(
            config.QkHeads % original.Heads != 0 || config.QkWidth != original.HeadWidth,
            $"{config.QkHeads} QK heads of width {config.QkWidth} cannot begin as copies of the layer's {original.Heads} heads of width "
            + $"{original.HeadWidth}: expected a multiple of {original.Heads} and the same width, or a random start.");
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        Copy("W_Q", original.Query, 1 / inputScale);
        Copy("W_K", original.Key, 1 / inputScale);
        Copy("b_Q", original.QueryBias, 1);
        Copy("b_K", original.KeyBias, 1);

        void Copy(string name, Tensor heads, double factor) =>
            lorsa.Weight(name).copy_(heads.repeat_interleave(config.QkHeads / original.Heads, 0).mul(tensor(factor)));
    }

    /// <summary>
    /// An orthonormal basis of the directions that a head of the model reads from these inputs: the left singular vectors of
    /// <c>(x W_V W_V^T)^T</c> after its mean over tokens is taken out, strongest first, [d, d_head].
    /// </summary>
    public static Tensor ActiveSubspace(Tensor x, OriginalAttention original, int head)
    {
        // The matrix is W_V v^T with the centred values v. With W_V = Q R the wanted vectors are Q U of R (v^T v) R^T.
        using var scope = NewDisposeScope();
        var weight = original.Value![head].to(float64);
        var v = x.flatten(0, 1).to(float64).mm(weight);
        v = v.sub(v.mean([0], keepdim: true));
        var (q, r) = linalg.qr(weight);
        var (u, _, _) = linalg.svd(r.mm(v.t().mm(v)).mm(r.t()));
        var basis = q.mm(u);

        // Signs are free; with the largest component positive they do not depend on who computes them.
        basis = basis.mul(basis.gather(0, basis.abs().argmax(0, keepdim: true)).sign());
        return scope.MoveToOuter(basis.to(x.dtype));
    }

    /// <summary>
    /// Draws W_V of the OV heads from the subspace of the model head whose pattern they share, and W_O as what that head writes for them:
    /// <c>w_V = r U^T</c>, <c>w_O = w_V W_V^h W_O^h</c>, both of length 1. The random coefficients r are what W_V holds before.
    /// </summary>
    public static void UseSubspaces(Lorsa lorsa, OriginalAttention original, IReadOnlyList<Tensor> subspaces)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var rows = lorsa.Config.Heads / original.Heads;
        for (var h = 0; h < original.Heads; h++)
        {
            var (read, write) = (lorsa.Weight("W_V").narrow(0, h * rows, rows), lorsa.Weight("W_O").narrow(0, h * rows, rows));
            read.copy_(read.narrow(1, 0, original.HeadWidth).mm(subspaces[h].t()));
            write.copy_(read.mm(original.Value![h]).mm(original.Output![h]));
            foreach (var weight in new[] { read, write })
            {
                var norm = weight.norm(1, keepdim: true);
                weight.div_(norm.masked_fill(norm.eq(Scalars.Of(0)), Scalars.One));
            }
        }
    }

    /// <summary>b_D = the mean of y over the tokens that count.</summary>
    public static void CenterOutput(Lorsa lorsa, Tensor y, Tensor mask)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        if (lorsa.Config.HasOutputBias)
        {
            var counted = mask.to(float64).sum([0L, 1L]);
            lorsa.Weight("b_D").copy_(y.to(float64).mul(mask.unsqueeze(2)).sum([0L, 1L]).div(counted));
        }
    }

    /// <summary>
    /// Scales W_O as a whole so that its mean norm is the one of a grid (0.1, 0.2 … 5.0, then steps of 0.01 around the best) with the
    /// smallest loss on a batch; gives the mean norms tried, in order, with their losses.
    /// </summary>
    public static List<(double Norm, double Loss)> FitOutputNorm(Lorsa lorsa, Tensor x, Tensor y, Tensor mask)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var (z, _, _) = lorsa.Attend(x);
        var write = lorsa.Weight("W_O");
        var start = write.clone();
        var mean = lorsa.OutputNorms().to(float64).mean().item<double>();
        var rest = lorsa.Config.HasOutputBias ? lorsa.Weight("b_D") - y : y.neg();
        (double Norm, double Written, double Both, double Missing)? sums = null;
        var tried = new List<(double Norm, double Loss)>();
        var best = Best(Enumerable.Range(1, 50).Select(i => i / 10.0));
        best = Best(Enumerable.Range(-9, 20).Select(i => best + (i / 100.0)).Where(norm => norm > 0.005).ToList());
        Scale(best);
        return tried;

        double Best(IEnumerable<double> norms)
        {
            foreach (var norm in norms)
            {
                tried.Add((norm, Loss(norm)));
            }

            return tried.MinBy(pair => pair.Loss).Norm;
        }

        // |s a W_O + b - y|² for every s from three sums: which heads are active depends on the scale of W_O for JumpReLU alone.
        double Loss(double norm)
        {
            if (sums is null || lorsa.Config.Activation == LorsaActivation.JumpRelu)
            {
                Scale(norm);
                using var inner = NewDisposeScope();
                var written = lorsa.Choose(z, lorsa.Config.TopK).matmul(write);
                sums = (norm, Mean(written.mul(written)), Mean(written.mul(rest)), Mean(rest.mul(rest)));
            }

            var (at, square, both, constantPart) = sums.Value;
            var s = norm / at;
            return (s * s * square) + (2 * s * both) + constantPart;
        }

        double Mean(Tensor perNumber) =>
            perNumber.sum(-1).to(float64).mul(mask).sum([0L, 1L]).div(mask.to(float64).sum([0L, 1L])).item<double>();

        void Scale(double norm) => write.copy_(start.mul(tensor((float)(norm / mean))));
    }

    /// <summary>
    /// Scales W_V and b_V so that the output deviates from its bias as much as y does, on a batch: the start of the first published
    /// code, which does the same to queries and keys that do not come from the model.
    /// </summary>
    public static void ScaleToOutput(Lorsa lorsa, Tensor x, Tensor y, Tensor mask, bool withQueriesAndKeys)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var (z, _, _) = lorsa.Attend(x);
        var written = lorsa.Choose(z, lorsa.Config.TopK).matmul(lorsa.Weight("W_O"));
        var wanted = lorsa.Config.HasOutputBias ? y - lorsa.Weight("b_D") : y;
        var factor = Size(wanted).div(Size(written));
        string[] scaled = withQueriesAndKeys ? ["W_V", "b_V", "W_Q", "b_Q", "W_K", "b_K"] : ["W_V", "b_V"];
        foreach (var name in scaled)
        {
            lorsa.Weight(name).mul_(factor);
        }

        Tensor Size(Tensor perToken) => perToken.norm(-1).to(float64).mul(mask).sum([0L, 1L]);
    }
}
