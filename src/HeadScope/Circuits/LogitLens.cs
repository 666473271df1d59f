namespace HeadScope;

/// <summary>What a model would predict if it ended after each layer: logits_l = norm_final(x_l) W_U + b_U, x_l being the residual stream after layer l,
/// <c>blocks.l.hook_resid_post</c> (nostalgebraist, "interpreting GPT: the logit lens", 2020). The last layer's are the model's own. Tensors are on the
/// model's device, numbers in fp32.</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Tokens">The text of each token of the prompt; <c>#12</c> where the model has no tokenizer.</param>
/// <param name="Targets">The text of the chosen token at each position.</param>
/// <param name="Logits">The logit of the chosen token, [layer, position].</param>
/// <param name="Probabilities">Its probability, [layer, position].</param>
/// <param name="Ranks">Its rank among all tokens, int64, [layer, position]: 1 and the number of tokens with a larger logit.</param>
/// <param name="TopTokens">The most probable tokens, the first of equals that with the lower id, int64, [layer, position, k].</param>
/// <param name="TopProbabilities">Their probabilities, [layer, position, k].</param>
/// <param name="Texts">The text of every token in <paramref name="TopTokens"/>.</param>
public sealed record LogitLens(
    string Model, IReadOnlyList<string> Tokens, IReadOnlyList<string> Targets, Tensor Logits, Tensor Probabilities, Tensor Ranks, Tensor TopTokens,
    Tensor TopProbabilities, IReadOnlyDictionary<int, string> Texts)
{
    private const int RowsAtOnce = 128;

    /// <summary>A line for each layer and position: layer, position, token; target with its logit, probability and rank; and each of the top tokens with
    /// its probability.</summary>
    public DataFrame Table
    {
        get
        {
            var (count, top) = (Tokens.Count, (int)TopTokens.shape[2]);
            var (at, tokens, chances) = (Enumerable.Range(0, (int)Logits.shape[0] * count).ToArray(), TopTokens.Copied<int>(), TopProbabilities.Copied<float>());
            return new(
            [
                new Int32DataFrameColumn("layer", at.Select(i => i / count)),
                new Int32DataFrameColumn("position", at.Select(i => i % count)),
                new StringDataFrameColumn("token", at.Select(i => Tokens[i % count])),
                new StringDataFrameColumn("target", at.Select(i => Targets[i % count])),
                new SingleDataFrameColumn("logit", Logits.Copied<float>()),
                new SingleDataFrameColumn("probability", Probabilities.Copied<float>()),
                new Int64DataFrameColumn("rank", Ranks.Copied<long>()),
                .. Enumerable.Range(0, top).SelectMany(k => new DataFrameColumn[]
                {
                    new StringDataFrameColumn($"top_{k + 1}", at.Select(i => Texts[tokens[(i * top) + k]])),
                    new SingleDataFrameColumn($"probability_{k + 1}", at.Select(i => chances[(i * top) + k])),
                }),
            ]);
        }
    }

    /// <summary>Reads the residual stream of a prompt after each layer.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="target">What follows the prompt, one token, with the space before it: <c> Mary</c>; null for what the model itself predicts, at each
    /// position.</param>
    /// <param name="top">How many of the most probable tokens to keep.</param>
    /// <param name="progress">Is told how many layers are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>What each layer predicts at each position.</returns>
    /// <exception cref="ArgumentException">The prompt is empty or too long, or the target is no single token behind it.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many tokens to keep.</exception>
    /// <exception cref="InvalidDataException">The logits are not finite.</exception>
    /// <exception cref="InvalidOperationException">Texts are given and the model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static LogitLens Of(
        Model model, string prompt, string? target = null, int top = 5, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        var following = target is null ? (int?)null : new PromptTokenizer(model.Tokenizer).Following(prompt, target);
        return Of(model, model.Tokenizer.Encode(prompt), following, top, progress, cancellationToken);
    }

    /// <summary>The same for a prompt and a target in token ids.</summary>
    /// <inheritdoc cref="Of(Model, string, string?, int, IProgress{WorkProgress}?, CancellationToken)"/>
    public static LogitLens Of(
        Model model, int[] prompt, int? target = null, int top = 5, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompt);
        var (net, config) = (model.Net, model.Config);
        ArgumentOutOfRangeException.ThrowIfLessThan(top, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(top, config.VocabularySize);
        Fault.ArgumentIf(target < 0 || target >= config.VocabularySize, $"There is no token {target}; the model knows 0 to {config.VocabularySize - 1}.");
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var pass = model.Run(prompt, new Hooks().Keep("blocks.*.hook_resid_post"), LogitsOf.None, cancellationToken: cancellationToken);
        var x = cat([.. Enumerable.Range(0, config.LayerCount).Select(layer => pass[$"blocks.{layer}.hook_resid_post"].squeeze(0))]);
        var (rows, count) = ((int)x.shape[0], prompt.Length);
        var targets = target is { } chosen ? [.. prompt.Select(_ => (long)chosen)] : Array.Empty<long>();

        // What the model itself predicts is known only behind the last layer.
        targets = targets.Length > 0 ? targets : Over(rows - count)[3].select(1, 0).Copied<long>();
        Tensor[] all = [.. Over(0).Select(values => values.unflatten(0, config.LayerCount, count).contiguous())];
        progress?.Report(new("reading layers", config.LayerCount, config.LayerCount, "layers"));
        scope.MoveToOuter(all);
        GC.KeepAlive(model);
        return new(
            model.Name, [.. prompt.Select(model.TextOf)], [.. targets.Select(token => model.TextOf((int)token))], all[0], all[1], all[2], all[3], all[4],
            all[3].Copied<int>().Distinct().ToDictionary(token => token, model.TextOf));

        Tensor[] Over(int from)
        {
            var parts = new List<Tensor[]>();
            for (var first = from; first < rows; first += RowsAtOnce)
            {
                cancellationToken.ThrowIfCancellationRequested();
                progress?.Report(new("reading layers", targets.Length > 0 ? first / count : 0, config.LayerCount, "layers"));
                parts.Add(Read(first, Math.Min(RowsAtOnce, rows - first)));
            }

            return [.. parts[0].Select((_, i) => cat([.. parts.Select(part => part[i])]))];
        }

        // Logit, probability and rank of the targets, [row], top tokens and their probabilities, [row, k].
        Tensor[] Read(int first, int length)
        {
            using var part = NewDisposeScope();
            var logits = net.Unembedding.ForwardByRows(net.LnFinal.Forward(x.narrow(0, first, length), default)).to(float32);
            var normalizer = logits.logsumexp(1, keepdim: true);
            var bad = Array.FindIndex(normalizer.Copied<float>(), number => !float.IsFinite(number));
            Fault.InvalidDataIf(bad >= 0, $"The logits of '{model.Name}' after layer {(first + bad) / count} are not finite; a weight is damaged, or its dtype is too narrow.");
            var numbers = logits.Copied<float>();
            var best = tensor(
                [.. numbers.Chunk(config.VocabularySize).SelectMany(row => TopK.Indices(row, top)).Select(token => (long)token)], [length, top], device: model.Device);
            var wanted = targets.Length == 0 ? best.narrow(1, 0, 1)
                : tensor([.. Enumerable.Range(first, length).Select(row => targets[row % count])], [length, 1], device: model.Device);
            var logit = logits.gather(1, wanted);
            Tensor[] read =
            [
                logit.squeeze(1), logit.sub(normalizer).exp().squeeze(1), logits.gt(logit).sum([1L]).add(Scalars.One, Scalars.One), best, logits.gather(1, best).sub(normalizer).exp(),
            ];
            part.MoveToOuter(read);
            return read;
        }
    }

    /// <summary>The result as CSV: the columns of <see cref="Table"/>.</summary>
    public string ToCsv() => Table.ToCsv();

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"logit lens of {Model}: {Logits.shape[0]} layers, {Tokens.Count} tokens, top {TopTokens.shape[2]}");
}
