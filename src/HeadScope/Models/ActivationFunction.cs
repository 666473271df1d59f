namespace HeadScope;

/// <summary>The nonlinearity of an MLP.</summary>
public enum ActivationFunction
{
    /// <summary>x Φ(x), with the exact normal distribution (<c>gelu</c>).</summary>
    Gelu,

    /// <summary>The tanh form of GELU (<c>gelu_new</c>, <c>gelu_pytorch_tanh</c>).</summary>
    GeluTanh,

    /// <summary>x / (1 + exp(-x)) (<c>silu</c>, <c>swish</c>).</summary>
    Silu,
}
