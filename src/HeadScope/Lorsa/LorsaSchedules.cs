namespace HeadScope;

/// <summary>How the learning rate goes over the steps of a training.</summary>
public enum LorsaLearningRateShape
{
    /// <summary>The same at every step.</summary>
    Constant,

    /// <summary>Linear up, constant, linear down to the end ratio. The default.</summary>
    ConstantWithWarmUp,

    /// <summary>The same with rounded corners and an end at 0; the slopes are a third steeper.</summary>
    ConstantWithSmoothWarmUp,

    /// <summary>Linear up, then linear down to 0 over all that is left.</summary>
    LinearWarmUpDecay,

    /// <summary>Half a cosine from the peak to 0.</summary>
    CosineAnnealing,

    /// <summary>Linear up, then half a cosine to 0.</summary>
    CosineAnnealingWarmUp,

    /// <summary>Linear up, then exponential down to 1/32.</summary>
    ExponentialWarmUp,

    /// <summary>
    /// Linear up from 0, constant, linear down to the end ratio, counted in tokens that count before the step: the rule of the first
    /// published implementation, whose first step has learning rate 0.
    /// </summary>
    ConstantWithWarmUpByTokens,
}

/// <summary>A learning rate over time. Time is the step, counted from 0, or the tokens before the step where the shape says so.</summary>
/// <param name="Shape">Its shape.</param>
/// <param name="Peak">The largest learning rate.</param>
/// <param name="Total">The time of the whole training.</param>
/// <param name="WarmUp">The time of the rise.</param>
/// <param name="CoolDown">The time of the fall at the end.</param>
/// <param name="EndRatio">The last learning rate over <paramref name="Peak"/>.</param>
public sealed record LorsaLearningRate(
    LorsaLearningRateShape Shape, double Peak, double Total, double WarmUp = 0, double CoolDown = 0, double EndRatio = 1.0 / 32)
{
    /// <summary>Whether time is counted in tokens.</summary>
    public bool ByTokens => Shape == LorsaLearningRateShape.ConstantWithWarmUpByTokens;

    /// <summary>The learning rate at a time.</summary>
    /// <param name="time">The step from 0, or the tokens before it.</param>
    /// <returns>The learning rate.</returns>
    public double At(double time)
    {
        var rise = WarmUp == 0 ? 1 : (time + 1) / WarmUp;
        var left = Total - time;
        var sinceRise = (time - WarmUp) / Math.Max(1, Total - WarmUp);
        return Peak * (Shape switch
        {
            LorsaLearningRateShape.Constant => 1,
            LorsaLearningRateShape.ConstantWithWarmUp =>
                Math.Min(Math.Min(1, rise), CoolDown == 0 ? 1 : EndRatio + ((1 - EndRatio) / CoolDown * Math.Max(left, 1))),
            LorsaLearningRateShape.ConstantWithSmoothWarmUp => SmoothWarmUp(time),
            LorsaLearningRateShape.LinearWarmUpDecay => time < WarmUp ? rise : 1 - sinceRise,
            LorsaLearningRateShape.CosineAnnealing => 0.5 * (1 + Math.Cos(Math.PI * time / Total)),
            LorsaLearningRateShape.CosineAnnealingWarmUp => time < WarmUp ? rise : 0.5 * (1 + Math.Cos(Math.PI * sinceRise)),
            LorsaLearningRateShape.ExponentialWarmUp => time < WarmUp ? rise : Math.Pow(1.0 / 32, sinceRise),
            LorsaLearningRateShape.ConstantWithWarmUpByTokens =>
                time < WarmUp ? time / WarmUp
                : left > CoolDown ? 1
                : EndRatio + ((1 - EndRatio) * Math.Max(0, left) / Math.Max(1, CoolDown)),
            _ => throw new InvalidOperationException($"There is no learning rate shape {Shape}."),
        });
    }

    private double SmoothWarmUp(double time)
    {
        const double Steeper = 0.75;
        var left = Total - time;
        if (WarmUp > 0 && time < WarmUp)
        {
            var rest = WarmUp - time;
            return time < WarmUp / 2 ? (time + 1) / (Steeper * WarmUp) : 1 - (rest * rest / (Steeper * WarmUp * WarmUp));
        }

        return left >= Steeper * CoolDown ? 1 : 0.5 * (1 + Math.Cos(Math.PI * (1 - (left / (Steeper * CoolDown)))));
    }
}

/// <summary>How k, the number of active heads per token, falls from its start to its end.</summary>
public enum LorsaTopKShape
{
    /// <summary>Linear in steps, rounded up.</summary>
    Linear,

    /// <summary>Exponential in steps, rounded up.</summary>
    Exponential,

    /// <summary>Linear in tokens, rounded down; this and the next are the rules of the first published implementation.</summary>
    LinearByTokens,

    /// <summary>Geometric in tokens, rounded down.</summary>
    GeometricByTokens,

    /// <summary>Half a cosine in tokens, rounded down.</summary>
    CosineByTokens,

    /// <summary>3p² - 2p³ in tokens, rounded down.</summary>
    SmoothStepByTokens,

    /// <summary>The square root of tokens, rounded down.</summary>
    SquareRootByTokens,
}

/// <summary>k over time. Time is the step, counted from 0, or the tokens before the step where the shape says so.</summary>
/// <param name="Shape">Its shape.</param>
/// <param name="Start">k at the start.</param>
/// <param name="End">k from the end of the warm-up on.</param>
/// <param name="WarmUp">The time from start to end; 0 for none.</param>
/// <param name="Cold">The time before, in which k stays at the start.</param>
public sealed record LorsaTopKSchedule(LorsaTopKShape Shape, double Start, int End, double WarmUp = 0, double Cold = 0)
{
    // How bent the exponential shape is, as in OpenMOSS (k_exponential_factor).
    private const double Bend = 3;

    /// <summary>Whether time is counted in tokens.</summary>
    public bool ByTokens => Shape >= LorsaTopKShape.LinearByTokens;

    /// <summary>k at a time.</summary>
    /// <param name="time">The step from 0, or the tokens before it.</param>
    /// <returns>The number of active heads per token.</returns>
    public int At(double time)
    {
        if (time < Cold)
        {
            return (int)Start;
        }

        if (WarmUp == 0 || time - Cold >= WarmUp)
        {
            return End;
        }

        var p = (time - Cold) / WarmUp;
        var fall = Start - End;
        return Shape switch
        {
            LorsaTopKShape.Linear => Math.Max(End, (int)Math.Ceiling(Start - (fall * p))),
            LorsaTopKShape.Exponential =>
                Math.Max(End, (int)Math.Ceiling(Start - (fall * (1 - Math.Exp(-Bend * p)) / (1 - Math.Exp(-Bend))))),
            LorsaTopKShape.LinearByTokens => (int)(Start - (fall * p)),
            LorsaTopKShape.GeometricByTokens => (int)(Start * Math.Pow(End / Start, p)),
            LorsaTopKShape.CosineByTokens => (int)(End + (fall * (1 + Math.Cos(Math.PI * p)) / 2)),
            LorsaTopKShape.SmoothStepByTokens => (int)(Start - (fall * ((3 * p * p) - (2 * p * p * p)))),
            LorsaTopKShape.SquareRootByTokens => (int)(Start - (fall * Math.Sqrt(p))),
            _ => throw new InvalidOperationException($"There is no shape {Shape} of k."),
        };
    }
}
