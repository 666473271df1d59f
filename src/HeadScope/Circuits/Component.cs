namespace HeadScope;

/// <summary>What kinds of parts write to the residual stream.</summary>
internal enum ComponentKind
{
    Head,
    Mlp,
    AttentionBias,
    TokenEmbedding,
    PositionEmbedding,

    /// <summary>The biases of the receiving head's query and key; written by no one.</summary>
    Constant,
}

/// <summary>A part of the model that writes to the residual stream. Its name is what edges and tables hold: <c>3.5</c>, <c>mlp 3</c>,
/// <c>b_O 3</c> (the output bias of a layer's attention), <c>embedding</c>, <c>position</c>, <c>constant</c>.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Layer">Its layer; -1 for those without.</param>
/// <param name="Index">The head within the layer; 0 for the others.</param>
internal readonly record struct Component(ComponentKind Kind, int Layer = -1, int Index = 0)
{
    private static readonly string[] Words = ["head", "mlp", "b_O", "embedding", "position", "constant"];

    /// <summary>All that write below a layer, in the order of the forward pass.</summary>
    public static IEnumerable<Component> Below(int layer, Model model)
    {
        Component[] embeddings = [new(ComponentKind.TokenEmbedding), new(ComponentKind.PositionEmbedding)];
        return embeddings[..(model.Config.LearnedPositions ? 2 : 1)].Concat(Enumerable.Range(0, layer).SelectMany(m => (IEnumerable<Component>)
        [
            .. Enumerable.Range(0, model.Config.HeadCount).Select(n => new Component(ComponentKind.Head, m, n)),
            .. model.Net.Blocks[m].Attention.Output.Bias is null ? Array.Empty<Component>() : [new(ComponentKind.AttentionBias, m)],
            new(ComponentKind.Mlp, m),
        ]));
    }

    /// <summary>Reads a name; null where it is none.</summary>
    public static Component? Parse(string? name) => name?.Split(' ') switch
    {
        [var word] when Head.TryParse(word, out var head) => new(ComponentKind.Head, head.Layer, head.Index),
        [("mlp" or "b_O") and var word, var number] when int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var layer) =>
            new((ComponentKind)Array.IndexOf(Words, word), layer),
        [var word] when Array.IndexOf(Words, word) is > (int)ComponentKind.AttentionBias and var kind => new((ComponentKind)kind),
        _ => null,
    };

    public override string ToString() => Kind switch
    {
        ComponentKind.Head => new Head(Layer, Index).ToString(),
        ComponentKind.Mlp or ComponentKind.AttentionBias => string.Create(CultureInfo.InvariantCulture, $"{Words[(int)Kind]} {Layer}"),
        _ => Words[(int)Kind],
    };
}
