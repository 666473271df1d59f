namespace HeadScope;

/// <summary>How the residual stream is normalised before it is read.</summary>
public enum NormKind
{
    /// <summary>(x - mean) / sqrt(variance + epsilon), then gain and shift.</summary>
    LayerNorm,

    /// <summary>x / sqrt(mean square + epsilon), then gain.</summary>
    RmsNorm,
}
