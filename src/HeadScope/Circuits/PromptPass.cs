namespace HeadScope;

/// <summary>Where a head may fire: a token that looks at another, in one prompt of a pass. The layer stands beside it.</summary>
internal readonly record struct Place(int Prompt, int Head, int Destination, int Source)
{
    /// <summary>The token that is read on one side.</summary>
    public int Position(SignalSide side) => side == SignalSide.Source ? Source : Destination;
}

/// <summary>What tracing needs of a forward pass over some prompts, on the model's device, fp32 at least. Tokens are rows: of token t of prompt p it
/// is row p × <see cref="Length"/> + t. What it returns lives in the caller's dispose scope.</summary>
internal sealed class PromptPass
{
    private readonly Model model;
    private readonly ForwardPass pass;

    /// <summary>Runs the model on some of the prompts.</summary>
    /// <exception cref="InvalidDataException">A weight is not finite.</exception>
    public PromptPass(FoldedModel folded, PromptSet prompts, int first, int count, CancellationToken cancellationToken)
    {
        (Folded, model, First, Prompts) = (folded, folded.Model, first, [.. prompts.Prompts.Skip(first).Take(count)]);
        var hooks = new Hooks().Keep(
            "hook_embed", "blocks.*.ln1.hook_normalized", "blocks.*.ln1.hook_scale", "blocks.*.attn.hook_attn_scores", "blocks.*.attn.hook_pattern",
            "blocks.*.attn.hook_v", "blocks.*.attn.hook_z", "blocks.*.hook_mlp_out");
        hooks.Keep(model.Config.LearnedPositions ? ["hook_pos_embed"] : []);
        pass = model.Run([.. Prompts.Select(p => p.Tokens.ToArray())], hooks, LogitsOf.None, cancellationToken: cancellationToken);
        Length = pass.Lengths.Max();
        RequireFinite();
    }

    /// <summary>Passes over all prompts, batch by batch; what a pass and its user make is disposed before the next.</summary>
    public static IEnumerable<PromptPass> Over(
        PromptSet prompts, FoldedModel folded, int batchSize, string what, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        for (var first = 0; first < prompts.Count; first += batchSize)
        {
            progress?.Report(new(what, first, prompts.Count, "prompts"));
            using var scope = NewDisposeScope();
            yield return new(folded, prompts, first, batchSize, cancellationToken);
        }

        progress?.Report(new(what, prompts.Count, prompts.Count, "prompts"));
    }

    public FoldedModel Folded { get; }

    /// <summary>The number of the first prompt among all.</summary>
    public int First { get; }

    public IReadOnlyList<CircuitPrompt> Prompts { get; }

    public int Count => Prompts.Count;

    /// <summary>The length that all prompts are padded to.</summary>
    public int Length { get; }

    /// <summary>The number of a token's row.</summary>
    public long Row(int prompt, int position) => ((long)prompt * Length) + position;

    /// <summary>The rows of tokens, as indices.</summary>
    public Tensor Rows(IEnumerable<Place> places, SignalSide side) => Indices(places.Select(p => Row(p.Prompt, p.Position(side))));

    public Tensor Indices(IEnumerable<long> numbers) => tensor([.. numbers], device: model.Device);

    /// <summary>x̂, the normalised residual that a layer's heads read, [row, d].</summary>
    public Tensor Normalized(int layer) => Wide($"blocks.{layer}.ln1.hook_normalized").flatten(0, 1);

    /// <summary>What it was divided by, [row].</summary>
    public Tensor Scale(int layer) => Wide($"blocks.{layer}.ln1.hook_scale").flatten();

    /// <summary>[prompt, head, query, key].</summary>
    public Tensor Pattern(int layer) => Wide($"blocks.{layer}.attn.hook_pattern");

    /// <summary>The numbers at some places of scores or patterns, [prompt, head, query, key], to [place].</summary>
    public Tensor At(Tensor values, IEnumerable<Place> places) => values.flatten().index_select(0, Indices(places.Select(
        p => ((((((long)p.Prompt * values.shape[1]) + p.Head) * Length) + p.Destination) * Length) + p.Source)));

    /// <summary>The places of a layer where heads fire, in order: attention of at least the threshold, and a score that is not negative: that
    /// can win a softmax too, but there is no signal to follow. Source 0, where heads rest, is left out.</summary>
    public Place[] Firings(int layer, double threshold)
    {
        using var scope = NewDisposeScope();
        if (Length < 2)
        {
            return [];
        }

        // Scores of keys that a query does not see are -∞.
        var fires = Pattern(layer).ge(Scalars.Of(threshold)).logical_and(Wide($"blocks.{layer}.attn.hook_attn_scores").ge(Scalars.Of(0)));
        var at = fires.narrow(2, 1, Length - 1).narrow(3, 1, Length - 1).nonzero().Copied<int>();
        return [.. at.Chunk(4).Select(p => new Place(p[0], p[1], p[2] + 1, p[3] + 1)).Where(p => p.Destination < pass.Lengths[p.Prompt])];
    }

    /// <summary>What a component wrote, [row, d].</summary>
    public Tensor Written(Component component) => component.Kind switch
    {
        ComponentKind.Head => OfHeads(component.Layer, 0, Count)[component.Index],
        ComponentKind.Mlp => Wide($"blocks.{component.Layer}.hook_mlp_out").flatten(0, 1),
        ComponentKind.AttentionBias => model.Net.Blocks[component.Layer].Attention.b_O!.to(Type).unsqueeze(0).expand(Count * Length, -1),
        ComponentKind.TokenEmbedding => Wide("hook_embed").flatten(0, 1),
        _ => Wide("hook_pos_embed").flatten(0, 1),
    };

    /// <summary>What all components below a layer wrote in some of the prompts, [row, component, d], in the order of <see cref="Component.Below"/>.</summary>
    public Tensor WrittenBelow(int layer, int firstPrompt, int count)
    {
        using var scope = NewDisposeScope();
        Component[] components = [.. Component.Below(layer, model)];
        var (first, rows) = ((long)firstPrompt * Length, (long)count * Length);
        var written = empty([rows, components.Length, model.Config.ModelWidth], Type, model.Device);
        for (var c = 0; c < components.Length; c++)
        {
            using var inner = NewDisposeScope();
            if (components[c] is { Kind: ComponentKind.Head } head)
            {
                written.narrow(1, c, model.Config.HeadCount).copy_(OfHeads(head.Layer, firstPrompt, count).transpose(0, 1));
                c += model.Config.HeadCount - 1;
            }
            else
            {
                written.select(1, c).copy_(Written(components[c]).narrow(0, first, rows));
            }
        }

        return written.MoveToOuterDisposeScope();
    }

    /// <summary>The value that a head reads at each token of a prompt, weighted by its attention from one token, [head, source, d_head].</summary>
    public Tensor Mixed(int layer, int prompt, int position)
    {
        var values = Wide($"blocks.{layer}.attn.hook_v")[prompt].transpose(0, 1).repeat_interleave(model.Config.GroupSize, 0);
        return values.mul(Pattern(layer)[prompt].select(1, position).unsqueeze(2));
    }

    // o = W_Oᵀ z, the outputs of a layer's heads in some of the prompts, [head, row, d].
    private Tensor OfHeads(int layer, int firstPrompt, int count) =>
        Wide($"blocks.{layer}.attn.hook_z").narrow(0, firstPrompt, count).flatten(0, 1).transpose(0, 1).bmm(model.Net.Blocks[layer].Attention.W_O.to(Type));

    private ScalarType Type => model.Dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    private Tensor Wide(string name) => pass[name].to(Type);

    // A pass with a number that is not finite would fire somewhere, or nowhere, and say nothing.
    private void RequireFinite()
    {
        using var scope = NewDisposeScope();
        var tokens = tensor([.. Prompts.SelectMany((p, n) => Enumerable.Range(0, p.Tokens.Count).Select(t => Row(n, t)))], device: model.Device);
        for (var layer = 0; layer < model.Config.LayerCount; layer++)
        {
            Fault.InvalidDataIf(
                !Normalized(layer).index_select(0, tokens).isfinite().all().Copied<bool>()[0],
                $"What layer {layer} of '{model.Name}' reads is not finite, so a weight {(layer == 0 ? "of the embeddings" : $"of layer {layer - 1}")} is NaN or infinite.");
        }
    }
}
