using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// Reads from the activations of some prompts what every component wrote at every token, and projects it onto signals. The outputs of
/// the heads are computed once for all firings, one product per head.
/// </summary>
internal sealed class UpstreamReader
{
    private readonly Model model;
    private readonly CircuitActivations activations;
    private readonly OmegaCache omegas;
    private readonly float[][] headOutputs;

    public UpstreamReader(Model model, CircuitActivations activations, OmegaCache omegas, CancellationToken cancellationToken)
    {
        this.model = model;
        this.activations = activations;
        this.omegas = omegas;
        var config = model.Config;
        var rows = activations.Prompts.Count * activations.Length;
        var stride = config.HeadCount * config.ModelWidth;
        headOutputs = [.. Enumerable.Range(0, config.LayerCount - 1).Select(_ => new float[checked(rows * stride)])];
        Head[] heads = [.. model.Heads.Where(h => h.Layer < config.LayerCount - 1)];
        Parallelism.For(
            heads.Length,
            i =>
            {
                var head = heads[i];
                var outputs = headOutputs[head.Layer].AsSpan(head.Index * config.ModelWidth);
                MatrixProduct.Multiply(
                    activations.MixedValues(head), model.OutputWeight(head), new Matrix(outputs, rows, config.ModelWidth, stride));
            },
            cancellationToken);
    }

    /// <summary>What every head below the firing's layer adds to the signal on one side, by layer and head, each with the whole constant
    /// on top, divided by the scale: the numbers of the authors' code.</summary>
    public List<KeyValuePair<Component, double>> HeadsWithConstant(Firing firing, SignalSide side)
    {
        var (weights, constant, position) = Project(firing, side);
        var share = constant / Scale(firing, side);
        var parts = new List<KeyValuePair<Component, double>>(firing.Head.Layer * model.Config.HeadCount);
        for (var m = 0; m < firing.Head.Layer; m++)
        {
            for (var n = 0; n < model.Config.HeadCount; n++)
            {
                parts.Add(new(new Head(m, n), TensorPrimitives.Dot(HeadOutput(new(m, n), firing, position), weights) + share));
            }
        }

        return parts;
    }

    /// <summary>The parts of all components on one side.</summary>
    public List<KeyValuePair<Component, double>> Parts(Firing firing, SignalSide side)
    {
        var (weights, constant, position) = Project(firing, side);
        var prompt = firing.Prompt - activations.FirstPrompt;
        var parts = new List<KeyValuePair<Component, double>>
        {
            new(new(ComponentKind.TokenEmbedding), TensorPrimitives.Dot(activations.Embedding(prompt, position), weights)),
        };
        if (model.Config.LearnedPositions)
        {
            parts.Add(new(
                new(ComponentKind.PositionEmbedding), TensorPrimitives.Dot(activations.PositionEmbedding(prompt, position), weights)));
        }

        for (var m = 0; m < firing.Head.Layer; m++)
        {
            for (var n = 0; n < model.Config.HeadCount; n++)
            {
                parts.Add(new(new Head(m, n), TensorPrimitives.Dot(HeadOutput(new(m, n), firing, position), weights)));
            }

            var bias = model.OutputBias(m);
            if (!bias.IsEmpty)
            {
                parts.Add(new(new(ComponentKind.AttentionBias, m), TensorPrimitives.Dot(bias, weights)));
            }

            parts.Add(new(new(ComponentKind.Mlp, m), TensorPrimitives.Dot(activations.MlpOutput(m, prompt, position), weights)));
        }

        if (constant != 0)
        {
            parts.Add(new(new(ComponentKind.Constant), constant));
        }

        return parts;
    }

    /// <summary>The parts of all components on one side, with those of the heads split by the token they read.</summary>
    public Upstream Decompose(Firing firing, SignalSide side)
    {
        var (weights, _, position) = Project(firing, side);
        var prompt = firing.Prompt - activations.FirstPrompt;
        var perSource = new Dictionary<Head, IReadOnlyList<double>>();
        var read = new float[model.Config.HeadWidth];
        foreach (var head in model.Heads.Where(h => h.Layer < firing.Head.Layer))
        {
            // w · W_Oᵀ v(s) = (W_O w) · v(s)
            MatrixProduct.Multiply(
                model.OutputWeight(head), new ReadOnlyMatrix(weights, weights.Length, 1), new Matrix(read, read.Length, 1));
            var pattern = activations.Pattern(head, prompt, position);
            var split = new double[position + 1];
            for (var s = 0; s <= position; s++)
            {
                split[s] = pattern[s] * (double)TensorPrimitives.Dot(activations.Value(head, prompt, s), read);
            }

            perSource[head] = split;
        }

        return new Upstream(side, position, Scale(firing, side), Parts(firing, side), perSource);
    }

    // What the residual was divided by on one side.
    private float Scale(Firing firing, SignalSide side) =>
        activations.Scale(firing.Head.Layer, firing.Prompt - activations.FirstPrompt, PositionOf(firing, side));

    private static int PositionOf(Firing firing, SignalSide side) =>
        side == SignalSide.Destination ? firing.Destination : firing.Source;

    private ReadOnlySpan<float> HeadOutput(Head head, Firing firing, int position)
    {
        var d = model.Config.ModelWidth;
        var row = ((firing.Prompt - activations.FirstPrompt) * activations.Length) + position;
        return headOutputs[head.Layer].AsSpan(((row * model.Config.HeadCount) + head.Index) * d, d);
    }

    // U_S without its last entry, divided by the scale; and that entry, which meets the constant 1.
    private (float[] Weights, double Constant, int Position) Project(Firing firing, SignalSide side)
    {
        var position = PositionOf(firing, side);
        var signal = SignalVector.Of(omegas, firing, side);
        var scale = Scale(firing, side);
        var weights = new float[model.Config.ModelWidth];
        for (var i = 0; i < weights.Length; i++)
        {
            weights[i] = (float)(signal[i] / scale);
        }

        return (weights, signal.Length > weights.Length ? signal[^1] : 0, position);
    }
}
