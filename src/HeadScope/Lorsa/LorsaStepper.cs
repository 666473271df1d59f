namespace HeadScope;

/// <summary>The parts of a loss, each with its weight, in normalised units: the error, the penalties on activity and thresholds, the dead heads' part.</summary>
internal readonly record struct LorsaLoss(double Reconstruction, double Penalty = 0, double Threshold = 0, double Auxiliary = 0)
{
    public double Total => Reconstruction + Penalty + Threshold + Auxiliary;
}

/// <summary>
/// What a training step did: with which k and learning rate, the loss before it, the length of the gradient before it was shortened; and over
/// the tokens that count the sum of |ŷ - y|², and at how many of them each head was active, [n].
/// </summary>
internal sealed record LorsaStepResult(int TopK, double LearningRate, LorsaLoss Loss, double GradientNorm, double SquaredError, long[] Uses);

/// <summary>Takes training steps: forward, loss, backward, clip, optimise. A later step depends on its public state and the parameters alone.</summary>
/// <remarks>Two ways lead to the same gradients: <see cref="ByDefinition"/> for every activation and device, and <see cref="LorsaSparsePass"/>.</remarks>
internal sealed class LorsaStepper(Lorsa lorsa, LorsaTrainingOptions options) : IDisposable
{
    public Lorsa Lorsa => lorsa;

    public LorsaAdam Optimizer { get; } = new(lorsa, options.SparseAdam);

    /// <summary>The steps taken.</summary>
    public long Step { get; set; }

    /// <summary>The tokens that counted so far.</summary>
    public long CountedTokens { get; set; }

    /// <summary>For every head the tokens that counted since it was last active at one, [n].</summary>
    public long[] SilentTokens { get; } = new long[lorsa.Config.Heads];

    /// <summary>Takes a step on normalised inputs and outputs, [B, T, d]; the mask is 1 for tokens that count, [B, T].</summary>
    public LorsaStepResult TakeStep(Tensor x, Tensor y, Tensor mask)
    {
        var (k, rate) = (options.TopKAt(Step, CountedTokens), options.LearningRateAt(Step, CountedTokens));
        using var scope = NewDisposeScope();
        var counted = (long)mask.to(float64).sum().item<double>();
        var (loss, error, uses) = Gradient(x, y, mask, k, options.PenaltyAt(Step), counted);
        if (!double.IsFinite(loss.Total))
        {
            throw x.isfinite().all().logical_and(y.isfinite().all()).item<bool>()
                ? NotFinite("parameter", name => lorsa.Weight(name))
                : new ArithmeticException($"At step {Step} the activations to learn from hold a number that is not finite.");
        }

        var norm = Clip();
        if (!double.IsFinite(norm))
        {
            throw NotFinite("gradient", name => lorsa.Weight(name).grad!);
        }

        Optimizer.Step(rate, options.ThresholdLearningRate);
        Step++;
        CountedTokens += counted;
        return new(k, rate, loss, norm, error, uses);
    }

    /// <summary>Computes the loss and leaves its gradient in the parameters' <c>grad</c>. Counts the silence of heads first.</summary>
    internal (LorsaLoss Loss, double SquaredError, long[] Uses) Gradient(Tensor x, Tensor y, Tensor mask, int k, double penalty, long counted)
    {
        ZeroGradients();
        var mayBeDead = options.AuxiliaryCoefficient != 0 && SilentTokens.Max() + counted >= options.DeadAfterTokens;
        return options.Penalty == "none" && !mayBeDead && LorsaSparsePass.Suits(lorsa, x)
            ? ByActiveHeads(x, y, mask, k, counted)
            : ByDefinition(x, y, mask, k, penalty, counted);
    }

    /// <summary>The same as <see cref="ByDefinition"/> without penalties, where <see cref="LorsaSparsePass"/> suits.</summary>
    internal (LorsaLoss Loss, double SquaredError, long[] Uses) ByActiveHeads(Tensor x, Tensor y, Tensor mask, int k, long counted)
    {
        using var scope = NewDisposeScope();
        var share = 1 / (Math.Max(1.0, counted) * (options.FirstCode ? x.shape[2] : 1));
        var (errors, uses) = LorsaSparsePass.Gradient(lorsa, x.contiguous(), y.contiguous(), mask.mul(tensor((float)share)).contiguous(), k);
        CountSilence(uses, counted);
        return (new(errors.Sum() * share), errors.Sum(), uses);
    }

    /// <inheritdoc/>
    public void Dispose() => Optimizer.Dispose();

    /// <summary>Makes the gradients of all parameters 0.</summary>
    internal void ZeroGradients()
    {
        using var scope = NewDisposeScope();
        foreach (var (name, _) in Lorsa.Shapes(lorsa.Config))
        {
            var weight = lorsa.Weight(name);
            weight.grad ??= zeros_like(weight);
            weight.grad!.zero_();
        }
    }

    /// <summary>The loss as it is defined, its gradient by torch.</summary>
    internal (LorsaLoss Loss, double SquaredError, long[] Uses) ByDefinition(Tensor x, Tensor y, Tensor mask, int k, double penalty, long counted)
    {
        using var scope = NewDisposeScope();
        var (z, _, _) = lorsa.Attend(x);
        var a = lorsa.Choose(z, k);
        var uses = a.detach().ne(Scalars.Of(0)).logical_and(mask.ne(Scalars.Of(0)).unsqueeze(2)).sum([0L, 1L]).Copied<long>();
        CountSilence(uses, counted);
        var (error, norms) = (lorsa.Decode(a) - y, lorsa.OutputNorms());
        var squared = Mean(error.mul(error).sum(-1));
        var reconstruction = options.FirstCode ? squared.div(Scalars.Of(x.shape[2])) : squared;
        var parts = new List<Tensor> { reconstruction, Penalty(), Threshold(), Auxiliary() };
        stack(parts).sum([0L]).backward();
        double[] numbers = [.. parts.Select(part => part.item<double>())];
        return (new(numbers[0], numbers[1], numbers[2], numbers[3]), squared.item<double>() * Math.Max(1, counted), uses);

        Tensor None() => tensor(0.0, device: x.device);

        // Over the tokens that count; sums of rows in fp32, of tokens in fp64.
        Tensor Mean(Tensor perToken) => perToken.mul(mask).to(float64).sum([0L, 1L]).div(Scalars.Of(Math.Max(1, counted)));

        Tensor Penalty()
        {
            if (options.Penalty == "none" || penalty == 0)
            {
                return None();
            }

            // Silent heads are held above 0, where a root has a slope.
            var f = a.mul(norms);
            var least = Scalars.Of(1e-30);
            var tanh = f.mul(Scalars.Of(options.TanhStretch)).tanh();
            var frequency = tanh.mean([0, 1]);
            var sum = options.Penalty switch
            {
                "power" when options.Power == 1 => Mean(f.sum(-1)),
                "power" => Mean(f.clamp_min(least).pow(Scalars.Of(options.Power)).sum(-1).clamp_min(least).pow(Scalars.Of(1 / options.Power))),
                "tanh" => Mean(tanh.sum(-1)),
                _ => frequency.add(frequency.mul(frequency).div(Scalars.Of(options.FrequencyScale)), Scalars.One).to(float64).sum([0L]),
            };
            return sum.mul(tensor(penalty));
        }

        Tensor Threshold() => options.ThresholdCoefficient == 0
            ? None()
            : Mean((lorsa.Weight(Lorsa.LogThreshold).exp() - z).relu().mul(norms).sum(-1)).mul(Scalars.Of(options.ThresholdCoefficient));

        Tensor Auxiliary()
        {
            bool[] dead = [.. SilentTokens.Select(silent => silent >= options.DeadAfterTokens)];
            if (options.AuxiliaryCoefficient == 0 || !dead.Contains(true))
            {
                return None();
            }

            var rest = error.add(lorsa.ChooseDead(z, dead, options.AuxiliaryHeads).matmul(lorsa.Weight("W_O")), Scalars.One);
            return Mean(rest.mul(rest).sum(-1)).mul(Scalars.Of(options.AuxiliaryCoefficient));
        }
    }

    private void CountSilence(long[] uses, long counted)
    {
        for (var i = 0; i < uses.Length; i++)
        {
            SilentTokens[i] = uses[i] > 0 ? 0 : SilentTokens[i] + counted;
        }
    }

    // Shortens the gradient where it is too long; gives its length before.
    private double Clip()
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var (squares, nonzero) = (0.0, 0L);
        var gradients = Lorsa.Shapes(lorsa.Config).Where(p => !options.ClipByRootMeanSquare || p.Name != Lorsa.LogThreshold)
            .Select(p => lorsa.Weight(p.Name).grad!).ToList();
        foreach (var gradient in gradients)
        {
            // Row by row: a sum over all would depend on the number of threads.
            var norms = gradient.norm(-1).to(float64);
            squares += norms.mul(norms).sum().item<double>();
            nonzero += options.ClipByRootMeanSquare ? gradient.count_nonzero().item<long>() : 0;
        }

        var norm = Math.Sqrt(squares / (options.ClipByRootMeanSquare ? Math.Max(1, nonzero) : 1));
        if (options.ClipLimit > 0 && norm > options.ClipLimit)
        {
            var factor = tensor(options.ClipLimit / (norm + 1e-6));
            gradients.ForEach(gradient => gradient.mul_(factor));
        }

        return norm;
    }

    private ArithmeticException NotFinite(string what, Func<string, Tensor> numbers)
    {
        var culprit = Lorsa.Shapes(lorsa.Config).Select(p => p.Name).FirstOrDefault(name => !numbers(name).isfinite().all().item<bool>());
        return new ArithmeticException(
            $"Training diverged at step {Step}: {(culprit is null ? "the loss" : $"the {what} {culprit}")} is not finite. "
            + "Lower the learning rate, lengthen its warm-up, or clip the gradient; the last checkpoint is as it was.");
    }
}
