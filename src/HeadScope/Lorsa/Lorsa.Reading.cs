namespace HeadScope;

public sealed partial class Lorsa
{
    /// <summary>The model it belongs to; null when not known. Needed for reading its heads.</summary>
    public Model? Model { get; internal init; }

    /// <summary>Whether it was read from the layout of the first published code.</summary>
    internal bool IsFirstLayout { get; init; }

    /// <summary>The same Lorsa together with its model.</summary>
    /// <param name="model">The model, with the weight processing the Lorsa was trained on.</param>
    /// <returns>The Lorsa; a copy.</returns>
    /// <exception cref="ArgumentException">The model has another width, or no such layer.</exception>
    public Lorsa For(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Config.RequireLayerOf(model);

        // The first published code reads LayerNorm models after gain and shift, which TransformerLens calls hook_normalized there.
        var config = IsFirstLayout && model.Config.Norm == NormKind.LayerNorm
            ? Config with { HookIn = $"blocks.{Config.Layer}.ln1.hook_out" }
            : Config;
        return Changed(IsFolded, (_, weight) => weight, config, model);
    }

    /// <summary>A head at a glance.</summary>
    /// <param name="index">The OV head.</param>
    /// <returns>Its profile.</returns>
    public LorsaHead Head(int index) => new(this, index);

    /// <summary>The z-patterns of all heads that are active somewhere on a token sequence.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <returns>One for each such head, by head.</returns>
    /// <exception cref="InvalidOperationException">There is no model.</exception>
    /// <exception cref="ArgumentException">There are more tokens than the Lorsa's context, or none.</exception>
    public IReadOnlyList<ZPattern> ZPatterns(int[] tokens) => ZPatterns(
        tokens, found => found.Activations.ne(Scalars.Of(0)).flatten(0, 1).any(0, keepdim: false).Copied<bool>().Index().Where(head => head.Item).Select(head => head.Index));

    internal IReadOnlyList<ZPattern> ZPatterns(int[] tokens, Func<LorsaActivations, IEnumerable<int>> heads)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        using var scope = NewDisposeScope();
        var found = Encode([tokens], default);
        return [.. heads(found).Select(head => new ZPattern(
            head, tokens, [.. tokens.Select(TokenText)], Out(found.ZPattern(head)[0]), Out(found.Patterns[0, Config.QkHeadOf(head)]),
            Out(found.PreActivations[0].select(1, head)), Out(found.Activations[0].select(1, head))))];

        Tensor Out(Tensor result) => scope.MoveToOuter(result.to(float32, CPU).clone());
    }

    /// <summary>Runs token sequences through the model up to this layer and encodes them; shorter ones are padded on the right.</summary>
    internal LorsaActivations Encode(IReadOnlyList<int[]> sequences, CancellationToken cancellationToken)
    {
        var unfit = sequences.FirstOrDefault(tokens => tokens.Length == 0 || tokens.Length > Config.ContextLength);
        Fault.ArgumentIf(unfit is not null, $"There are {unfit?.Length} tokens; this Lorsa takes 1 to {Config.ContextLength}.");
        using var run = RequireModel().Run(
            sequences, new Hooks().Keep(Config.HookIn), LogitsOf.None, stopAfterLayer: Config.Layer, cancellationToken: cancellationToken);
        return Encode(run[Config.HookIn]);
    }

    /// <summary>The first windows of a corpus, as held-out sequences.</summary>
    internal ModelActivationSource ActivationsOn(LorsaCorpus corpus, int windows) =>
        new(RequireModel(), Config.Layer, corpus, Config.ContextLength, windows, hookIn: Config.HookIn);

    internal Model RequireModel() => Model
        ?? throw new InvalidOperationException("This Lorsa was loaded without its model; take lorsa.For(model) and ask that.");

    internal string TokenText(int token) =>
        Model is { HasTokenizer: true } model ? model.Tokenizer.TokenText(token) : string.Create(CultureInfo.InvariantCulture, $"#{token}");

    internal static int[] Begin(Tokenizer tokenizer, int[] tokens) =>
        (tokenizer.BeginningOfText ?? tokenizer.EndOfText) is { } begin ? [begin, .. tokens] : tokens;

    /// <summary>Output vectors, [..., d], in the units of the model, as the final norm hands them on before it divides by its scale.</summary>
    internal Tensor Written(Tensor writes)
    {
        var norm = RequireModel().Net.LnFinal;
        var x = WhereTheModelIs(writes).div(Scalars.Of(OutputScale));
        x = norm.Kind == NormKind.LayerNorm ? x.sub(x.mean([-1], keepdim: true)) : x;
        return norm.Gain is { } gain ? x.mul(gain.Value.to(float32)) : x;
    }

    internal Tensor WhereTheModelIs(Tensor weights) => weights.to(float32, RequireModel().Device);
}
