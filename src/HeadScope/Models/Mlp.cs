namespace HeadScope;

/// <summary>An MLP: W_out f(W_in x), or gated W_out (f(W_gate x) ⊙ W_in x).</summary>
public sealed class Mlp
{
    internal Mlp(Linear input, Linear? gate, Linear output, ActivationFunction activation) =>
        (Input, Gate, Output, Activation) = (input, gate, output, activation);

    /// <summary>The nonlinearity f.</summary>
    public ActivationFunction Activation { get; }

    /// <summary>[d_model, d_mlp]; of a gated MLP the linear branch.</summary>
    public Tensor W_in => Input.Transposed();

    /// <summary>[d_mlp]; null for none.</summary>
    public Tensor? b_in => Input.Bias?.Fresh();

    /// <summary>[d_model, d_mlp], the branch that goes through the nonlinearity; null when not gated.</summary>
    public Tensor? W_gate => Gate?.Transposed();

    /// <summary>[d_mlp]; null for none.</summary>
    public Tensor? b_gate => Gate?.Bias?.Fresh();

    /// <summary>[d_mlp, d_model].</summary>
    public Tensor W_out => Output.Transposed();

    /// <summary>[d_model]; null for none.</summary>
    public Tensor? b_out => Output.Bias?.Fresh();

    internal Linear Input { get; }

    internal Linear? Gate { get; }

    internal Linear Output { get; }

    /// <summary>The same MLP but for the maps that are given.</summary>
    internal Mlp With(Linear? input = null, Linear? gate = null, Linear? output = null) => new(input ?? Input, gate ?? Gate, output ?? Output, Activation);

    /// <summary>Of normalised rows, without a residual.</summary>
    internal Tensor Forward(Tensor x, HookPlace at)
    {
        using var scope = NewDisposeScope();
        var post = Activate(at.Visit("hook_pre", (Gate ?? Input).Forward(x)));
        if (Gate is not null)
        {
            post = post.mul_(at.Visit("hook_pre_linear", Input.Forward(x)));
        }

        return Output.Forward(at.Visit("hook_post", post)).MoveToOuterDisposeScope();
    }

    private Tensor Activate(Tensor x) => Activation switch
    {
        ActivationFunction.Gelu => nn.functional.gelu(x),
        ActivationFunction.GeluTanh => nn.functional.gelu(x, TorchSharp.Modules.GELU.Approximate.tanh),
        _ => nn.functional.silu(x),
    };
}

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
