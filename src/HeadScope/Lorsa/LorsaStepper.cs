using System.Globalization;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>Which heads a training step used and what it cost; everything but the parameters that the next step needs is in the stepper.</summary>
internal readonly record struct LorsaStepResult(int TopK, double LearningRate, LorsaLoss Loss, double GradientNorm);

/// <summary>The rules of a training step that do not change from step to step.</summary>
internal sealed record LorsaStepRules
{
    public required LorsaLearningRate LearningRate { get; init; }

    public required LorsaTopKSchedule TopK { get; init; }

    public LorsaObjective Objective { get; init; } = new();

    public double PenaltyWarmUpSteps { get; init; }

    public LorsaOptimizerKind Optimizer { get; init; }

    public LorsaClipping Clipping { get; init; }

    public double ClipLimit { get; init; }

    public double ThresholdRateFactor { get; init; } = 1;
}

/// <summary>
/// Takes training steps: forward, loss, backward, clip, optimise. Its public state together with the parameters is all that a later step
/// depends on, so what is saved and restored here makes a resumed training equal bit for bit.
/// </summary>
internal sealed class LorsaStepper(LorsaConfig config, LorsaParameters parameters, LorsaStepRules rules)
{
    private readonly LorsaParameters gradient = new(config);
    private LorsaPass? pass;

    public LorsaParameters Parameters => parameters;

    public LorsaParameters Gradient => gradient;

    public LorsaOptimizer Optimizer { get; } = new(config, rules.Optimizer);

    /// <summary>The steps taken.</summary>
    public long Step { get; set; }

    /// <summary>The tokens that counted so far.</summary>
    public long CountedTokens { get; set; }

    /// <summary>For every head the tokens that counted since it was last active at one that counts, [n].</summary>
    public long[] SilentTokens { get; } = new long[config.Heads];

    /// <summary>The pass of the last step.</summary>
    public LorsaPass Pass => pass ?? throw new InvalidOperationException("There was no step yet.");

    /// <summary>Takes a step on normalised activations.</summary>
    /// <param name="x">The input, [batch, length, d].</param>
    /// <param name="y">The output to reach, [batch, length, d].</param>
    /// <param name="mask">1 for tokens that count, [batch, length].</param>
    /// <param name="batch">The number of sequences.</param>
    /// <param name="length">Their length.</param>
    /// <exception cref="ArithmeticException">A loss or a parameter became infinite or NaN; the message names the step and the parameter.</exception>
    public LorsaStepResult TakeStep(float[] x, float[] y, float[] mask, int batch, int length)
    {
        if (pass is null || pass.Batch != batch || pass.Length != length)
        {
            pass = new LorsaPass(config, batch, length);
        }

        var k = rules.TopK.At(rules.TopK.ByTokens ? CountedTokens : Step);
        var rate = rules.LearningRate.At(rules.LearningRate.ByTokens ? CountedTokens : Step);
        var penalty = rules.Objective.PenaltyCoefficient
            * (rules.PenaltyWarmUpSteps > 0 ? Math.Min(1, Step / rules.PenaltyWarmUpSteps) : 1);
        pass.Attend(parameters, x);
        pass.Sparsify(parameters, k, forGradient: true);
        CountSilence(pass.Entries, mask);
        var dead = rules.Objective.AuxiliaryCoefficient == 0
            ? null
            : Array.ConvertAll(SilentTokens, tokens => tokens >= rules.Objective.DeadAfterTokens);
        var loss = pass.Loss(parameters, x, y, mask, rules.Objective, penalty, dead, gradient);
        RequireFinite(loss, x, y);
        var norm = LorsaOptimizer.Clip(gradient, rules.Clipping, rules.ClipLimit);
        if (!double.IsFinite(norm))
        {
            throw NotFinite(gradient, "gradient");
        }

        Optimizer.Step(parameters, gradient, rate, rules.ThresholdRateFactor);
        Step++;
        CountedTokens += (long)TensorPrimitives.Sum<float>(mask);
        return new LorsaStepResult(k, rate, loss, norm);
    }

    private void CountSilence(HeadEntries entries, float[] mask)
    {
        var counted = (long)TensorPrimitives.Sum<float>(mask);
        TensorPrimitives.Add(SilentTokens, counted, SilentTokens);
        for (var t = 0; t < mask.Length; t++)
        {
            for (var j = t * entries.Capacity; mask[t] != 0 && j < (t * entries.Capacity) + entries.MainCount[t]; j++)
            {
                if (entries.Value[j] != 0)
                {
                    SilentTokens[entries.Head[j]] = 0;
                }
            }
        }
    }

    private void RequireFinite(LorsaLoss loss, float[] x, float[] y)
    {
        if (double.IsFinite(loss.Total))
        {
            return;
        }

        if (!double.IsFinite(DoubleSums.Sum(x)) || !double.IsFinite(DoubleSums.Sum(y)))
        {
            throw new ArithmeticException(string.Create(
                CultureInfo.InvariantCulture, $"At step {Step} the activations to learn from hold a number that is not finite."));
        }

        throw NotFinite(parameters, "parameter");
    }

    private ArithmeticException NotFinite(LorsaParameters numbers, string what)
    {
        var culprit = numbers.All.Find(tensor => !double.IsFinite(DoubleSums.SumOfSquares(tensor.Values)));
        return new ArithmeticException(string.Create(
            CultureInfo.InvariantCulture,
            $"Training diverged at step {Step}: {(culprit is null ? "the loss" : $"the {what} {culprit.Name}")} is not finite. "
            + $"Lower the learning rate, lengthen its warm-up, or clip the gradient; the last checkpoint is as it was."));
    }
}
