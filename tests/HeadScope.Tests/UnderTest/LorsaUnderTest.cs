namespace HeadScope.Tests;

/// <summary>A head at a token: what it adds there, and whether it was chosen or is a dead head of the auxiliary loss.</summary>
internal readonly record struct HeadAtToken(int Head, float Value, bool IsMain);

/// <summary>All steps of a Lorsa's forward pass on normalised activations; N = batch × length tokens, G QK heads, n heads.</summary>
/// <param name="Queries">Rotated, [N, G, width].</param>
/// <param name="Keys">Rotated, [N, G, width].</param>
/// <param name="Values">v, [N, n].</param>
/// <param name="Patterns">[batch, G, length, length].</param>
/// <param name="PreActivations">z before the choice, [N, n].</param>
/// <param name="Reconstruction">[N, d].</param>
/// <param name="OutputNorms">|w_O|, [n].</param>
/// <param name="Heads">The heads of each token.</param>
internal sealed record LorsaForward(
    float[] Queries, float[] Keys, float[] Values, float[] Patterns, float[] PreActivations, float[] Reconstruction, float[] OutputNorms,
    HeadAtToken[][] Heads);

/// <summary>A loss, its gradient by parameter, and the heads that it goes through.</summary>
internal sealed record LorsaGradient(LorsaLoss Loss, OrderedDictionary<string, float[]> Gradient, HeadAtToken[][] Heads);

/// <summary>What a training step reports.</summary>
internal sealed record LorsaStep(int TopK, double LearningRate, double Loss, double GradientNorm);

/// <summary>The rules of training steps.</summary>
internal sealed record LorsaRules(
    LorsaLearningRate LearningRate, LorsaTopKSchedule TopK, LorsaObjective Objective, double PenaltyWarmUpSteps, LorsaOptimizerKind Optimizer,
    LorsaClipping Clipping, double ClipLimit, double ThresholdRateFactor);

/// <summary>The heads of an attention layer: [H, d, d_head], output [H, d_head, d], biases [H, d_head].</summary>
internal sealed record AttentionWeights(
    int Heads, int HeadWidth, float[] Query, float[] Key, float[] Value, float[] Output, float[] QueryBias, float[] KeyBias);

/// <summary>
/// What the Lorsa tests check and no public call shows: activations, gradients, single training steps, steps of the start. Parameters are plain
/// numbers by the names of OpenMOSS. Only this file knows what computes them.
/// </summary>
internal static class LorsaUnderTest
{
    /// <summary>All parameters of a Lorsa, zero, in their fixed order.</summary>
    public static OrderedDictionary<string, float[]> Zeros(LorsaConfig config) => Plain(new LorsaParameters(config));

    public static OrderedDictionary<string, float[]> ParametersOf(Lorsa lorsa) => Plain(lorsa.Parameters);

    /// <summary>The configuration in a file of reference numbers.</summary>
    public static LorsaConfig ReadConfig(string path) => LorsaConfigJson.Read(ConfigFile.Read(path).Part("config")!);

    public static Lorsa Create(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, LorsaNormalization normalization = LorsaNormalization.None,
        double inputNorm = 0, double outputNorm = 0) => Lorsa.Of(config, Own(config, parameters), normalization, inputNorm, outputNorm);

    public static LorsaForward Forward(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, int batch, int length, int k)
    {
        var p = Own(config, parameters);
        var pass = new LorsaPass(config, batch, length);
        pass.Attend(p, x);
        pass.Sparsify(p, k);
        pass.Decode(p);
        var (g, n, tokens) = (config.QkHeads, config.Heads, batch * length);
        var width = pass.Queries.Length / g / tokens;
        return new(
            Swap(pass.Queries, g, tokens, width), Swap(pass.Keys, g, tokens, width), Swap(pass.Values, n, tokens, 1),
            Swap(pass.Patterns, g, batch, length * length), pass.PreActivations, pass.Reconstruction, pass.OutputNorms, Heads(pass));
    }

    public static LorsaGradient Gradient(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, float[] y, float[] mask, int batch, int length, int k,
        LorsaObjective objective, double penalty, bool[]? dead = null)
    {
        var p = Own(config, parameters);
        var gradient = new LorsaParameters(config);
        var pass = new LorsaPass(config, batch, length);
        pass.Attend(p, x);
        pass.Sparsify(p, k, forGradient: true);
        var loss = pass.Loss(p, x, y, mask, objective, penalty, dead, gradient);
        return new(loss, Plain(gradient), Heads(pass));
    }

    /// <summary>|w_O| of every head as the choice of active heads takes it.</summary>
    public static float[] OutputNorms(Lorsa lorsa) => lorsa.OutputNorms().Values();

    /// <summary>The heads that are active at a token, in order, and their activations.</summary>
    public static (int Head, float Activation)[] ActiveAt(this LorsaActivations activations, int sequence, int position) =>
        [.. activations.Activations[sequence, position].Values().Index().Where(pair => pair.Item != 0)];

    public static Lorsa Train(
        ActivationSource source, LorsaConfig config, LorsaTrainingOptions options, IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken) => Lorsa.Train(source, config, options, original: null, progress, cancellationToken);

    /// <summary>The Lorsa that planted units are made for.</summary>
    public static LorsaConfig LayerOf(PlantedUnits planted) => planted.Layer;

    public static IReadOnlyList<PlantedUnitMatch> Match(
        Lorsa lorsa, ActivationBatch batch, float[] unitActivations, float[] read, float[] write, Func<int, int> qkHeadOf) =>
        PlantedUnits.Match(lorsa, batch, unitActivations, read, write, qkHeadOf);

    /// <summary>A Lorsa with parameters from -0.5 to 0.5, which depend on nothing but a seed of .NET's generator.</summary>
    public static Lorsa Uniform(LorsaConfig config, int seed, double inputNorm, double outputNorm)
    {
        var (parameters, random) = (Zeros(config), new Random(seed));
        foreach (var values in parameters.Values)
        {
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = (float)(random.NextDouble() - 0.5);
            }
        }

        return Create(config, parameters, LorsaNormalization.Dataset, inputNorm, outputNorm);
    }

    /// <summary>A Lorsa of a layer all of whose parameters are 0.</summary>
    public static Lorsa Empty(Model model, int layer)
    {
        using var alone = new Lorsa(Lorsa.ConfigFor(model, layer, new() { Heads = 9, QkHeads = 9, TopK = 1, ContextLength = 256 }));
        return alone.For(model);
    }

    /// <summary>The quality on batches.</summary>
    public static LorsaEvaluation Evaluate(Lorsa lorsa, IEnumerable<ActivationBatch> batches) => LorsaEvaluation.Of(lorsa, batches, default);

    /// <summary>Where heads are most active on batches.</summary>
    public static HeadActivities Activities(Lorsa lorsa, IEnumerable<ActivationBatch> batches, int top) =>
        HeadActivities.Of(lorsa, batches, top, progress: null, default);

    /// <summary>The tokens of the windows of a corpus that are learnt from, from the first on, and those of the windows held out.</summary>
    public static (IEnumerable<int[]> Training, IEnumerable<int[]> HeldOut) Windows(Model model, LorsaCorpus corpus, int length, int heldOut, int seed)
    {
        var source = new ModelActivationSource(model, 0, corpus, length, heldOut, shuffleBuffer: 8, seed);
        return (source.Batches(0, 1).Select(Tokens), source.HeldOut(1).Select(Tokens));

        static int[] Tokens(ActivationBatch batch) => batch.Tokens!.Copied<int>();
    }

    public static double[] Frequencies(Rotary rotary) => Shape(rotary.Dimensions).With(rotary).Frequencies();

    /// <summary>A vector rotated to a position.</summary>
    public static float[] Rotate(LorsaConfig config, float[] v, int position)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        return config.Turn(TorchSharp.torch.tensor(v).expand(position + 1, v.Length))[position].Values();
    }

    /// <summary>A Lorsa whose queries have a width.</summary>
    public static LorsaConfig Shape(int qkWidth) => new() { ModelWidth = 4, Heads = 2, QkHeads = 1, QkWidth = qkWidth, ContextLength = 32 };

    public static void ReadPickle(string path) => TorchPickle.Read(path);

    /// <summary>Random parameters, with the distributions of the first code or of the second.</summary>
    public static OrderedDictionary<string, float[]> Random(LorsaConfig config, int seed, bool firstCode, double threshold = 1) =>
        Changed(config, Zeros(config), p => LorsaInitializer.Randomize(p, config, seed, firstCode, threshold));

    public static OrderedDictionary<string, float[]> CopyQueriesAndKeys(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, AttentionWeights layer, double inputScale, bool withBiases, bool tiled = false) =>
        Changed(config, parameters, p => LorsaInitializer.CopyQueriesAndKeys(p, config, Own(layer), inputScale, withBiases, tiled));

    /// <summary>The directions that a head of the layer reads from these inputs, [d, d_head].</summary>
    public static float[] ActiveSubspace(float[] x, int width, AttentionWeights layer, int head) =>
        LorsaInitializer.ActiveSubspace(x, width, Own(layer), head);

    public static OrderedDictionary<string, float[]> UseSubspaces(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, AttentionWeights layer, IReadOnlyList<float[]> subspaces) =>
        Changed(config, parameters, p => LorsaInitializer.UseSubspaces(p, config, Own(layer), subspaces));

    public static OrderedDictionary<string, float[]> CenterOutput(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] y, float[] mask) =>
        Changed(config, parameters, p => LorsaInitializer.CenterOutput(p, y, mask));

    /// <summary>The parameters with the best mean norm of W_O, and all that were tried with their losses.</summary>
    public static (OrderedDictionary<string, float[]> Parameters, IReadOnlyList<(double Norm, double Loss)> Tried) FitOutputNorm(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, float[] y, float[] mask, int sequences)
    {
        IReadOnlyList<(double Norm, double Loss)> tried = [];
        var changed = Changed(config, parameters, p => tried = LorsaInitializer.FitOutputNorm(p, config, x, y, mask, sequences));
        return (changed, tried);
    }

    public static OrderedDictionary<string, float[]> ScaleToOutput(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, float[] y, float[] mask, int sequences, bool withQueriesAndKeys) =>
        Changed(config, parameters, p => LorsaInitializer.ScaleToOutput(p, config, x, y, mask, sequences, withQueriesAndKeys));

    /// <summary>Takes single training steps.</summary>
    internal sealed class Training
    {
        private readonly LorsaStepper stepper;

        public Training(LorsaConfig config, OrderedDictionary<string, float[]> parameters, LorsaRules rules, long[]? silentTokens = null)
        {
            stepper = new LorsaStepper(config, Own(config, parameters), new LorsaStepRules
            {
                LearningRate = rules.LearningRate,
                TopK = rules.TopK,
                Objective = rules.Objective,
                PenaltyWarmUpSteps = rules.PenaltyWarmUpSteps,
                Optimizer = rules.Optimizer,
                Clipping = rules.Clipping,
                ClipLimit = rules.ClipLimit,
                ThresholdRateFactor = rules.ThresholdRateFactor,
            });
            silentTokens?.CopyTo(stepper.SilentTokens, 0);
        }

        /// <summary>The parameters now.</summary>
        public OrderedDictionary<string, float[]> Parameters => Plain(stepper.Parameters);

        /// <summary>The clipped gradient of the last step.</summary>
        public OrderedDictionary<string, float[]> Gradient => Plain(stepper.Gradient);

        public LorsaStep TakeStep(float[] x, float[] y, float[] mask, int batch, int length)
        {
            var result = stepper.TakeStep(x, y, mask, batch, length);
            return new(result.TopK, result.LearningRate, result.Loss.Total, result.GradientNorm);
        }
    }

    private static OrderedDictionary<string, float[]> Plain(LorsaParameters parameters) =>
        new(parameters.All.Select(t => KeyValuePair.Create(t.Name, t.Values.ToArray())));

    private static LorsaParameters Own(LorsaConfig config, OrderedDictionary<string, float[]> parameters)
    {
        var own = new LorsaParameters(config);
        Assert.Equal(own.All.Select(t => t.Name), parameters.Keys);
        foreach (var tensor in own.All)
        {
            parameters[tensor.Name].CopyTo(tensor.Values, 0);
        }

        return own;
    }

    private static OriginalAttention Own(AttentionWeights layer) => new()
    {
        Heads = layer.Heads,
        HeadWidth = layer.HeadWidth,
        Query = layer.Query,
        Key = layer.Key,
        Value = layer.Value,
        Output = layer.Output,
        QueryBias = layer.QueryBias,
        KeyBias = layer.KeyBias,
    };

    private static OrderedDictionary<string, float[]> Changed(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, Action<LorsaParameters> change)
    {
        var own = Own(config, parameters);
        change(own);
        return Plain(own);
    }

    private static HeadAtToken[][] Heads(LorsaPass pass) =>
    [
        .. Enumerable.Range(0, pass.Tokens).Select(t => Enumerable.Range(0, pass.Entries.Count[t]).Select(j => new HeadAtToken(
            pass.Entries.Head[(t * pass.Entries.Capacity) + j], pass.Entries.Value[(t * pass.Entries.Capacity) + j],
            j < pass.Entries.MainCount[t])).ToArray()),
    ];

    /// <summary>[a, b, inner] as [b, a, inner].</summary>
    private static float[] Swap(float[] values, int a, int b, int inner)
    {
        var swapped = new float[values.Length];
        for (var i = 0; i < a; i++)
        {
            for (var j = 0; j < b; j++)
            {
                values.AsSpan(((i * b) + j) * inner, inner).CopyTo(swapped.AsSpan(((j * a) + i) * inner));
            }
        }

        return swapped;
    }
}
