using System.Reflection;

namespace HeadScope;

/// <summary>
/// How a Lorsa is trained. The defaults suit a laptop and a small model. Names of rules are those of OpenMOSS's Language-Model-SAEs. Token counts
/// include the token that begins a text. A warm-up or cool-down below 1 is a share of the training, from 1 on a number of steps.
/// </summary>
public sealed record LorsaTrainingOptions
{
    /// <summary>n, the number of OV heads.</summary>
    public int Heads { get; init; } = 2048;

    /// <summary>G, the number of QK heads; 0 for as many as the layer has heads.</summary>
    public int QkHeads { get; init; }

    /// <summary>k, the number of active heads per token.</summary>
    public int TopK { get; init; } = 32;

    /// <summary>Which heads are active.</summary>
    public LorsaActivation Activation { get; init; } = LorsaActivation.TopK;

    /// <summary>T, the length of the sequences; 0 for 256, or the model's context where that is shorter.</summary>
    public int ContextLength { get; init; }

    /// <summary>How many sequences make a batch.</summary>
    public int BatchSequences { get; init; } = 4;

    /// <summary>How many tokens to train on, in whole batches.</summary>
    public long Tokens { get; init; } = 1_000_000;

    /// <summary>
    /// How the activity of heads is penalised besides the reconstruction error, the squared error of the output summed over d and averaged over the
    /// tokens that count. With <c>f = a |w_O|</c>, what a head adds to the output: <c>none</c> (k decides); <c>power</c>, the p-norm of f over
    /// the heads of a token; <c>tanh</c>, the sum of tanh(s f) over them; <c>tanh-quad</c>, where F is tanh(s f) averaged over all tokens of the
    /// batch, the sum of F (1 + F / frequency scale) over the heads.
    /// </summary>
    public string Penalty { get; init; } = "none";

    /// <summary>The weight of <see cref="Penalty"/>, after its warm-up.</summary>
    public double PenaltyCoefficient { get; init; }

    /// <summary>How long the weight of the penalty rises.</summary>
    public double PenaltyWarmUp { get; init; } = 0.1;

    /// <summary>p of the penalty <c>power</c>.</summary>
    public double Power { get; init; } = 1;

    /// <summary>s of the tanh penalties.</summary>
    public double TanhStretch { get; init; } = 4;

    /// <summary>The activation frequency at which the penalty <c>tanh-quad</c> doubles.</summary>
    public double FrequencyScale { get; init; } = 0.01;

    /// <summary>The weight of <c>sum relu(threshold - z) |w_O|</c> (z unscaled), which pulls silent heads to their threshold; JumpReLU only.</summary>
    public double ThresholdCoefficient { get; init; }

    /// <summary>The weight of the error that remains when dead heads explain the residual ("aux-k"); 0 for none.</summary>
    public double AuxiliaryCoefficient { get; init; }

    /// <summary>How many dead heads explain the residual of a token.</summary>
    public int AuxiliaryHeads { get; init; } = 512;

    /// <summary>After how many tokens without activity a head counts as dead.</summary>
    public long DeadAfterTokens { get; init; } = 10_000_000;

    /// <summary>The largest learning rate.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>
    /// How the learning rate goes: <c>constant</c>; <c>constantwithwarmup</c>, linear up, constant, linear down to the end ratio;
    /// <c>constantwithwarmupsmooth</c>, the same with rounded corners, slopes a third steeper and an end at 0; <c>linearwarmupdecay</c>, linear
    /// up, then linear down to 0; <c>cosineannealing</c>, half a cosine to 0; <c>cosineannealingwarmup</c>, the same after a linear rise;
    /// <c>exponentialwarmup</c>, linear up, then exponential down to 1/32.
    /// </summary>
    public string LearningRateSchedule { get; init; } = "constantwithwarmup";

    /// <summary>How long the learning rate rises.</summary>
    public double LearningRateWarmUp { get; init; } = 0.1;

    /// <summary>How long it falls.</summary>
    public double LearningRateCoolDown { get; init; } = 0.2;

    /// <summary>The last learning rate over the largest.</summary>
    public double LearningRateEnd { get; init; } = 1.0 / 32;

    /// <summary>The learning rate of JumpReLU thresholds over that of the rest.</summary>
    public double ThresholdLearningRate { get; init; } = 1;

    /// <summary>k at the start; 0 for twice <see cref="TopK"/>.</summary>
    public int InitialTopK { get; init; }

    /// <summary>How k falls: <c>linear</c>, <c>exponential</c>; with <see cref="FirstCode"/> also <c>cosine</c>, <c>smooth_step</c>, <c>sqrt</c>.</summary>
    public string TopKSchedule { get; init; } = "linear";

    /// <summary>How long k falls.</summary>
    public double TopKWarmUp { get; init; } = 0.1;

    /// <summary>How long k stays at its start before.</summary>
    public double TopKCold { get; init; }

    /// <summary>Whether Adam moves only numbers with a gradient other than 0, so that a head that was silent in a batch stays where it is.</summary>
    public bool SparseAdam { get; init; }

    /// <summary>The length from which a gradient is shortened; 0 for never.</summary>
    public double ClipLimit { get; init; }

    /// <summary>Whether that length is the root mean square over the numbers with a gradient (thresholds left out), and not the norm over all.</summary>
    public bool ClipByRootMeanSquare { get; init; }

    /// <summary>Whether it starts at random, not from the layer's heads: their queries and keys, and the subspaces that they read and write.</summary>
    public bool RandomStart { get; init; }

    /// <summary>
    /// Whether the rules are those of the first published code: schedules are counted in tokens that count (the first step has learning rate 0)
    /// and k is rounded down; the error is averaged over d too, which gradient clipping sees and Adam does not; a random start has its spread
    /// and scales queries and keys too.
    /// </summary>
    public bool FirstCode { get; init; }

    /// <summary>The first so many batches give the mean norms of input and output.</summary>
    public int NormBatches { get; init; } = 8;

    /// <summary>Seeds the start and the order of the corpus.</summary>
    public int Seed { get; init; }

    /// <summary>How many sequences of a corpus are held out for evaluation; 0 for none.</summary>
    public int HeldOutSequences { get; init; } = 32;

    /// <summary>How often a point of the training curve is made, in steps.</summary>
    public int ReportEvery { get; init; } = 10;

    /// <summary>How often the held-out sequences are evaluated, in steps; 0 for the end alone.</summary>
    public int EvaluateEvery { get; init; } = 100;

    /// <summary>The folder of checkpoints; null for none. A training that finds its own checkpoint there goes on from it.</summary>
    public string? Folder { get; init; }

    /// <summary>How often a checkpoint is written, in steps. One is written at the end and on cancellation too.</summary>
    public int CheckpointEvery { get; init; } = 200;

    internal long Steps => Tokens / ((long)BatchSequences * ContextLength);

    /// <summary>The same with the length of the sequences that a model suits, where none is given.</summary>
    internal LorsaTrainingOptions For(Model model) =>
        ContextLength == 0 ? this with { ContextLength = Math.Min(256, model.Config.ContextLength) } : this;

    /// <summary>The options that the numbers of a training depend on, by name: what must not change when it is resumed.</summary>
    internal SortedDictionary<string, string> Fingerprint(LorsaConfig config)
    {
        string[] free = [nameof(ReportEvery), nameof(EvaluateEvery), nameof(Folder), nameof(CheckpointEvery)];
        var fields = new SortedDictionary<string, string>(StringComparer.Ordinal) { [nameof(config.HookOut)] = config.HookOut };
        foreach (var property in typeof(LorsaTrainingOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => !free.Contains(property.Name, StringComparer.Ordinal)))
        {
            fields[property.Name] = Convert.ToString(property.GetValue(this), CultureInfo.InvariantCulture) ?? "";
        }

        return fields;
    }

    /// <summary>Refuses what cannot be trained.</summary>
    internal void Validate()
    {
        Fault.ArgumentIf(BatchSequences < 1, $"BatchSequences is {BatchSequences}; expected at least 1.");
        Fault.ArgumentIf(Steps < 1, $"{Tokens} tokens are less than one batch of {BatchSequences} × {ContextLength}.");
        foreach (var property in typeof(LorsaTrainingOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.PropertyType == typeof(double)))
        {
            var number = (double)property.GetValue(this)!;
            var isAboveZero = property.Name is nameof(LearningRate) or nameof(Power) or nameof(FrequencyScale);
            Fault.ArgumentIf(
                !double.IsFinite(number) || number < 0 || (isAboveZero && number == 0),
                $"{property.Name} is {number}; expected a finite number {(isAboveZero ? "above 0" : "of at least 0")}.");
        }

        Fault.ArgumentIf(
            InitialTopK < 0 || AuxiliaryHeads < 1, $"InitialTopK is {InitialTopK}, AuxiliaryHeads {AuxiliaryHeads}; expected at least 0 and 1.");
        Fault.ArgumentIf(Folder is "", $"Folder is empty; expected the folder of the checkpoints, or null for none.");
        Fault.ArgumentIf(
            ReportEvery < 1 || CheckpointEvery < 1 || EvaluateEvery < 0 || NormBatches < 1 || HeldOutSequences < 0,
            $"ReportEvery, CheckpointEvery and NormBatches must be at least 1, EvaluateEvery and HeldOutSequences at least 0.");
        Fault.ArgumentIf(
            Penalty is not ("none" or "power" or "tanh" or "tanh-quad"), $"Penalty is '{Penalty}'; expected none, power, tanh or tanh-quad.");
        Fault.ArgumentIf(
            (Penalty != "none" && PenaltyCoefficient != 0 && Activation is LorsaActivation.TopKMagnitude or LorsaActivation.Dense)
            || (ThresholdCoefficient != 0 && Activation != LorsaActivation.JumpRelu), $"The penalties asked for need another activation than {Activation}.");
        _ = LearningRateAt(0, 0);
        _ = TopKAt(0, 0);
    }

    /// <summary>The weight of the penalty in a step, counted from 0.</summary>
    internal double PenaltyAt(long step) => PenaltyCoefficient * (PenaltyWarmUp == 0 ? 1 : Math.Min(1, step / Math.Max(1, Duration(PenaltyWarmUp, Steps))));

    /// <summary>The learning rate of a step, counted from 0, before which so many tokens counted.</summary>
    internal double LearningRateAt(long step, long counted)
    {
        double total = FirstCode ? Tokens : Steps, time = FirstCode ? counted : step;
        double up = Duration(LearningRateWarmUp, total), down = Duration(LearningRateCoolDown, total), left = total - time;
        var rise = up == 0 ? 1 : (time + 1) / up;
        var sinceRise = (time - up) / Math.Max(1, total - up);
        return LearningRate * (LearningRateSchedule switch
        {
            "constant" => 1,
            "constantwithwarmup" when FirstCode =>
                time < up ? time / up : left > down ? 1 : LearningRateEnd + ((1 - LearningRateEnd) * Math.Max(0, left) / Math.Max(1, down)),
            "constantwithwarmup" =>
                Math.Min(Math.Min(1, rise), down == 0 ? 1 : LearningRateEnd + ((1 - LearningRateEnd) / down * Math.Max(left, 1))),
            "constantwithwarmupsmooth" => Smooth(),
            "linearwarmupdecay" => time < up ? rise : 1 - sinceRise,
            "cosineannealing" => 0.5 * (1 + Math.Cos(Math.PI * time / total)),
            "cosineannealingwarmup" => time < up ? rise : 0.5 * (1 + Math.Cos(Math.PI * sinceRise)),
            "exponentialwarmup" => time < up ? rise : Math.Pow(1.0 / 32, sinceRise),
            _ => throw new ArgumentException(
                $"LearningRateSchedule is '{LearningRateSchedule}'; expected constant, constantwithwarmup, constantwithwarmupsmooth, linearwarmupdecay, "
                + "cosineannealing, cosineannealingwarmup or exponentialwarmup."),
        });

        double Smooth()
        {
            const double Steeper = 0.75;
            if (time < up)
            {
                var rest = up - time;
                return time < up / 2 ? (time + 1) / (Steeper * up) : 1 - (rest * rest / (Steeper * up * up));
            }

            return left >= Steeper * down ? 1 : 0.5 * (1 + Math.Cos(Math.PI * (1 - (left / (Steeper * down)))));
        }
    }

    /// <summary>k of a step, counted from 0, before which so many tokens counted.</summary>
    internal int TopKAt(long step, long counted)
    {
        // How bent the exponential shape is, as in Language-Model-SAEs (k_exponential_factor).
        const double Bend = 3;
        double total = FirstCode ? Tokens : Steps, time = (FirstCode ? counted : step) - Duration(TopKCold, total), fall = Duration(TopKWarmUp, total);
        var start = InitialTopK == 0 ? Math.Min(2 * TopK, Heads) : InitialTopK;
        var (p, range) = (Math.Max(0, time / fall), start - TopK);
        var k = (TopKSchedule, FirstCode) switch
        {
            ("linear", _) => start - (range * p),
            ("exponential", false) => start - (range * (1 - Math.Exp(-Bend * p)) / (1 - Math.Exp(-Bend))),
            ("exponential", true) => start * Math.Pow((double)TopK / start, p),
            ("cosine", true) => TopK + (range * (1 + Math.Cos(Math.PI * p)) / 2),
            ("smooth_step", true) => start - (range * ((3 * p * p) - (2 * p * p * p))),
            ("sqrt", true) => start - (range * Math.Sqrt(p)),
            _ => throw new ArgumentException(
                $"TopKSchedule is '{TopKSchedule}'; expected linear or exponential, or with FirstCode cosine, smooth_step or sqrt."),
        };
        return time < 0 ? start : fall == 0 || time >= fall ? TopK : FirstCode ? (int)k : Math.Max(TopK, (int)Math.Ceiling(k));
    }

    private static double Duration(double given, double total) => Math.Floor(given < 1 ? given * total : given);
}
