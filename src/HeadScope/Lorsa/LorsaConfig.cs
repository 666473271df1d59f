namespace HeadScope;

/// <summary>
/// The shape and rules of a Low-Rank Sparse Attention layer (He et al. 2025, arXiv 2504.20938): <see cref="Heads"/> attention heads that
/// read and write one dimension each, of which few are active at a token, and which share <see cref="QkHeads"/> attention patterns.
/// </summary>
public sealed record LorsaConfig
{
    /// <summary>d, the width of the attention input and output it stands in for.</summary>
    public required int ModelWidth { get; init; }

    /// <summary>n, the number of one-dimensional OV heads; a multiple of <see cref="QkHeads"/>.</summary>
    public required int Heads { get; init; }

    /// <summary>G, the number of QK heads. OV head i uses QK head <c>i / (Heads / QkHeads)</c>.</summary>
    public required int QkHeads { get; init; }

    /// <summary>e, the width of a query or key.</summary>
    public required int QkWidth { get; init; }

    /// <summary>The longest sequence, in tokens.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Which heads are active.</summary>
    public LorsaActivation Activation { get; init; } = LorsaActivation.TopK;

    /// <summary>k, the number of active heads per token where <see cref="Activation"/> has one.</summary>
    public int TopK { get; init; } = 32;

    /// <summary>Whether the score of a head is z |w_O| (what it adds to the output) rather than z.</summary>
    public bool ScoreByOutputNorm { get; init; } = true;

    /// <summary>Whether there is an output bias b_D.</summary>
    public bool HasOutputBias { get; init; } = true;

    /// <summary>Whether queries and keys pass a root-mean-square norm with a trained gain before the rotation.</summary>
    public bool QkNorm { get; init; }

    /// <summary>The epsilon of that norm.</summary>
    public double QkNormEpsilon { get; init; } = 1e-6;

    /// <summary>The divisor of the attention scores; null for sqrt(<see cref="QkWidth"/>).</summary>
    public double? AttentionScale { get; init; }

    /// <summary>
    /// How many components of a query or key are rotated by its position; the rest pass through. Even; 0 for no rotation (also right for
    /// models with learned positions: those are in the input).
    /// </summary>
    public int RotaryDimensions { get; init; }

    /// <summary>The base of the frequencies <c>base^(-2m / RotaryDimensions)</c>.</summary>
    public double RotaryBase { get; init; } = 10000;

    /// <summary>Whether components 2m and 2m+1 form a pair (GPT-J); otherwise m and m + RotaryDimensions/2 do (Llama, GPT-NeoX).</summary>
    public bool RotaryAdjacentPairs { get; init; }

    /// <summary>How often every component is repeated before the rotation; 1 for none.</summary>
    public int RotaryRepeat { get; init; } = 1;

    /// <summary>
    /// The frequency scaling of Llama 3 ("NTK by parts"): wavelengths above old length / low are stretched by the factor, those below old
    /// length / high stay, and those between are blended. Null for none.
    /// </summary>
    public (double Factor, double Low, double High, int OldLength)? RotaryScaling { get; init; }

    /// <summary>The width of the window around the threshold in which it has a gradient, for <see cref="LorsaActivation.JumpRelu"/>.</summary>
    public double JumpReluWindow { get; init; } = 2;

    /// <summary>The activation it reads, such as <c>blocks.3.ln1.hook_normalized</c>.</summary>
    public string HookIn { get; init; } = "blocks.0.ln1.hook_normalized";

    /// <summary>The activation it predicts, such as <c>blocks.3.hook_attn_out</c>.</summary>
    public string HookOut { get; init; } = "blocks.0.hook_attn_out";

    /// <summary>The layer of <see cref="HookOut"/>; -1 when the name does not say.</summary>
    public int Layer => HookOut.Split('.') is ["blocks", var layer, ..] && int.TryParse(layer, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1;

    /// <summary>r, the number of OV heads that share a QK head.</summary>
    internal int GroupSize => Heads / QkHeads;

    internal double Scale => AttentionScale ?? Math.Sqrt(QkWidth);

    /// <summary>The QK head whose attention pattern an OV head uses.</summary>
    /// <param name="head">The OV head.</param>
    /// <returns>The QK head.</returns>
    public int QkHeadOf(int head) => head / GroupSize;

    /// <summary>Refuses what cannot be a Lorsa.</summary>
    internal void Validate()
    {
        foreach (var (name, value) in new[]
        {
            (nameof(ModelWidth), ModelWidth), (nameof(Heads), Heads), (nameof(QkHeads), QkHeads), (nameof(QkWidth), QkWidth),
            (nameof(ContextLength), ContextLength), (nameof(TopK), TopK),
        })
        {
            Fault.ArgumentIf(value < 1, $"{name} is {value}; expected at least 1.");
        }

        Fault.ArgumentIf(!Enum.IsDefined(Activation), $"There is no activation {Activation}.");
        Fault.ArgumentIf(Heads % QkHeads != 0, $"{Heads} OV heads cannot be shared out over {QkHeads} QK heads: expected a multiple.");
        Fault.ArgumentIf(
            TopK > Heads && Activation is not (LorsaActivation.Relu or LorsaActivation.JumpRelu or LorsaActivation.Dense),
            $"TopK is {TopK}, but there are only {Heads} heads.");
        Fault.ArgumentIf(Scale is not (> 0 and < double.PositiveInfinity), $"AttentionScale is {AttentionScale}; expected a positive divisor of the scores.");
        var room = (long)QkWidth * RotaryRepeat;
        Fault.ArgumentIf(
            RotaryRepeat < 1 || RotaryDimensions < 0 || RotaryDimensions % 2 != 0 || RotaryDimensions > room,
            $"Rotary positions over {RotaryDimensions} components (each repeated {RotaryRepeat} times) do not fit queries of width {QkWidth}: expected an "
            + $"even number of at most {room}.");
    }

    /// <summary>Refuses a model that this is not the shape of a layer of.</summary>
    internal void RequireLayerOf(Model model) => Fault.ArgumentIf(
        model.Config.ModelWidth != ModelWidth || Layer < 0 || Layer >= model.Config.LayerCount,
        $"A Lorsa of {HookOut} and width {ModelWidth} does not belong to '{model.Name}' with {model.Config.LayerCount} layers of width {model.Config.ModelWidth}.");
}

/// <summary>Which heads enter the output of a Lorsa; the others are zero. Scores are <c>z |w_O|</c> (see <see cref="LorsaConfig.ScoreByOutputNorm"/>).</summary>
public enum LorsaActivation
{
    /// <summary>The k heads of a token with the largest positive score; fewer when fewer are positive. The default.</summary>
    TopK,

    /// <summary>The k × tokens pairs of head and token with the largest positive score in the whole batch.</summary>
    BatchTopK,

    /// <summary>Every head with a positive score.</summary>
    Relu,

    /// <summary>Every head whose score is above its own trained threshold. The score passes unshifted.</summary>
    JumpRelu,

    /// <summary>
    /// The k heads with the largest absolute score, so that negative activations pass: the rule of the first published
    /// implementation without its option <c>use_z_relu</c>.
    /// </summary>
    TopKMagnitude,

    /// <summary>Every head of every token: what the mode <c>jumprelu</c> of the first published implementation does.</summary>
    Dense,
}
