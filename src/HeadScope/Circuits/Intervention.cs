using Spread = (double Mean, double StandardDeviation);

namespace HeadScope;

/// <summary>What changing the signals of a circuit does (Franco &amp; Crovella, arXiv 2410.00340, section 6). In all tensors state 0 is before, 1
/// after the change, 2 with the control; fp64, on the model's device.</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Edges">The edges, all changed in one pass.</param>
/// <param name="Factor">What their signals were multiplied by.</param>
/// <param name="Local">Whether the receivers alone saw it.</param>
/// <param name="LogitDifferences">The logit of the answer minus that of the distractor at the last token, [state, prompt]; NaN for prompts
/// without.</param>
/// <param name="Scores">The attention score of each receiver between the two roles, scaled (divided by √d_head), [state, prompt, edge].</param>
/// <param name="NormRatios">The norm of the changed vector, relative to the unchanged one, [state, prompt, edge]: globally what the sender's layer
/// wrote, locally the normalised residual that the receiver reads. 1 where nothing was changed.</param>
/// <param name="Cosines">The cosine between the changed vector and the unchanged one, [state, prompt, edge].</param>
/// <param name="ChangeNorms">The norm of the change, [state, prompt, edge]; 0 where the head does not fire.</param>
/// <param name="Fired">Whether the receiver fires between the two roles, bool, [prompt, edge]; elsewhere a prompt is left as it is.</param>
public sealed partial record Intervention(
    string Model, IReadOnlyList<CircuitEdge> Edges, double Factor, bool Local, Tensor LogitDifferences, Tensor Scores, Tensor NormRatios,
    Tensor Cosines, Tensor ChangeNorms, Tensor Fired)
{
    private const int Before = 0, After = 1, Control = 2;
    private static readonly string[] States = ["before", "after", "control"];

    /// <summary>The prompts in which a receiver fires, and something was changed.</summary>
    public IReadOnlyList<int> Changed
    {
        get
        {
            using var scope = NewDisposeScope();
            return Fired.any(1).nonzero().Copied<int>();
        }
    }

    /// <summary>A line for each prompt and edge: prompt, edge, changed, and for before, after and control each logit_difference and score; after
    /// and control also with norm_ratio, cosine and change_norm.</summary>
    public DataFrame Table
    {
        get
        {
            var (edges, rows) = (Edges.Count, Enumerable.Range(0, (int)Fired.shape[0] * Edges.Count).ToArray());
            var norms = ChangeNorms.Copied<double>();
            using var scope = NewDisposeScope();
            (string Name, Tensor Values, string[] States)[] numbers =
            [
                ("logit_difference", LogitDifferences.unsqueeze(2).expand_as(Scores), States), ("score", Scores, States), ("norm_ratio", NormRatios, States[1..]),
                ("cosine", Cosines, States[1..]), ("change_norm", ChangeNorms, States[1..]),
            ];
            return new(
            [
                new Int32DataFrameColumn("prompt", rows.Select(r => r / edges)),
                new StringDataFrameColumn("edge", rows.Select(r => Edges[r % edges].ToString())),
                new BooleanDataFrameColumn("changed", rows.Select(r => norms[(After * rows.Length) + r] > 0)),
                .. numbers.SelectMany(n => n.States.Select(state => new DoubleDataFrameColumn(
                    $"{n.Name}_{state}", n.Values[Array.IndexOf(States, state)].Copied<double>()))),
            ]);
        }
    }

    /// <summary>Changes the signals of some edges, all together, and measures what becomes of scores and answers. For each edge and prompt in which the
    /// receiver fires between the two roles:
    /// 1. what the sender wrote at the token is projected onto the span of the firing's sparse set (u_k on the destination side, v_k on the
    /// source side);
    /// 2. that projection is removed, boosted or scaled, for all that read it or for the receiver alone;
    /// 3. as a control the same is done with as many other directions of the head, drawn at random, and a change of the same norm.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts.</param>
    /// <param name="edges">The edges; of a trace those with roles, <c>circuit.Top(n, withRoles: true)</c>.</param>
    /// <param name="factor">What the signal is multiplied by: 0 removes it, 2 boosts it as the paper does, 1 leaves it.</param>
    /// <param name="local">Whether the receiving head alone sees the change; else all behind the sender do. A change on the destination side reaches
    /// the head's query, on the source side its key, and nothing else: the score changes by exactly what the signal made of it.</param>
    /// <param name="published">The authors' settings: the constant 1 is part of what is projected, a local change reaches query, key and value
    /// of the head, and the control is as large as its directions happen to make it.</param>
    /// <param name="seed">The seed of the random directions of the control.</param>
    /// <param name="patternThreshold">The least attention of a firing.</param>
    /// <param name="batchSize">How many prompts run at once; bounds the memory, changes no result.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>Before, after and control for each prompt and edge.</returns>
    /// <exception cref="ArgumentException">There are no edges; the prompts have no such role; the model has no such head above the sender;
    /// the sender writes nothing that could be changed; the factor or the threshold is no number.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Intervention Run(
        Model model, PromptSet prompts, IReadOnlyList<CircuitEdge> edges, double factor = 0, bool local = false, bool published = false,
        int seed = 0, double patternThreshold = 0.5, int batchSize = 32, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var random = new Random(seed);
        return RunWith(model, prompts, edges, new(factor, local, published, patternThreshold, batchSize), Draw, progress, cancellationToken);

        IEnumerable<int> Draw(Firing firing, int rank)
        {
            int[] others = [.. Enumerable.Range(0, rank).Except(firing.Directions)];
            random.Shuffle(others);
            return others.Take(firing.Directions.Count);
        }
    }

    /// <summary>The logit difference over the changed prompts.</summary>
    /// <returns>Mean and standard deviation (of the sample; NaN for fewer than two) before, after, and with the control.</returns>
    public (Spread Before, Spread After, Spread Control) LogitDifference()
    {
        using var scope = NewDisposeScope();
        return Spreads(LogitDifferences, Fired.any(1));
    }

    /// <summary>The scaled attention score at one edge, over the prompts in which its receiver fires.</summary>
    /// <param name="edge">The edge, counted from 0.</param>
    /// <returns>Mean and standard deviation before, after, and with the control.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such edge.</exception>
    public (Spread Before, Spread After, Spread Control) Score(int edge)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(edge);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(edge, Edges.Count);
        using var scope = NewDisposeScope();
        return Spreads(Scores.select(2, edge), ChangeNorms[After].select(1, edge).gt(Scalars.Of(0)));
    }

    /// <summary>The result as CSV: the columns of <see cref="Table"/>.</summary>
    public string ToCsv() => Table.ToCsv();

    /// <inheritdoc/>
    public override string ToString()
    {
        var (before, after, control) = LogitDifference();
        return $"{Edges.Count} edges of {Model}, {Changed.Count} of {Fired.shape[0]} prompts changed: logit difference {Text(before)}, "
            + $"after {Text(after)}, control {Text(control)}";

        static string Text(Spread spread) => string.Create(CultureInfo.InvariantCulture, $"{spread.Mean:0.###} ± {spread.StandardDeviation:0.###}");
    }

    // Of values [state, prompt], over the prompts chosen, bool, [prompt].
    private static (Spread Before, Spread After, Spread Control) Spreads(Tensor values, Tensor chosen)
    {
        var sample = values.index_select(1, chosen.nonzero().squeeze(1));
        var (count, centred) = (sample.shape[1], sample.sub(sample.mean([1], keepdim: true)));
        var (means, variances) = (sample.mean([1]).Copied<double>(), centred.mul(centred).mean([1]).Copied<double>());
        return (Of(Before), Of(After), Of(Control));

        Spread Of(int state) => (means[state], Math.Sqrt(variances[state] * count / (count - 1)));
    }
}
