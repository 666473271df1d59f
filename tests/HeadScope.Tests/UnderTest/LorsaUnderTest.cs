using TorchSharp;

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
internal sealed record LorsaGradient(LorsaLoss Loss, OrderedDictionary<string, float[]> Gradient, long[] Uses, HeadAtToken[][] Heads);

/// <summary>What a training step reports.</summary>
internal sealed record LorsaStep(int TopK, double LearningRate, double Loss, double GradientNorm);

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
    public static OrderedDictionary<string, float[]> Zeros(LorsaConfig config) => new(
        Lorsa.Shapes(config).Select(p => KeyValuePair.Create(p.Name, new float[p.Shape.Aggregate(1L, (product, length) => product * length)])));

    /// <summary>The configuration in a file of reference numbers.</summary>
    public static LorsaConfig ReadConfig(string path) => LorsaConfigJson.Read(JsonField.Read(path).Required("config"));

    public static Lorsa Create(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, bool isFolded = true,
        double inputNorm = 0, double outputNorm = 0)
    {
        var lorsa = new Lorsa(config, isFolded, inputNorm, outputNorm);
        using var scope = torch.NewDisposeScope();
        using var constant = torch.no_grad();
        Assert.Equal(Lorsa.Shapes(config).Select(p => p.Name), parameters.Keys);
        foreach (var (name, values) in parameters)
        {
            lorsa.Weight(name).copy_(torch.tensor(values, lorsa.Weight(name).shape));
        }

        return lorsa;
    }

    public static LorsaForward Forward(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, int batch, int length, int k)
    {
        using var scope = torch.NewDisposeScope();
        using var constant = torch.no_grad();
        using var lorsa = Create(config, parameters);
        var input = Batch(x, batch, length);
        var (z, patterns, values) = lorsa.Attend(input);
        var active = lorsa.Choose(z, k);
        return new(
            ByToken(lorsa.Queries(input, "Q")), ByToken(lorsa.Queries(input, "K")), values.Values(), patterns.Values(), z.Values(),
            lorsa.Decode(active).Values(), OutputNorms(lorsa), Heads(active, dead: null));

        static float[] ByToken(torch.Tensor queries) => queries.transpose(1, 2).contiguous().Values();
    }

    /// <param name="byDefinition">Whether torch leads the gradient back, and not the pass over the active heads where that suits.</param>
    public static LorsaGradient Gradient(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, float[] y, float[] mask, int batch, int length, int k,
        LorsaTrainingOptions options, double penalty, bool[]? dead = null, bool byDefinition = true)
    {
        using var scope = torch.NewDisposeScope();
        using var lorsa = Create(config, parameters);
        using var stepper = new LorsaStepper(lorsa, options with { Activation = config.Activation, DeadAfterTokens = 1000 });
        dead?.Select(isDead => isDead ? 1000L : 0).ToArray().CopyTo(stepper.SilentTokens, 0);
        var (input, target, counts) = (Batch(x, batch, length), Batch(y, batch, length), torch.tensor(mask, [batch, length]));
        Assert.True(byDefinition || LorsaSparsePass.Suits(lorsa, input));
        stepper.ZeroGradients();
        var result = byDefinition
            ? stepper.ByDefinition(input, target, counts, k, penalty, (long)mask.Sum())
            : stepper.ByActiveHeads(input, target, counts, k, (long)mask.Sum());
        using var constant = torch.no_grad();
        var (z, _, _) = lorsa.Attend(input);
        bool[] stillDead = [.. stepper.SilentTokens.Select(silent => silent >= 1000)];
        return new(
            result.Loss, Plain(lorsa, weight => weight.grad!), result.Uses, Heads(
                config.Activation == LorsaActivation.JumpRelu ? z : lorsa.Choose(z, k),
                dead is null ? null : lorsa.ChooseDead(z, stillDead, options.AuxiliaryHeads)));
    }

    /// <summary>Whether the pass over the active heads suits a batch.</summary>
    public static bool SparsePassSuits(LorsaConfig config, int batch, int length)
    {
        using var scope = torch.NewDisposeScope();
        using var lorsa = new Lorsa(config);
        return LorsaSparsePass.Suits(lorsa, torch.zeros(batch, length, config.ModelWidth));
    }

    /// <summary>|w_O| of every head as the choice of active heads takes it.</summary>
    public static float[] OutputNorms(Lorsa lorsa) => lorsa.OutputNorms().Values();

    /// <summary>The heads that are active at a token, in order, and their activations.</summary>
    public static (int Head, float Activation)[] ActiveAt(this LorsaActivations activations, int sequence, int position) =>
        [.. activations.Activations[sequence, position].Values().Index().Where(pair => pair.Item != 0)];

    public static Lorsa Train(
        ActivationSource source, LorsaConfig config, LorsaTrainingOptions options, IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken) => LorsaTraining.Run(source, config, options, original: null, progress, cancellationToken);

    /// <summary>The layer in which units are planted, and its inputs.</summary>
    public static (ActivationSource Source, Lorsa Layer, IDisposable Both) Planted(int seed)
    {
        var planted = new PlantedLayer(seed);
        return (planted, planted.Layer, planted);
    }

    public static IReadOnlyList<(int Unit, int QkHead, int Head, double ReadCosine, double WriteCosine, double Correlation)> Match(
        Lorsa lorsa, float[] x, int batch, int length, float[] units, float[] read, float[] write)
    {
        using var scope = torch.NewDisposeScope();
        var d = lorsa.Config.ModelWidth;
        return PlantedUnits.Match(
            lorsa, Batch(x, batch, length), Batch(units, batch, length), torch.tensor(read, [read.Length / d, d]), torch.tensor(write, [read.Length / d, d]));
    }

    public static double LearningRate(LorsaTrainingOptions options, long step, long counted) => options.LearningRateAt(step, counted);

    public static int TopK(LorsaTrainingOptions options, long step, long counted) => options.TopKAt(step, counted);

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

        return Create(config, parameters, false, inputNorm, outputNorm);
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
    public static OrderedDictionary<string, float[]> Random(LorsaConfig config, int seed, bool firstCode) =>
        Changed(config, Zeros(config), lorsa => LorsaStart.Randomize(lorsa, seed, firstCode));

    public static OrderedDictionary<string, float[]> CopyQueriesAndKeys(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, AttentionWeights layer, double inputScale) =>
        Changed(config, parameters, lorsa => LorsaStart.CopyQueriesAndKeys(lorsa, Own(layer, config), inputScale));

    /// <summary>The directions that a head of the layer reads from these inputs, [d, d_head].</summary>
    public static float[] ActiveSubspace(LorsaConfig config, float[] x, AttentionWeights layer, int head)
    {
        using var scope = torch.NewDisposeScope();
        return LorsaStart.ActiveSubspace(Batch(x, 1, x.Length / config.ModelWidth), Own(layer, config), head).Values();
    }

    public static OrderedDictionary<string, float[]> UseSubspaces(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, AttentionWeights layer, IReadOnlyList<float[]> subspaces) =>
        Changed(config, parameters, lorsa => LorsaStart.UseSubspaces(
            lorsa, Own(layer, config), [.. subspaces.Select(u => torch.tensor(u, [config.ModelWidth, layer.HeadWidth]))]));

    public static OrderedDictionary<string, float[]> CenterOutput(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] y, float[] mask) =>
        Changed(config, parameters, lorsa => LorsaStart.CenterOutput(lorsa, Batch(y, 1, mask.Length), torch.tensor(mask, [1, mask.Length])));

    /// <summary>The parameters with the best mean norm of W_O, and all that were tried with their losses.</summary>
    public static (OrderedDictionary<string, float[]> Parameters, IReadOnlyList<(double Norm, double Loss)> Tried) FitOutputNorm(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, float[] y, float[] mask, int sequences)
    {
        IReadOnlyList<(double Norm, double Loss)> tried = [];
        var length = mask.Length / sequences;
        var changed = Changed(config, parameters, lorsa => tried = LorsaStart.FitOutputNorm(
            lorsa, Batch(x, sequences, length), Batch(y, sequences, length), torch.tensor(mask, [sequences, length])));
        return (changed, tried);
    }

    public static OrderedDictionary<string, float[]> ScaleToOutput(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, float[] x, float[] y, float[] mask, int sequences, bool withQueriesAndKeys)
    {
        var length = mask.Length / sequences;
        return Changed(config, parameters, lorsa => LorsaStart.ScaleToOutput(
            lorsa, Batch(x, sequences, length), Batch(y, sequences, length), torch.tensor(mask, [sequences, length]), withQueriesAndKeys));
    }

    /// <summary>Adam's rule on one tensor, by torch's operations and by the loop over memory: parameters and moments after it.</summary>
    public static (float[][] ByTorch, float[][] ByLoop) Adam(float[] p, float[] g, float[] m, float[] v, double move, double epsilon)
    {
        using var scope = torch.NewDisposeScope();
        torch.Tensor[] tensors = [torch.tensor(p), torch.tensor(g), torch.tensor(m), torch.tensor(v)];
        LorsaAdam.Update(tensors[0], tensors[1], tensors[2], tensors[3], move, epsilon, sparse: false);
        float[][] numbers = [[.. p], [.. m], [.. v]];
        LorsaAdam.Update(numbers[0], g, numbers[1], numbers[2], (float)move, (float)epsilon);
        return ([tensors[0].Values(), tensors[2].Values(), tensors[3].Values()], numbers);
    }

    /// <summary>Takes single training steps.</summary>
    internal sealed class Training : IDisposable
    {
        private readonly LorsaStepper stepper;

        public Training(LorsaConfig config, OrderedDictionary<string, float[]> parameters, LorsaTrainingOptions options, long[]? silentTokens = null)
        {
            stepper = new LorsaStepper(Create(config, parameters), options with { TopK = config.TopK, Activation = config.Activation, Heads = config.Heads });
            silentTokens?.CopyTo(stepper.SilentTokens, 0);
        }

        /// <summary>The parameters now.</summary>
        public OrderedDictionary<string, float[]> Parameters => Plain(stepper.Lorsa, weight => weight);

        /// <summary>The clipped gradient of the last step.</summary>
        public OrderedDictionary<string, float[]> Gradient => Plain(stepper.Lorsa, weight => weight.grad!);

        public LorsaStep TakeStep(float[] x, float[] y, float[] mask, int batch, int length)
        {
            using var scope = torch.NewDisposeScope();
            var result = stepper.TakeStep(Batch(x, batch, length), Batch(y, batch, length), torch.tensor(mask, [batch, length]));
            return new(result.TopK, result.LearningRate, result.Loss.Total, result.GradientNorm);
        }

        public void Dispose()
        {
            stepper.Lorsa.Dispose();
            stepper.Dispose();
        }
    }

    private static torch.Tensor Batch(float[] x, int batch, int length) => torch.tensor(x, [batch, length, x.Length / batch / length]).clone();

    private static OrderedDictionary<string, float[]> Plain(Lorsa lorsa, Func<torch.Tensor, torch.Tensor> part)
    {
        using var scope = torch.NewDisposeScope();
        return new(Lorsa.Shapes(lorsa.Config).Select(p => KeyValuePair.Create(p.Name, part(lorsa.Weight(p.Name)).detach().contiguous().Values())));
    }

    private static OriginalAttention Own(AttentionWeights layer, LorsaConfig config)
    {
        var (h, d, e) = (layer.Heads, config.ModelWidth, layer.HeadWidth);
        return new(
            torch.tensor(layer.Query, [h, d, e]), torch.tensor(layer.Key, [h, d, e]), torch.tensor(layer.Value, [h, d, e]),
            torch.tensor(layer.Output, [h, e, d]), torch.tensor(layer.QueryBias, [h, e]), torch.tensor(layer.KeyBias, [h, e]));
    }

    private static OrderedDictionary<string, float[]> Changed(
        LorsaConfig config, OrderedDictionary<string, float[]> parameters, Action<Lorsa> change)
    {
        using var scope = torch.NewDisposeScope();
        using var lorsa = Create(config, parameters);
        change(lorsa);
        return Plain(lorsa, weight => weight);
    }

    // Of [B, T, n]: the heads that are not 0, token by token.
    private static HeadAtToken[][] Heads(torch.Tensor active, torch.Tensor? dead)
    {
        var n = (int)active.shape[2];
        var tokens = active.numel() / n;
        var (main, rest) = (active.contiguous().Values(), dead?.contiguous().Values());
        return
        [
            .. Enumerable.Range(0, (int)tokens).Select(t => Of(main, t, isMain: true).Concat(rest is null ? [] : Of(rest, t, isMain: false)).ToArray()),
        ];

        IEnumerable<HeadAtToken> Of(float[] values, int t, bool isMain) =>
            values.Skip(t * n).Take(n).Index().Where(pair => pair.Item != 0).Select(pair => new HeadAtToken(pair.Index, pair.Item, isMain));
    }
}
