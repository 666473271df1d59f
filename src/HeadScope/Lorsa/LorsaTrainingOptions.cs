using System.Globalization;
using System.Reflection;

namespace HeadScope;

/// <summary>How a Lorsa is trained. The defaults suit a laptop and a small model; token counts include the token that begins a text.</summary>
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

    /// <summary>What is minimised.</summary>
    public LorsaObjective Objective { get; init; } = new();

    /// <summary>The share of the steps in which the weight of the penalty rises.</summary>
    public double PenaltyWarmUp { get; init; } = 0.1;

    /// <summary>The largest learning rate.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>How the learning rate goes.</summary>
    public LorsaLearningRateShape LearningRateShape { get; init; } = LorsaLearningRateShape.ConstantWithWarmUp;

    /// <summary>The share of the training in which the learning rate rises.</summary>
    public double LearningRateWarmUp { get; init; } = 0.1;

    /// <summary>The share of the training in which it falls.</summary>
    public double LearningRateCoolDown { get; init; } = 0.2;

    /// <summary>The last learning rate over the largest.</summary>
    public double LearningRateEnd { get; init; } = 1.0 / 32;

    /// <summary>The learning rate of JumpReLU thresholds over that of the rest.</summary>
    public double ThresholdLearningRate { get; init; } = 1;

    /// <summary>k at the start; 0 for twice <see cref="TopK"/>.</summary>
    public int InitialTopK { get; init; }

    /// <summary>How k falls.</summary>
    public LorsaTopKShape TopKShape { get; init; } = LorsaTopKShape.Linear;

    /// <summary>The share of the training in which k falls.</summary>
    public double TopKWarmUp { get; init; } = 0.1;

    /// <summary>The optimiser.</summary>
    public LorsaOptimizerKind Optimizer { get; init; } = LorsaOptimizerKind.Adam;

    /// <summary>How a large gradient is shortened.</summary>
    public LorsaClipping Clipping { get; init; } = LorsaClipping.Norm;

    /// <summary>The length from which a gradient is shortened; 0 for never.</summary>
    public double ClipLimit { get; init; }

    /// <summary>Where the training starts.</summary>
    public LorsaInitialization Initialization { get; init; } = LorsaInitialization.FromAttention;

    /// <summary>
    /// Whether the start from the attention leaves out the biases of its queries and keys, as the published code does; a loss for models
    /// that have them.
    /// </summary>
    public bool DropQueryKeyBiases { get; init; }

    /// <summary>The JumpReLU threshold at the start.</summary>
    public double InitialThreshold { get; init; } = 1;

    /// <summary>The first so many batches give the mean norms of input and output.</summary>
    public int NormBatches { get; init; } = 8;

    /// <summary>
    /// Whether those norms and the first output bias are means over all tokens, padding and the one that begins a text too, as in
    /// Language-Model-SAEs; otherwise over those that count.
    /// </summary>
    public bool StatisticsOverAllTokens { get; init; }

    /// <summary>Seeds the start and the order of the corpus.</summary>
    public int Seed { get; init; }

    /// <summary>How many sequences of a corpus are held out for evaluation; 0 for none.</summary>
    public int HeldOutSequences { get; init; } = 32;

    /// <summary>How many windows of a corpus are shuffled at a time.</summary>
    public int ShuffleBuffer { get; init; } = 1024;

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
        string[] free = [nameof(ReportEvery), nameof(EvaluateEvery), nameof(Folder), nameof(CheckpointEvery), nameof(Objective)];
        var fields = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var property in typeof(LorsaTrainingOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => !free.Contains(property.Name, StringComparer.Ordinal)))
        {
            fields[property.Name] = Text(property.GetValue(this));
        }

        foreach (var property in typeof(LorsaObjective).GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            fields[$"Objective.{property.Name}"] = Text(property.GetValue(Objective));
        }

        fields[nameof(LorsaConfig.HookOut)] = config.HookOut;
        fields[nameof(LorsaConfig.ModelWidth)] = Text(config.ModelWidth);
        return fields;

        static string Text(object? value) => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
    }

    /// <summary>Refuses what cannot be trained.</summary>
    internal void Validate()
    {
        Require(BatchSequences >= 1, $"BatchSequences is {BatchSequences}; expected at least 1.");
        Require(Steps >= 1, $"{Tokens} tokens are less than one batch of {BatchSequences} × {ContextLength}.");
        Require(LearningRate > 0, $"LearningRate is {LearningRate.ToString(CultureInfo.InvariantCulture)}; expected a positive number.");
        Require(ReportEvery >= 1 && CheckpointEvery >= 1 && EvaluateEvery >= 0 && NormBatches >= 1 && HeldOutSequences >= 0,
            "ReportEvery, CheckpointEvery and NormBatches must be at least 1, EvaluateEvery and HeldOutSequences at least 0.");

        static void Require(bool condition, string message)
        {
            if (!condition)
            {
                throw new ArgumentException(message);
            }
        }
    }

    internal LorsaStepRules Rules()
    {
        var steps = Steps;
        return new LorsaStepRules
        {
            LearningRate = new(
                LearningRateShape, LearningRate, Time(LearningRateShape == LorsaLearningRateShape.ConstantWithWarmUpByTokens, 1),
                Time(LearningRateShape == LorsaLearningRateShape.ConstantWithWarmUpByTokens, LearningRateWarmUp),
                Time(LearningRateShape == LorsaLearningRateShape.ConstantWithWarmUpByTokens, LearningRateCoolDown), LearningRateEnd),
            TopK = new(
                TopKShape, InitialTopK == 0 ? Math.Min(2 * TopK, Heads) : InitialTopK, TopK,
                Time(TopKShape >= LorsaTopKShape.LinearByTokens, TopKWarmUp)),
            Objective = Objective,
            PenaltyWarmUpSteps = Math.Floor(PenaltyWarmUp * steps),
            Optimizer = Optimizer,
            Clipping = Clipping,
            ClipLimit = ClipLimit,
            ThresholdRateFactor = ThresholdLearningRate,
        };

        double Time(bool byTokens, double share) => Math.Floor(share * (byTokens ? Tokens : steps));
    }
}
