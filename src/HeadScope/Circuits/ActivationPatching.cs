namespace HeadScope;

/// <summary>Which activations carry an answer: what each brings back when it alone is put from the run on a clean prompt into the run on a corrupted
/// one, the denoising of Heimersheim and Nanda (arXiv 2404.15255). Measured by the difference of two logits at the last token, LD = logit(answer) -
/// logit(wrong) (Wang et al., arXiv 2211.00593), as (LD_patched - LD_corrupted) / (LD_clean - LD_corrupted): 0 is the corrupted run and 1 the clean one;
/// less than 0 leads away from the answer. Tensors are fp64, on the model's device.</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Tokens">The text of each token of the clean prompt; <c>#12</c> where the model has no tokenizer.</param>
/// <param name="CorruptedTokens">The text of each token of the corrupted prompt, as many.</param>
/// <param name="Answer">The token that the clean prompt asks for.</param>
/// <param name="Wrong">The token it is compared with.</param>
/// <param name="CleanDifference">LD_clean.</param>
/// <param name="CorruptedDifference">LD_corrupted.</param>
/// <param name="Residual">With the residual stream before a layer patched at one position, <c>blocks.L.hook_resid_pre</c>, [layer, position].</param>
/// <param name="Heads">With a head's output patched at all positions, <c>blocks.L.attn.hook_z</c>, [layer, head].</param>
/// <param name="AttentionOutput">With the output of attention patched at one position, <c>blocks.L.hook_attn_out</c>, [layer, position]; null where
/// it was not asked for.</param>
/// <param name="MlpOutput">The same of the MLP, <c>blocks.L.hook_mlp_out</c>, [layer, position]; null where it was not asked for.</param>
public sealed record ActivationPatching(
    string Model, IReadOnlyList<string> Tokens, IReadOnlyList<string> CorruptedTokens, string Answer, string Wrong, double CleanDifference,
    double CorruptedDifference, Tensor Residual, Tensor Heads, Tensor? AttentionOutput, Tensor? MlpOutput)
{
    private const string Z = "attn.hook_z";
    private static readonly string[] Places = ["hook_resid_pre", Z, "hook_attn_out", "hook_mlp_out"];

    /// <summary>A line for each patch: activation, layer, position and token, or head, and what was recovered.</summary>
    public DataFrame Table => ResultTable.Of(
        from map in Places.Zip([Residual, Heads, AttentionOutput, MlpOutput], (name, values) => (Name: name, Values: values))
        where map.Values is not null
        from cell in map.Values!.Copied<double>().Index()
        let at = Math.DivRem(cell.Index, (int)map.Values!.shape[1])
        select (map.Name, Layer: at.Quotient, Part: at.Remainder, Position: map.Name == Z ? (int?)null : at.Remainder, cell.Item),
        patch => new
        {
            activation = patch.Name, layer = patch.Layer, position = patch.Position, token = patch.Position is { } position ? Tokens[position] : null,
            head = patch.Position is null ? patch.Part : (int?)null, recovered = patch.Item,
        });

    /// <summary>Patches every layer at every position, and every head, one at a time.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="clean">The prompt that asks for the answer.</param>
    /// <param name="corrupted">One of as many tokens that does not, the same but for what the answer hangs on.</param>
    /// <param name="answer">What follows the clean prompt, one token, with the space before it: <c> Mary</c>.</param>
    /// <param name="wrong">What would follow the corrupted one.</param>
    /// <param name="outputs">Whether the outputs of attention and MLP are patched too.</param>
    /// <param name="batchSize">How many patched copies run at once; bounds the memory, changes no result beyond rounding.</param>
    /// <param name="progress">Is told how many patches are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>What each patch recovers.</returns>
    /// <exception cref="ArgumentException">A prompt is empty or too long; the prompts have different numbers of tokens, which the message shows; an answer
    /// is missing or no single token behind the clean prompt; both prompts give the same logit difference.</exception>
    /// <exception cref="InvalidDataException">The logits are not finite.</exception>
    /// <exception cref="InvalidOperationException">Texts are given and the model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static ActivationPatching Run(
        Model model, string clean, string corrupted, string answer, string wrong, bool outputs = false, int batchSize = 32,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(corrupted);
        var words = new PromptTokenizer(model.Tokenizer);
        CircuitPrompt prompt = new(model.Tokenizer.Encode(clean), [], words.Following(clean, answer), words.Following(clean, wrong));
        return Run(model, prompt, new(model.Tokenizer.Encode(corrupted), []), outputs, batchSize, progress, cancellationToken);
    }

    /// <summary>The same for prompts in tokens, such as two of one set. The clean one has an answer, and a distractor that is the wrong answer; those of the
    /// corrupted one do not count.</summary>
    /// <inheritdoc cref="Run(Model, string, string, string, string, bool, int, IProgress{WorkProgress}?, CancellationToken)"/>
    public static ActivationPatching Run(
        Model model, CircuitPrompt clean, CircuitPrompt corrupted, bool outputs = false, int batchSize = 32,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        RequirePair(model, clean, corrupted);
        using var scope = NewDisposeScope();
        var (config, names, tokens) = (model.Config, outputs ? Places : Places[..2], corrupted.Tokens.ToArray());
        var pass = model.Run([.. clean.Tokens], new Hooks().Keep(names.Select(name => $"blocks.*.{name}")), LogitsOf.LastPosition, cancellationToken: cancellationToken);
        var (whole, broken) = (Difference(pass), Difference(model.Run(tokens, logits: LogitsOf.LastPosition, cancellationToken: cancellationToken)));
        var (best, worst) = (whole.Copied<double>()[0], broken.Copied<double>()[0]);
        Fault.InvalidDataIf(!double.IsFinite(best - worst), $"The logits of '{model.Name}' are not finite; a weight is damaged, or its dtype is too narrow.");
        Fault.ArgumentIf(best == worst, $"The logit difference is {best:0.####} with both prompts; expected a corrupted prompt that changes it.");

        // Before the first token that differs both runs are the same: a patch does nothing there, and the keys and values are computed once.
        var first = clean.Tokens.Zip(tokens).TakeWhile(pair => pair.First == pair.Second).Count();
        var patches =
            (from name in names
             from layer in Enumerable.Range(0, config.LayerCount)
             from part in Enumerable.Range(0, name == Z ? config.HeadCount : tokens.Length - first)
             select (Place: $"blocks.{layer}.{name}", Axis: name == Z ? 1 : 0, Part: part)).ToArray();
        var (differences, copies) = (new List<Tensor>(), Math.Min(batchSize, patches.Length));
        using var start = first > 0 ? new KeyValueCache(model, copies) : null;
        if (start is not null)
        {
            model.Run([.. Enumerable.Repeat(tokens[..first], copies)], logits: LogitsOf.None, cache: start, cancellationToken: cancellationToken);
        }

        foreach (var some in patches.Chunk(copies))
        {
            progress?.Report(new("patching", (long)differences.Count * copies, patches.Length, "patches"));
            using var batch = NewDisposeScope();
            var hooks = new Hooks();
            foreach (var (row, (place, axis, part)) in some.Index())
            {
                hooks.Edit(place, x =>
                {
                    x.select(0, row).select(axis, part).copy_(pass[place].select(0, 0).narrow(0, first, tokens.Length - first).select(axis, part));
                    return x;
                });
            }

            var patched = Difference(model.Run([.. Enumerable.Repeat(tokens[first..], copies)], hooks, LogitsOf.LastPosition, start, cancellationToken: cancellationToken));
            start?.RemoveLast(tokens.Length - first);
            differences.Add(patched.narrow(0, 0, some.Length).MoveToOuterDisposeScope());
        }

        progress?.Report(new("patching", patches.Length, patches.Length, "patches"));
        var recovered = cat(differences).sub(broken).div(whole.sub(broken)).split([.. names.Select(name => (long)patches.Count(patch => patch.Place.EndsWith("." + name, StringComparison.Ordinal)))]);
        Tensor[] maps = [.. recovered.Zip(names, (values, name) =>
            cat([zeros([config.LayerCount, name == Z ? 0 : first], float64, model.Device), values.view(config.LayerCount, -1)], 1))];
        scope.MoveToOuter(maps);
        return new(
            model.Name, [.. clean.Tokens.Select(model.TextOf)], [.. tokens.Select(model.TextOf)], model.TextOf(clean.Answer!.Value), model.TextOf(clean.Distractor!.Value),
            best, worst, maps[0], maps[1], maps.ElementAtOrDefault(2), maps.ElementAtOrDefault(3));

        Tensor Difference(ForwardPass run) => run.Logits!.select(2, clean.Answer!.Value).to(float64).sub(run.Logits!.select(2, clean.Distractor!.Value).to(float64)).squeeze(1);
    }

    /// <summary>The result as CSV: the columns of <see cref="Table"/>.</summary>
    public string ToCsv() => Table.ToCsv();

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"activation patching of {Model}, {Tokens.Count} tokens: logit difference of '{Answer}' and '{Wrong}' {CleanDifference:0.###} clean, {CorruptedDifference:0.###} corrupted");

    private static void RequirePair(Model model, CircuitPrompt clean, CircuitPrompt corrupted)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(clean);
        ArgumentNullException.ThrowIfNull(corrupted);
        new PromptSet("clean and corrupted", [clean with { Roles = [] }, corrupted with { Roles = [] }]).SoundFor(model);
        Fault.ArgumentIf(
            clean.Tokens.Count != corrupted.Tokens.Count,
            $"The clean prompt has {clean.Tokens.Count} tokens, the corrupted one {corrupted.Tokens.Count}; a position must mean the same in both. "
            + $"Clean: {string.Join('|', clean.Tokens.Select(model.TextOf))}. Corrupted: {string.Join('|', corrupted.Tokens.Select(model.TextOf))}.");
        Fault.ArgumentIf(clean is not { Answer: not null, Distractor: not null }, $"The clean prompt has no answer or no distractor; their logits are what is measured.");
    }
}
