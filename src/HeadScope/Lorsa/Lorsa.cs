using System.Runtime.CompilerServices;
using TorchParameter = TorchSharp.Modules.Parameter;

namespace HeadScope;

/// <summary>
/// A Low-Rank Sparse Attention layer (He et al. 2025, arXiv 2504.20938): what <see cref="Train(Model, int, LorsaCorpus, LorsaTrainingOptions?, IProgress{WorkProgress}?, CancellationToken)"/>
/// returns and <see cref="Load"/> reads. A module whose <c>state_dict</c> has the names and shapes of OpenMOSS's Language-Model-SAEs.
/// </summary>
/// <remarks>
/// For every QK head g and OV head i of its group:
/// <c>q_g = rot(x W_Q + b_Q)</c>, <c>k_g</c> likewise, <c>P_g = softmax(q_g k_g^T / scale)</c> (causal),
/// <c>v_i = x w_V + b_V</c>, <c>z_i = P_g v_i</c>, <c>a = z</c> of the heads that are chosen and 0 of the others, <c>y = sum a_i w_O + b_D</c>.
/// </remarks>
public sealed partial class Lorsa : nn.Module<Tensor, Tensor>
{
    internal const string LogThreshold = "activation_function.log_jumprelu_threshold";

    /// <summary>All parameters are 0.</summary>
    /// <exception cref="ArgumentException">The shape cannot be one, or there are no norms to normalise by.</exception>
    internal Lorsa(LorsaConfig config, bool isFolded = true, double inputNorm = 0, double outputNorm = 0)
        : base(nameof(Lorsa))
    {
        config.Validate();
        (Config, IsFolded, InputNorm, OutputNorm) = (config, isFolded, inputNorm, outputNorm);
        Fault.ArgumentIf(
            !isFolded && !AreNorms(inputNorm, outputNorm),
            $"The mean norms of input and output are {inputNorm} and {outputNorm}; expected positive numbers to normalise by.");
        foreach (var (name, shape) in Shapes(config))
        {
            register_parameter(name, new TorchParameter(zeros(shape, float32).DetachFromDisposeScope()));
        }
    }

    /// <summary>Its shape and rules.</summary>
    public LorsaConfig Config { get; }

    /// <summary>Whether the weights work in the units of the model; else input and output are each scaled by one number, to a mean norm of sqrt(d).</summary>
    public bool IsFolded { get; }

    /// <summary>The mean norm of inputs in the units of the model, by which they are normalised; meaningless when folded.</summary>
    public double InputNorm { get; }

    /// <summary>The mean norm of outputs in the units of the model; meaningless when folded.</summary>
    public double OutputNorm { get; }

    /// <summary>How it was trained; null for a Lorsa that was loaded.</summary>
    public LorsaTrainingReport? Training { get; internal set; }

    /// <summary>[QK head, d, e]. This and the others are as they are stored, in normalised units unless folded; biases are in <c>state_dict</c>.</summary>
    public Tensor W_Q
    {
        get => View();
        private set => Replace(value);
    }

    /// <summary>[QK head, d, e].</summary>
    public Tensor W_K
    {
        get => View();
        private set => Replace(value);
    }

    /// <summary>What each head reads, [head, d].</summary>
    public Tensor W_V
    {
        get => View();
        private set => Replace(value);
    }

    /// <summary>What each head writes, [head, d].</summary>
    public Tensor W_O
    {
        get => View();
        private set => Replace(value);
    }

    /// <summary>What inputs are multiplied by before they meet the weights.</summary>
    internal double InputScale => IsFolded ? 1 : Math.Sqrt(Config.ModelWidth) / InputNorm;

    /// <summary>What outputs in the units of the model are multiplied by to become those of the weights.</summary>
    internal double OutputScale => IsFolded ? 1 : Math.Sqrt(Config.ModelWidth) / OutputNorm;

    /// <summary>The attention output that this Lorsa predicts; gradients reach its parameters.</summary>
    /// <param name="input">What the attention layer reads, in the units of the model: [T, d] or [B, T, d].</param>
    /// <returns>The output in the units of the model, of the same shape.</returns>
    /// <exception cref="ArgumentException">The tensor has another width, or the sequences are longer than the context.</exception>
    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var (z, _, _) = Attend(Normalized(input));
        var output = Decode(Choose(z, Config.TopK)).mul(Scalars.Of(1 / OutputScale)).view(input.shape);
        GC.KeepAlive(this);
        return scope.MoveToOuter(output);
    }

    /// <summary>Encodes attention inputs: attention patterns, z, the active heads, and the output they make.</summary>
    /// <param name="input">What the attention layer reads, in the units of the model: [T, d] or [B, T, d].</param>
    /// <returns>The activations, without gradients.</returns>
    /// <exception cref="ArgumentException">The tensor has another width, or the sequences are longer than the context.</exception>
    public LorsaActivations Encode(Tensor input)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var (z, patterns, values) = Attend(Normalized(input));
        var active = Choose(z, Config.TopK);
        var output = Decode(active).mul_(Scalars.Of(1 / OutputScale));
        GC.KeepAlive(this);
        return new(
            scope.MoveToOuter(z), scope.MoveToOuter(active), scope.MoveToOuter(patterns), scope.MoveToOuter(values), scope.MoveToOuter(output));
    }

    /// <summary>
    /// The same Lorsa with the normalisation folded into its weights, so that they work in the units of the model. z and the output stay.
    /// </summary>
    /// <returns>The folded Lorsa; itself when it is folded already.</returns>
    /// <exception cref="NotSupportedException">Queries and keys are normalised: their epsilon would change its meaning.</exception>
    public Lorsa FoldNormalization()
    {
        if (IsFolded)
        {
            return this;
        }

        Fault.NotSupportedIf(
            Config.QkNorm, $"A Lorsa with normalised queries and keys cannot be folded: the epsilon of that norm would weigh differently.");
        return Changed(isFolded: true, (name, weight) => name switch
        {
            "W_Q" or "W_K" or "W_V" => weight.mul(Scalars.Of(InputScale)),
            "W_O" or "b_D" => weight.div(Scalars.Of(OutputScale)),

            // JumpReLU gates z |w_O|, and |w_O| changes.
            LogThreshold when Config.ScoreByOutputNorm => weight.sub(Scalars.Of(Math.Log(OutputScale))),
            _ => weight,
        });
    }

    /// <summary>The same Lorsa with every w_O of length 1 and its length moved into w_V and b_V: z becomes z |w_O|, the output stays.</summary>
    /// <returns>The Lorsa with unit output vectors.</returns>
    /// <exception cref="NotSupportedException">
    /// Heads are chosen by z alone (<see cref="LorsaConfig.ScoreByOutputNorm"/>), so that the choice would change.
    /// </exception>
    public Lorsa WithUnitOutputNorms()
    {
        Fault.NotSupportedIf(!Config.ScoreByOutputNorm, $"This Lorsa chooses heads by z alone; moving norms into z would change the choice.");
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var norms = OutputNorms();
        norms = norms.masked_fill(norms.eq(Scalars.Of(0)), Scalars.One);
        return Changed(IsFolded, (name, weight) => name switch
        {
            "W_V" => weight.mul(norms.unsqueeze(1)),
            "b_V" => weight.mul(norms),
            "W_O" => weight.div(norms.unsqueeze(1)),
            _ => weight,
        });
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"Lorsa of {Config.HookOut}: {Config.Heads} heads over {Config.QkHeads} QK heads, width {Config.ModelWidth}, "
        + $"{Config.Activation} {Config.TopK}";

    /// <summary>The names and shapes of the parameters, in a fixed order.</summary>
    internal static (string Name, long[] Shape)[] Shapes(LorsaConfig config)
    {
        long d = config.ModelWidth, n = config.Heads, g = config.QkHeads, e = config.QkWidth;
        return
        [
            ("W_Q", [g, d, e]), ("W_K", [g, d, e]), ("W_V", [n, d]), ("W_O", [n, d]), ("b_Q", [g, e]), ("b_K", [g, e]), ("b_V", [n]),
            .. config.HasOutputBias ? [("b_D", [d])] : Enumerable.Empty<(string, long[])>(),
            .. config.QkNorm ? [("ln_q.w", [g, e]), ("ln_k.w", [g, e])] : Enumerable.Empty<(string, long[])>(),
            .. config.Activation == LorsaActivation.JumpRelu ? [(LogThreshold, [n])] : Enumerable.Empty<(string, long[])>(),
        ];
    }

    /// <summary>A parameter by its name; lives as long as this.</summary>
    internal TorchParameter Weight(string name) => get_parameter(name)!;

    /// <summary>|w_O|, [head].</summary>
    internal Tensor OutputNorms() => Weight("W_O").norm(1);

    /// <summary>Attention on inputs in the units of the weights, [B, T, d].</summary>
    /// <returns>z [B, T, n], the patterns [B, G, T, T], zero above the diagonal, and v [B, T, n].</returns>
    internal (Tensor PreActivations, Tensor Patterns, Tensor Values) Attend(Tensor x)
    {
        var patterns = Patterns(x);
        var v = nn.functional.linear(x, Weight("W_V"), Weight("b_V"));
        var z = patterns.matmul(v.unflatten(2, Config.QkHeads, Config.GroupSize).transpose(1, 2)).transpose(1, 2).flatten(2);
        return (z, patterns, v);
    }

    /// <summary>The attention patterns on inputs in the units of the weights, [B, G, T, T].</summary>
    internal Tensor Patterns(Tensor x)
    {
        var (q, k) = (Queries(x, "Q"), Queries(x, "K"));
        var later = ones([x.shape[1], x.shape[1]], @bool, x.device).triu(1);
        return q.mul(Scalars.Of(1 / Config.Scale)).matmul(k.transpose(2, 3)).masked_fill(later, Scalars.MinusInfinity).softmax(-1);
    }

    /// <summary>Rotated queries (<c>"Q"</c>) or keys (<c>"K"</c>), [B, G, T, width].</summary>
    internal Tensor Queries(Tensor x, string which)
    {
        var flat = x.matmul(Weight($"W_{which}").permute(1, 0, 2).flatten(1));
        var q = flat.unflatten(2, Config.QkHeads, Config.QkWidth).add(Weight($"b_{which}"), Scalars.One);
        if (Config.QkNorm)
        {
            var scale = q.mul(q).mean([-1], keepdim: true).add(Scalars.Of(Config.QkNormEpsilon), Scalars.One).sqrt();
            q = q.div(scale).mul(Weight(which == "Q" ? "ln_q.w" : "ln_k.w"));
        }

        return Config.Turn(q.transpose(1, 2));
    }

    /// <summary>
    /// a: z, [B, T, n], of the heads that enter the output (k of a token, where the activation has such a number), 0 of the others. Which ones is a
    /// constant for differentiation.
    /// </summary>
    internal Tensor Choose(Tensor z, int k)
    {
        if (Config.Activation == LorsaActivation.Dense)
        {
            return z;
        }

        var norms = Norms(z);
        var score = z.detach().mul(norms);
        var threshold = Config.Activation == LorsaActivation.JumpRelu ? Weight(LogThreshold).exp() : null;
        var chosen = Config.Activation switch
        {
            LorsaActivation.TopK => Largest(score, k),
            LorsaActivation.TopKMagnitude => Largest(score.abs(), k),
            LorsaActivation.BatchTopK => Largest(score.flatten(), k * z.shape[0] * z.shape[1]).view(z.shape),
            LorsaActivation.JumpRelu => score.gt(threshold!.detach()),
            _ => score.gt(Scalars.Of(0)),
        };
        var active = z.masked_fill(chosen.logical_not(), Scalars.Of(0));
        if (threshold is null)
        {
            return active;
        }

        // A zero whose derivative by the threshold is -θ / w in a window about it (Rajamanoharan et al. 2024, arXiv 2407.14435).
        var fixedThreshold = threshold.detach();
        var near = score.gt(Scalars.Of(0)).logical_and(score.sub(fixedThreshold).abs().lt(Scalars.Of(Config.JumpReluWindow / 2)));
        var slope = near.to(z.dtype).mul(fixedThreshold).div(norms).mul(Scalars.Of(-1 / Config.JumpReluWindow));
        return active.add(threshold.sub(fixedThreshold).mul(slope), Scalars.One);
    }

    /// <summary>z, [B, T, n], of at most k dead heads of a token, those with the largest positive scores; 0 of all others.</summary>
    internal Tensor ChooseDead(Tensor z, bool[] dead, int k)
    {
        var score = z.detach().mul(Norms(z)).masked_fill(tensor(dead, device: z.device).logical_not(), Scalars.Of(0));
        return z.masked_fill(Largest(score, Math.Min(k, dead.Count(isDead => isDead))).logical_not(), Scalars.Of(0));
    }

    /// <summary>The output in the units of the weights, [B, T, d].</summary>
    internal Tensor Decode(Tensor active)
    {
        var output = active.matmul(Weight("W_O"));
        return Config.HasOutputBias ? output.add(Weight("b_D"), Scalars.One) : output;
    }

    /// <summary>Another Lorsa whose parameters are made from those of this one.</summary>
    internal Lorsa Changed(bool isFolded, Func<string, Tensor, Tensor> change, LorsaConfig? config = null, Model? model = null)
    {
        var changed = new Lorsa(config ?? Config, isFolded, InputNorm, OutputNorm)
        {
            Training = Training, Model = model ?? Model, IsFirstLayout = IsFirstLayout,
        };
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        changed.to(Weight("W_V").dtype).to(Weight("W_V").device);
        foreach (var (name, _) in Shapes(Config))
        {
            changed.Weight(name).copy_(change(name, Weight(name)));
        }

        GC.KeepAlive(this);
        return changed;
    }

    // Where a score is positive and one of the k largest of its row; of equal ones that with the lower index. torch's topk leaves ties open.
    private static Tensor Largest(Tensor score, long k)
    {
        if (k == 0)
        {
            return zeros_like(score, @bool);
        }

        var least = score.topk((int)Math.Min(k, score.shape[^1]), -1, sorted: false).values.amin([-1], keepdim: true);
        var (above, equal) = (score.gt(least), score.eq(least));
        var room = above.sum(-1, keepdim: true).neg().add(Scalars.Of(Math.Min(k, score.shape[^1])), Scalars.One);
        return above.logical_or(equal.logical_and(equal.cumsum(-1).le(room))).logical_and(score.gt(Scalars.Of(0)));
    }

    // What z is multiplied by for its score, [n] or [1].
    private Tensor Norms(Tensor z) => Config.ScoreByOutputNorm ? OutputNorms().detach() : ones(1, z.dtype, z.device);

    private static bool AreNorms(double input, double output) => input > 0 && output > 0 && double.IsFinite(input + output);

    private Tensor Normalized(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        Fault.ArgumentIf(
            input.ndim is not (2 or 3) || input.shape[^1] != Config.ModelWidth || input.shape[^2] > Config.ContextLength,
            $"The input has shape [{string.Join(", ", input.shape)}]; expected [tokens, {Config.ModelWidth}] or "
            + $"[sequences, tokens, {Config.ModelWidth}] with at most {Config.ContextLength} tokens.");
        var x = input.ndim == 2 ? input.unsqueeze(0) : input;
        return x.to(Weight("W_V").dtype, Weight("W_V").device).mul(Scalars.Of(InputScale));
    }

    // Not the parameter itself: what is asked of a view (gradients, another shape) stays with it.
    private Tensor View([CallerMemberName] string name = "")
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Weight(name).detach());
    }

    // Of a parameter that to() has moved, torch looks for a property of its name and sets that alone.
    private void Replace(Tensor moved, [CallerMemberName] string name = "") => ConditionallyRegisterParameter(name, moved);
}

/// <summary>What the heads of a Lorsa do on B sequences of T tokens: n OV heads over G QK heads.</summary>
/// <param name="PreActivations">z, before the choice of active heads, [B, T, n].</param>
/// <param name="Activations">a: z of the active heads, 0 of the others, [B, T, n].</param>
/// <param name="Patterns">P, the attention patterns, [B, G, T, T]: [.., t, s] is how much t attends to s; rows sum to 1.</param>
/// <param name="Values">v, what is read at each token, [B, T, n].</param>
/// <param name="Output">The predicted attention output in the units of the model, [B, T, d].</param>
public sealed record LorsaActivations(Tensor PreActivations, Tensor Activations, Tensor Patterns, Tensor Values, Tensor Output)
{
    /// <summary>How much each token adds to z of a head at each later one: <c>P(t, s) v(s)</c>, whose rows sum to z.</summary>
    /// <param name="head">The OV head.</param>
    /// <returns>The contributions, [B, T, T]: [.., t, s] is that of s at t.</returns>
    public Tensor ZPattern(int head)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(head);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(head, Values.shape[2]);
        using var scope = NewDisposeScope();
        var pattern = Patterns.select(1, head / (Values.shape[2] / Patterns.shape[1]));
        return scope.MoveToOuter(pattern.mul(Values.select(2, head).unsqueeze(1)));
    }
}
