namespace HeadScope;

/// <summary>The scores at some places of one layer, decomposed: what each direction contributes, the sparse set that makes the score, and the signal
/// of each side, U_S = Σ_{k in S} sign(a_k) √s_k u_k (V_S with v_k on the source side; arXiv 2410.00340, sections 4 and 5). Lives in the dispose
/// scope that was open at its making.</summary>
internal sealed class LayerSignals
{
    private const long GatheredAtOnce = 1L << 18;
    private readonly PromptPass pass;
    private readonly int layer;
    private readonly IReadOnlyList<Place> places;
    private readonly (OmegaCore Core, Tensor At)[] groups;
    private readonly Tensor back;

    /// <param name="pass">The pass.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="places">Its places; at least one.</param>
    public LayerSignals(PromptPass pass, int layer, IReadOnlyList<Place> places)
    {
        (this.pass, this.layer, this.places) = (pass, layer, places);
        var ofPlaces = pass.Folded.Between(layer, places);
        var order = Enumerable.Range(0, places.Count).GroupBy(n => ofPlaces[n]).Select(g => (Core: g.Key, At: g.ToArray())).ToArray();
        var inverse = new long[places.Count];
        foreach (var (place, row) in order.SelectMany(g => g.At).Select((place, row) => (place, row)))
        {
            inverse[place] = row;
        }

        groups = Array.ConvertAll(order, g => (g.Core, pass.Indices(g.At.Select(n => (long)n))));
        back = pass.Indices(inverse);
        var x = pass.Normalized(layer);
        var (destinations, sources) = (pass.Rows(places, SignalSide.Destination), pass.Rows(places, SignalSide.Source));
        Destinations = Project(SignalSide.Destination, x.index_select(0, destinations));
        Sources = Project(SignalSide.Source, x.index_select(0, sources));
        SingularValues = ByCore((core, at) => core.S.unsqueeze(0).expand(at.shape[0], -1));
        Contributions = Destinations.mul(Sources).mul(SingularValues);
        Sets = SparseSets.Of(Contributions);
    }

    /// <summary>a_k = u_k · x̃_i, [place, direction], fp64.</summary>
    public Tensor Destinations { get; }

    /// <summary>b_k = v_k · x̃_j, [place, direction].</summary>
    public Tensor Sources { get; }

    /// <summary>s_k, [place, direction].</summary>
    public Tensor SingularValues { get; }

    /// <summary>c_k, [place, direction].</summary>
    public Tensor Contributions { get; }

    public SparseSets Sets { get; }

    /// <summary>u_k · x (v_k · x on the source side) of a vector for each place, [place, d] to [place, direction].</summary>
    public Tensor Project(SignalSide side, Tensor x, bool withConstant = true) =>
        ByCore((core, at) => core.Project(side, x.index_select(0, at), withConstant));

    /// <summary>Σ_k a_k u_k (v_k on the source side) for each place, [place, direction] to [place, d] or [place, d + 1].</summary>
    public Tensor Combine(SignalSide side, Tensor amounts) => ByCore((core, at) => core.Combine(side, amounts.index_select(0, at)));

    /// <summary>The signals of one side, [place, d] or [place, d + 1], fp64.</summary>
    public Tensor Signals(SignalSide side) => Combine(side, Destinations.sign().mul(SingularValues.sqrt()).mul(Sets.Members));

    /// <summary>What each component adds to the signals of one side, w · o / σ for what it wrote at the token that is read; and the last entry of the
    /// signal, which meets the constant 1.</summary>
    /// <param name="side">The side.</param>
    /// <param name="written">What the components wrote, [row, component, d].</param>
    /// <param name="firstRow">The row of the pass that is the first there.</param>
    /// <returns>Parts [place, component] and constants [place], fp64, and σ [place].</returns>
    public (Tensor Parts, Tensor Constants, Tensor Scales) Upstream(SignalSide side, Tensor written, long firstRow)
    {
        var (signals, rows, d) = (Signals(side), pass.Rows(places, side), written.shape[2]);
        var scales = pass.Scale(layer).index_select(0, rows).to(float64);
        var weights = signals.narrow(1, 0, d).div(scales.unsqueeze(1)).to(written.dtype);
        var constants = signals.shape[1] > d ? signals.select(1, d) : zeros_like(scales);
        return (Products(written, rows.sub(pass.Indices([firstRow])), weights).to(float64), constants, scales);
    }

    /// <summary>The places as firings.</summary>
    public IEnumerable<Firing> Firings()
    {
        using var scope = NewDisposeScope();
        var (order, sizes, solved) = (Sets.Order.Copied<int>(), Sets.Sizes.Copied<int>(), Sets.Solved.Copied<bool>());
        var (scores, margins, all) = (Sets.Scores.Copied<double>(), Sets.Margins.Copied<double>(), Contributions.Copied<double>());
        var (signs, magnitudes, rank) = (Destinations.sign().Copied<int>(), SingularValues.sqrt().Copied<double>(), (int)Contributions.shape[1]);
        var patterns = pass.At(pass.Pattern(layer), places).Copied<float>();
        return [.. places.Select((p, n) =>
        {
            int[] chosen = [.. order.AsSpan(n * rank, sizes[n])];
            return new Firing(
                pass.First + p.Prompt,
                new(layer, p.Head),
                p.Destination,
                p.Source,
                patterns[n],
                scores[n],
                chosen,
                [.. chosen.Select(k => all[(n * rank) + k])],
                [.. chosen.Select(k => signs[(n * rank) + k])],
                [.. chosen.Select(k => magnitudes[(n * rank) + k])],
                margins[n],
                solved[n]);
        })];
    }

    /// <summary>The places of each head with a positive score, as indices.</summary>
    public IEnumerable<(int Head, Tensor At)> PositiveByHead()
    {
        var scores = Sets.Scores.Copied<double>();
        return places.Select((p, n) => (p.Head, At: (long)n)).Where(p => scores[p.At] > 0).GroupBy(p => p.Head, p => p.At).Select(g => (g.Key, pass.Indices(g)));
    }

    // Each place's weights with every vector at its row, [place, component].
    private static Tensor Products(Tensor written, Tensor rows, Tensor weights)
    {
        var atOnce = Math.Max(1, GatheredAtOnce / (written.shape[1] * written.shape[2]));
        var parts = new List<Tensor>();
        for (var first = 0L; first < rows.shape[0]; first += atOnce)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(atOnce, rows.shape[0] - first);
            var at = written.index_select(0, rows.narrow(0, first, count));
            parts.Add(at.bmm(weights.narrow(0, first, count).unsqueeze(2)).squeeze(2).MoveToOuterDisposeScope());
        }

        return cat(parts);
    }

    // One product for all places with the same decomposition, put back into their order.
    private Tensor ByCore(Func<OmegaCore, Tensor, Tensor> rows)
    {
        using var scope = NewDisposeScope();
        return cat([.. groups.Select(g => rows(g.Core, g.At))]).index_select(0, back).MoveToOuterDisposeScope();
    }
}
