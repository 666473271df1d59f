using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>What tracing needs of a forward pass over some prompts; every reader names layer, prompt and position.</summary>
internal sealed class CircuitActivations
{
    private readonly TransformerConfig config;
    private readonly int length;
    private readonly Tensor<float>[] normalized;
    private readonly Tensor<float>[] scales;
    private readonly Tensor<float>[] patterns;
    private readonly Tensor<float>[] mixed;
    private readonly Tensor<float>[] values;
    private readonly Tensor<float>[] mlps;
    private readonly Tensor<float> embedding;
    private readonly Tensor<float>? positions;

    private CircuitActivations(TransformerConfig config, IReadOnlyList<CircuitPrompt> prompts, int firstPrompt, ForwardPass pass)
    {
        this.config = config;
        normalized = OfLayers("ln1.hook_normalized");
        scales = OfLayers("ln1.hook_scale");
        patterns = OfLayers("attn.hook_pattern");
        mixed = OfLayers("attn.hook_z");
        values = OfLayers("attn.hook_v");
        mlps = OfLayers("hook_mlp_out");
        embedding = pass.Take("hook_embed");
        positions = config.LearnedPositions ? pass.Take("hook_pos_embed") : null;
        Prompts = prompts;
        FirstPrompt = firstPrompt;
        length = prompts.Max(p => p.Tokens.Count);

        Tensor<float>[] OfLayers(string name) => [.. Enumerable.Range(0, config.LayerCount).Select(layer => pass.Take($"blocks.{layer}.{name}"))];
    }

    /// <summary>The prompts of this part.</summary>
    public IReadOnlyList<CircuitPrompt> Prompts { get; }

    /// <summary>d.</summary>
    public int ModelWidth => config.ModelWidth;

    /// <summary>The length that all prompts are padded to.</summary>
    public int Length => length;

    /// <summary>The number of the part's first prompt among all prompts.</summary>
    public int FirstPrompt { get; }

    /// <summary>Runs the model on some of the prompts.</summary>
    public static CircuitActivations Of(
        Model model, IReadOnlyList<CircuitPrompt> prompts, int firstPrompt, int count, CancellationToken cancellationToken)
    {
        CircuitPrompt[] part = [.. prompts.Skip(firstPrompt).Take(count)];
        List<string> names =
        [
            "hook_embed", "blocks.*.ln1.hook_normalized", "blocks.*.ln1.hook_scale", "blocks.*.attn.hook_pattern",
            "blocks.*.attn.hook_z", "blocks.*.attn.hook_v", "blocks.*.hook_mlp_out",
        ];
        if (model.Config.LearnedPositions)
        {
            names.Add("hook_pos_embed");
        }

        var batch = part.Select(p => p.Tokens.ToArray()).ToArray();
        return new(model.Config, part, firstPrompt, model.Run(batch, new Hooks().Keep(names), LogitsOf.None, cancellationToken: cancellationToken));
    }

    /// <summary>The normalised residual that attention of a layer reads, [d].</summary>
    public ReadOnlySpan<float> Normalized(int layer, int prompt, int position) =>
        Row(normalized[layer], prompt, position, config.ModelWidth);

    /// <summary>What the residual was divided by.</summary>
    public float Scale(int layer, int prompt, int position) => Row(scales[layer], prompt, position, 1)[0];

    /// <summary>The attention of one query over all keys, [position].</summary>
    public ReadOnlySpan<float> Pattern(Head head, int prompt, int destination) =>
        patterns[head.Layer].AsFlatSpan()
            .Slice(((((prompt * config.HeadCount) + head.Index) * length) + destination) * length, length);

    /// <summary>The mixed values (z) of one head at all tokens of all prompts, [prompt × <see cref="Length"/>, d_head].</summary>
    public ReadOnlyMatrix MixedValues(Head head) =>
        new ReadOnlyMatrix(
            mixed[head.Layer].AsFlatSpan(), Prompts.Count * length, config.HeadCount * config.HeadWidth)
            .SliceColumns(head.Index * config.HeadWidth, config.HeadWidth);

    /// <summary>The value of a head (of its key/value head) at a token, [d_head].</summary>
    public ReadOnlySpan<float> Value(Head head, int prompt, int position) =>
        Row(values[head.Layer], prompt, position, config.KeyValueHeadCount * config.HeadWidth)
            .Slice(head.Index / config.GroupSize * config.HeadWidth, config.HeadWidth);

    /// <summary>What the MLP of a layer wrote, [d].</summary>
    public ReadOnlySpan<float> MlpOutput(int layer, int prompt, int position) =>
        Row(mlps[layer], prompt, position, config.ModelWidth);

    /// <summary>The token's embedding, [d].</summary>
    public ReadOnlySpan<float> Embedding(int prompt, int position) => Row(embedding, prompt, position, config.ModelWidth);

    /// <summary>The position's embedding, [d]; empty for models without learned positions.</summary>
    public ReadOnlySpan<float> PositionEmbedding(int prompt, int position) =>
        positions is null ? [] : Row(positions, prompt, position, config.ModelWidth);

    private ReadOnlySpan<float> Row(Tensor<float> tensor, int prompt, int position, int width) =>
        tensor.AsFlatSpan().Slice(((prompt * length) + position) * width, width);
}
