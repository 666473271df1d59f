using System.Globalization;

namespace HeadScope;

/// <summary>What writes to the residual stream.</summary>
public enum ComponentKind
{
    /// <summary>An attention head.</summary>
    Head,

    /// <summary>The MLP of a layer.</summary>
    Mlp,

    /// <summary>The output bias of a layer's attention.</summary>
    AttentionBias,

    /// <summary>The token's embedding.</summary>
    TokenEmbedding,

    /// <summary>The position's embedding.</summary>
    PositionEmbedding,

    /// <summary>The biases of the receiving head's query and key; written by no one.</summary>
    Constant,
}

/// <summary>A part of the model that can send a signal.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Layer">Its layer; 0 for embeddings and the constant.</param>
/// <param name="Index">The head within the layer; 0 for the others.</param>
public readonly record struct Component(ComponentKind Kind, int Layer = 0, int Index = 0)
{
    /// <summary>The head, as a component.</summary>
    /// <param name="head">The head.</param>
    public static implicit operator Component(Head head) => FromHead(head);

    /// <summary>The head, as a component.</summary>
    /// <param name="head">The head.</param>
    /// <returns>The component.</returns>
    public static Component FromHead(Head head) => new(ComponentKind.Head, head.Layer, head.Index);

    /// <summary>Reads a name that <see cref="ToString"/> wrote; says whether it could.</summary>
    /// <param name="text">The name.</param>
    /// <param name="component">The component, when the text is one.</param>
    /// <returns>Whether it is one.</returns>
    public static bool TryParse(string? text, out Component component)
    {
        component = default;
        if (Head.TryParse(text, out var head))
        {
            component = head;
            return true;
        }

        var parts = text?.Split(' ');
        ComponentKind? kind = parts?[0] switch
        {
            "mlp" => ComponentKind.Mlp,
            "b_O" => ComponentKind.AttentionBias,
            "embedding" => ComponentKind.TokenEmbedding,
            "position" => ComponentKind.PositionEmbedding,
            "constant" => ComponentKind.Constant,
            _ => null,
        };
        var layer = 0;
        var hasLayer = kind is ComponentKind.Mlp or ComponentKind.AttentionBias;
        if (kind is null
            || parts!.Length != (hasLayer ? 2 : 1)
            || (hasLayer && !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out layer)))
        {
            return false;
        }

        component = new(kind.Value, layer);
        return true;
    }

    /// <summary>Short and unique: <c>3.5</c>, <c>mlp 3</c>, <c>b_O 3</c>, <c>embedding</c>, <c>position</c>, <c>constant</c>.</summary>
    /// <returns>The name.</returns>
    public override string ToString() => Kind switch
    {
        ComponentKind.Head => new Head(Layer, Index).ToString(),
        ComponentKind.Mlp => string.Create(CultureInfo.InvariantCulture, $"mlp {Layer}"),
        ComponentKind.AttentionBias => string.Create(CultureInfo.InvariantCulture, $"b_O {Layer}"),
        ComponentKind.TokenEmbedding => "embedding",
        ComponentKind.PositionEmbedding => "position",
        _ => "constant",
    };
}
