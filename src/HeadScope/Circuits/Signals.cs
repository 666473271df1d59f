namespace HeadScope;

/// <summary>All firings of a model's heads over some prompts, each with the sparse set of singular directions that makes it (Franco &amp; Crovella,
/// arXiv 2410.00340, sections 3 and 4).</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Prompts">The prompts.</param>
/// <param name="PatternThreshold">The least attention of a firing.</param>
/// <param name="HeadWidth">The number of directions that a head has.</param>
/// <param name="Firings">The firings, by prompt, layer, head, destination and source. Heads of layer 0, which have no upstream, and
/// source 0, where heads rest, are left out.</param>
/// <param name="TokenTexts">The text of each token of the prompts; empty for a model without tokenizer.</param>
public sealed record Signals(
    string Model, PromptSet Prompts, double PatternThreshold, int HeadWidth, IReadOnlyList<Firing> Firings,
    IReadOnlyDictionary<int, string> TokenTexts)
{
    /// <summary>The firings as a table: prompt, head, destination, source, destination_role, source_role, destination_token, source_token,
    /// pattern, score, remainder, directions and contributions (several in one field, with spaces between).</summary>
    public DataFrame Table => ResultTable.Of(Firings, f => new
    {
        prompt = f.Prompt, head = f.Head, destination = f.Destination, source = f.Source,
        destination_role = RoleAt(f, f.Destination), source_role = RoleAt(f, f.Source),
        destination_token = TextAt(f, f.Destination), source_token = TextAt(f, f.Source), pattern = f.Pattern, score = f.Score, remainder = f.Remainder,
        directions = string.Join(' ', f.Directions), contributions = string.Join(' ', f.Contributions.Select(c => c.ToString(CultureInfo.InvariantCulture))),
    });

    /// <summary>Finds the firings: <c>Signals.Find(model, Ioi.Prompts(64))</c>.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts.</param>
    /// <param name="patternThreshold">The least attention of a firing, from the destination to the source. The paper's value is 0.5.</param>
    /// <param name="batchSize">How many prompts run through the model at once; bounds the memory, changes no result.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The firings.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound, or cannot be drawn; the threshold is no number.</exception>
    /// <exception cref="InvalidDataException">A weight is not finite.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Signals Find(
        Model model, PromptSet prompts, double patternThreshold = 0.5, int batchSize = 32, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        TraceOptions.RequireThreshold(patternThreshold);
        var (set, firings) = (prompts.SoundFor(model), new List<Firing>());
        ForEachLayer("finding signals", model, set, patternThreshold, batchSize, progress, cancellationToken, (_, signals) =>
            firings.AddRange(signals.Firings()));
        var texts = model.HasTokenizer
            ? set.Prompts.SelectMany(p => p.Tokens).Distinct().ToDictionary(id => id, model.Tokenizer.TokenText)
            : [];
        return new(model.Name, set, patternThreshold, model.Config.HeadWidth, [.. firings.OrderBy(f => f.Prompt)], texts);
    }

    /// <summary>What characterises each head that fires (arXiv 2410.00340, section 4).</summary>
    /// <param name="tokens">How many tokens to name for each side.</param>
    /// <returns>By layer and head: head, firings; mean_directions, deviation_directions and median_directions of the sparse sets; and of
    /// the direction that is in most of them direction (from 0 by falling singular value), share (of the firings), mean_contribution (the
    /// mean share of the score that it makes there), destination_tokens and source_tokens (those it fires at, most frequent first, with
    /// their number).</returns>
    public DataFrame ByHead(int tokens = 5)
    {
        return ResultTable.Of(Firings.GroupBy(f => f.Head).OrderBy(g => g.Key), head =>
        {
            var sizes = head.Select(f => f.Directions.Count).Order().ToArray();
            var use = head.SelectMany(f => f.Directions.Zip(f.Contributions, (k, c) => (Direction: k, Share: c / f.Score, Firing: f)))
                .GroupBy(use => use.Direction).OrderByDescending(use => use.Count()).ThenBy(use => use.Key).First().ToArray();
            return new
            {
                head = head.Key, firings = sizes.Length, mean_directions = sizes.Average(),
                deviation_directions = Math.Sqrt(sizes.Average(n => Math.Pow(n - sizes.Average(), 2))), median_directions = sizes[(sizes.Length - 1) / 2],
                direction = use[0].Direction, share = (double)use.Length / sizes.Length, mean_contribution = use.Average(u => u.Share),
                destination_tokens = Tokens(use.Select(u => TextAt(u.Firing, u.Firing.Destination))),
                source_tokens = Tokens(use.Select(u => TextAt(u.Firing, u.Firing.Source))),
            };
        });

        string Tokens(IEnumerable<string> texts) => string.Join(
            ", ",
            texts.GroupBy(t => t, StringComparer.Ordinal).OrderByDescending(g => g.Count()).ThenBy(g => g.Key, StringComparer.Ordinal).Take(tokens)
                .Select(g => string.Create(CultureInfo.InvariantCulture, $"\"{g.Key}\" ({g.Count()})")));
    }

    /// <summary>Whether few singular directions of a head make more of its scores than directions would by chance: the mean share of the score that n
    /// contributions reach, for the n greatest in the singular basis, for n of the head's directions drawn at random, and for the n greatest in a
    /// random basis of the same form. That basis turns both sides alike: r = Σ_k (√s_k a_k)(√s_k b_k) = (Qα)·(Qβ) for any orthogonal Q, so its
    /// contributions add up to the same score and only their concentration differs.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="seed">The seed of the random directions and bases.</param>
    /// <param name="batchSize">How many prompts run through the model at once.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>By layer, head and n from 0 to d_head: head, firings (with a positive score), directions (n), singular, random_directions,
    /// random_basis (the shares; the first exceeds 1 before the negative contributions take it back), sparse_size and random_sparse_size (the
    /// mean size of the sparse set in the singular and in the random basis).</returns>
    /// <exception cref="ArgumentException">It is another model than that of the firings.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public DataFrame LowRank(
        Model model, int seed = 0, int batchSize = 32, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        Fault.ArgumentIf(
            model.Name != Model || model.Config.HeadWidth != HeadWidth,
            $"The firings are of {Model}, whose heads have {HeadWidth} directions; found {model.Name} with {model.Config.HeadWidth}.");
        var checks = new SortedDictionary<Head, (Random Random, double[] Sums)>();
        ForEachLayer("checking", model, Prompts.SoundFor(model), PatternThreshold, batchSize, progress, cancellationToken, (layer, signals) =>
        {
            foreach (var (index, places) in signals.PositiveByHead())
            {
                // A seed of its own for each head, so that no head's draws depend on another's firings, nor on how the prompts are batched.
                var head = new Head(layer, index);
                checks.TryAdd(head, (new(unchecked((seed * 1_000_003) + (layer * 1009) + index)), new double[6 * (HeadWidth + 1)]));
                foreach (var (i, sum) in LowRankSums(signals, places, checks[head].Random).Index())
                {
                    checks[head].Sums[i] += sum;
                }
            }
        });
        return ResultTable.Of(
            checks.SelectMany(check => Enumerable.Range(0, HeadWidth + 1), (check, n) => (
                Head: check.Key, N: n, Sums: check.Value.Sums.Chunk(HeadWidth + 1).Select(sum => sum[n]).ToArray())),
            row => new
            {
                head = row.Head, firings = (int)row.Sums[0], directions = row.N, singular = row.Sums[1] / row.Sums[0],
                random_directions = row.Sums[2] / row.Sums[0], random_basis = row.Sums[3] / row.Sums[0],
                sparse_size = row.Sums[4] / row.Sums[0], random_sparse_size = row.Sums[5] / row.Sums[0],
            });
    }

    /// <summary>The firings as CSV: the columns of <see cref="Table"/>.</summary>
    public string ToCsv() => Table.ToCsv();

    /// <summary>The firings as JSON.</summary>
    /// <returns>An object with model, prompts and <c>firings</c>; each with prompt, head, positions, roles, tokens, pattern, score,
    /// directions, contributions, signs, magnitudes and remainder.</returns>
    public string ToJson() => ResultJson.Write("headscope-signals", new
    {
        model = Model, prompts = Prompts.Name, promptCount = Prompts.Count, patternThreshold = PatternThreshold,
        firings = Firings.Select(f => new
        {
            prompt = f.Prompt, layer = f.Head.Layer, head = f.Head.Index, dest = f.Destination, src = f.Source,
            dest_role = RoleAt(f, f.Destination), src_role = RoleAt(f, f.Source), dest_token = TextAt(f, f.Destination), src_token = TextAt(f, f.Source),
            pattern = f.Pattern, score = f.Score, remainder = f.Remainder,
            directions = f.Directions, contributions = f.Contributions, signs = f.Signs, magnitudes = f.Magnitudes,
        }),
    });

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Prompts.Name} on {Model}: {Firings.Count} firings of {Firings.Select(f => f.Head).Distinct().Count()} heads in {Prompts.Count} prompts";

    // Sums over firings of one head, of all that LowRank's table holds: [sum, number of directions]; the first counts the firings.
    private static double[] LowRankSums(LayerSignals signals, Tensor places, Random random)
    {
        using var scope = NewDisposeScope();
        var (contributions, root) = (signals.Contributions.index_select(0, places), signals.SingularValues.index_select(0, places).sqrt());
        var (alpha, beta) = (signals.Destinations.index_select(0, places).mul(root), signals.Sources.index_select(0, places).mul(root));
        var (n, rank) = ((int)root.shape[0], (int)root.shape[1]);
        var drawn = tensor([.. Enumerable.Range(0, n * rank * (rank + 1)).Select(_ => random.Normal())], [n, rank, rank + 1], device: places.device);

        // The orthogonal factor of a matrix of normal numbers is uniformly random, up to signs, which change no product.
        var (turn, _) = linalg.qr(drawn.narrow(2, 0, rank));
        var turned = alpha.unsqueeze(1).bmm(turn).mul(beta.unsqueeze(1).bmm(turn)).squeeze(1);
        var shuffled = contributions.gather(1, drawn.select(2, rank).argsort(1));
        return stack(
        [
            full([rank + 1], Scalars.Of(n), float64, turned.device), Shares(Falling(contributions)), Shares(shuffled), Shares(Falling(turned)),
            Size(contributions), Size(turned),
        ]).Copied<double>();

        Tensor Shares(Tensor x) => nn.functional.pad(x.cumsum(1).div(contributions.sum([1], keepdim: true)).sum([0]), [1, 0]);

        static Tensor Falling(Tensor x) => x.sort(1, descending: true).Values;

        Tensor Size(Tensor x) => SparseSets.Of(x).Sizes.to(float64).sum([0], keepdim: true).expand(rank + 1);
    }

    // Decomposes all firings, layer by layer; the body gets the layer and the signals.
    private static void ForEachLayer(
        string what, Model model, PromptSet prompts, double threshold, int batchSize, IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken, Action<int, LayerSignals> body)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        using var folded = new FoldedModel(model);
        foreach (var pass in PromptPass.Over(prompts, folded, batchSize, what, progress, cancellationToken))
        {
            for (var layer = 1; layer < model.Config.LayerCount; layer++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var inner = NewDisposeScope();
                if (pass.Firings(layer, threshold) is { Length: > 0 } places)
                {
                    body(layer, new(pass, layer, places));
                }
            }
        }
    }

    private string? RoleAt(Firing firing, int position) => Prompts.Prompts[firing.Prompt].RoleAt(position);

    private string TextAt(Firing firing, int position) =>
        Prompts.Prompts[firing.Prompt].Tokens[position] is var token && TokenTexts.TryGetValue(token, out var text) ? text : $"{token}";
}
