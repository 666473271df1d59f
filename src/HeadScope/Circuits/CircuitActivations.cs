using System.Numerics.Tensors;
using HeadScope.Numerics;
using HeadScope.Transformers;

namespace HeadScope.Circuits;

/// <summary>What tracing needs of a forward pass over some prompts; every reader names layer, prompt and position.</summary>
internal sealed class CircuitActivations
{
    private readonly ForwardPass pass;
    private readonly TransformerConfig config;
    private readonly int length;

    private CircuitActivations(TransformerConfig config, IReadOnlyList<CircuitPrompt> prompts, int firstPrompt, ForwardPass pass)
    {
        this.config = config;
        this.pass = pass;
        Prompts = prompts;
        FirstPrompt = firstPrompt;
        length = prompts.Max(p => p.Tokens.Count);
    }

    /// <summary>The prompts of this part.</summary>
    public IReadOnlyList<CircuitPrompt> Prompts { get; }

    /// <summary>The length that all prompts are padded to.</summary>
    public int Length => length;

    /// <summary>The number of the part's first prompt among all prompts.</summary>
    public int FirstPrompt { get; }

    /// <summary>Runs the model on some of the prompts.</summary>
    public static CircuitActivations Of(
        TransformerModel model, IReadOnlyList<CircuitPrompt> prompts, int firstPrompt, int count, CancellationToken cancellationToken)
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

        var options = new RunOptions { Activations = names, Logits = LogitsOf.None };
        return new(model.Config, part, firstPrompt, model.Run([.. part.Select(p => p.Tokens.ToArray())], options, cancellationToken));
    }

    /// <summary>The normalised residual that attention of a layer reads, [d].</summary>
    public ReadOnlySpan<float> Normalized(int layer, int prompt, int position) =>
        Row(pass[$"blocks.{layer}.ln1.hook_normalized"], prompt, position, config.ModelWidth);

    /// <summary>What the residual was divided by.</summary>
    public float Scale(int layer, int prompt, int position) => Row(pass[$"blocks.{layer}.ln1.hook_scale"], prompt, position, 1)[0];

    /// <summary>The attention of one query over all keys, [position].</summary>
    public ReadOnlySpan<float> Pattern(Head head, int prompt, int destination) =>
        pass[$"blocks.{head.Layer}.attn.hook_pattern"].AsFlatSpan()
            .Slice(((((prompt * config.HeadCount) + head.Index) * length) + destination) * length, length);

    /// <summary>The mixed values (z) of one head at all tokens of all prompts, [prompt × <see cref="Length"/>, d_head].</summary>
    public ReadOnlyMatrix MixedValues(Head head) =>
        new ReadOnlyMatrix(
            pass[$"blocks.{head.Layer}.attn.hook_z"].AsFlatSpan(), Prompts.Count * length, config.HeadCount * config.HeadWidth)
            .SliceColumns(head.Index * config.HeadWidth, config.HeadWidth);

    /// <summary>The value of a head (of its key/value head) at a token, [d_head].</summary>
    public ReadOnlySpan<float> Value(Head head, int prompt, int position) =>
        Row(pass[$"blocks.{head.Layer}.attn.hook_v"], prompt, position, config.KeyValueHeadCount * config.HeadWidth)
            .Slice(head.Index / config.GroupSize * config.HeadWidth, config.HeadWidth);

    /// <summary>What the MLP of a layer wrote, [d].</summary>
    public ReadOnlySpan<float> MlpOutput(int layer, int prompt, int position) =>
        Row(pass[$"blocks.{layer}.hook_mlp_out"], prompt, position, config.ModelWidth);

    /// <summary>The token's embedding, [d].</summary>
    public ReadOnlySpan<float> Embedding(int prompt, int position) => Row(pass["hook_embed"], prompt, position, config.ModelWidth);

    /// <summary>The position's embedding, [d]; empty for models without learned positions.</summary>
    public ReadOnlySpan<float> PositionEmbedding(int prompt, int position) =>
        config.LearnedPositions ? Row(pass["hook_pos_embed"], prompt, position, config.ModelWidth) : [];

    private ReadOnlySpan<float> Row(Tensor<float> tensor, int prompt, int position, int width) =>
        tensor.AsFlatSpan().Slice(((prompt * length) + position) * width, width);
}
