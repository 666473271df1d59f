namespace HeadScope;

/// <summary>Finds the firings in a part of the prompts and the signal of each (arXiv 2410.00340, sections 3 and 4).</summary>
internal static class FiringFinder
{
    /// <summary>The firings of all heads above the first layer, or of some, by prompt, layer, head, destination and source.</summary>
    public static List<Firing> Find(
        Model model,
        CircuitActivations activations,
        OmegaCache omegas,
        SignalOptions options,
        IReadOnlySet<Head>? ofHeads,
        CancellationToken cancellationToken)
    {
        Head[] heads = [.. model.Heads.Where(h => h.Layer >= 1 && ofHeads?.Contains(h) != false)];
        var found = new List<Firing>[heads.Length];
        Parallelism.For(heads.Length, i => found[i] = OfHead(heads[i], activations, omegas, options), cancellationToken);
        return [.. found.SelectMany(f => f).OrderBy(f => f.Prompt).ThenBy(f => f.Head).ThenBy(f => f.Destination).ThenBy(f => f.Source)];
    }

    private static List<Firing> OfHead(Head head, CircuitActivations activations, OmegaCache omegas, SignalOptions options)
    {
        var pairs = Attended(head, activations, options);
        if (pairs.Count == 0)
        {
            return [];
        }

        var factors = omegas.FactorsOf(head);
        var destinations = Tokens(SignalSide.Destination, pairs.Select(p => (p.Prompt, p.Destination)));
        var sources = Tokens(SignalSide.Source, pairs.Select(p => (p.Prompt, p.Source)));
        var firings = new List<Firing>(pairs.Count);
        foreach (var (prompt, destination, source) in pairs)
        {
            var core = omegas.Between(head, destination, source);
            var (contributions, a) = core.Contributions(destinations((prompt, destination)), sources((prompt, source)));
            var signal = SparseSet.Of(contributions);
            // A negative score can still win a softmax, but there is no signal to follow.
            if (signal.Score >= 0)
            {
                firings.Add(new Firing(
                    activations.FirstPrompt + prompt,
                    head,
                    destination,
                    source,
                    activations.Pattern(head, prompt, destination)[source],
                    signal,
                    [.. signal.Directions.Select(k => Math.Sign(a[k]))],
                    [.. signal.Directions.Select(k => Math.Sqrt(core.SingularValues[k]))]));
            }
        }

        return firings;

        // Each token once, in the basis of the side.
        Func<(int Prompt, int Position), ArraySegment<float>> Tokens(SignalSide side, IEnumerable<(int Prompt, int Position)> tokens)
        {
            var rows = new Dictionary<(int Prompt, int Position), int>();
            foreach (var token in tokens)
            {
                rows.TryAdd(token, rows.Count);
            }

            var d = activations.ModelWidth;
            var normalized = new float[rows.Count * d];
            foreach (var ((prompt, position), row) in rows)
            {
                activations.Normalized(head.Layer, prompt, position).CopyTo(normalized.AsSpan(row * d));
            }

            var inBasis = factors.ToBasis(side, new ReadOnlyMatrix(normalized, rows.Count, d));
            var width = inBasis.Length / rows.Count;
            return token => new(inBasis, rows[token] * width, width);
        }
    }

    private static List<(int Prompt, int Destination, int Source)> Attended(Head head, CircuitActivations activations, SignalOptions options)
    {
        var pairs = new List<(int Prompt, int Destination, int Source)>();
        for (var p = 0; p < activations.Prompts.Count; p++)
        {
            for (var i = 1; i < activations.Prompts[p].Tokens.Count; i++)
            {
                var pattern = activations.Pattern(head, p, i);
                for (var j = 1; j <= i; j++)
                {
                    if (pattern[j] >= options.PatternThreshold)
                    {
                        pairs.Add((p, i, j));
                    }
                }
            }
        }

        return pairs;
    }
}
