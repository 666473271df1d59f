namespace HeadScope;

/// <summary>Who wrote a signal: for one side of a firing, what every earlier component adds to U_S · x̃, the projection of the normalised residual
/// onto the signal U_S = Σ_{k in S} sign(a_k) √s_k u_k (V_S with v_k on the source side). The parts sum to the whole (arXiv 2410.00340, section 5;
/// the published numbers add the constant, divided by the scale, to every head instead).</summary>
/// <param name="Firing">The firing.</param>
/// <param name="Side">The side.</param>
/// <param name="Scale">What the normalised residual was divided by there; each part but the constant holds the division.</param>
/// <param name="Components">The components: <c>embedding</c>, <c>position</c>, heads as <c>3.5</c>, <c>b_O 3</c>, <c>mlp 3</c>, and <c>constant</c>, the
/// biases of the receiving head, where it has some.</param>
/// <param name="Parts">The part of each component, [component], fp64.</param>
/// <param name="PerSourceToken">How the part of each head splits over the tokens up to the firing's that it read, [layer, head, token], fp64;
/// sums to the part.</param>
public sealed record Upstream(
    Firing Firing, SignalSide Side, double Scale, IReadOnlyList<string> Components, Tensor Parts, Tensor PerSourceToken)
{
    /// <summary>The token at which the signal is read.</summary>
    public int Position => Side == SignalSide.Source ? Firing.Source : Firing.Destination;

    /// <summary>The parts as a table: component, part.</summary>
    public DataFrame Table => new(new StringDataFrameColumn("component", Components), new DoubleDataFrameColumn("part", Parts.Copied<double>()));

    /// <summary>The sum of all parts: U_S · x̃.</summary>
    public double Total => Parts.Copied<double>().Sum();

    /// <summary>The part of one component.</summary>
    /// <param name="component">Its name.</param>
    /// <exception cref="KeyNotFoundException">There is no such component below the firing.</exception>
    public double this[string component]
    {
        get
        {
            var at = Components.TakeWhile(name => name != component).Count();
            return at < Components.Count
                ? Parts.Copied<double>()[at]
                : throw new KeyNotFoundException($"'{component}' is no component below head {Firing.Head}; there are {string.Join(", ", Components)}.");
        }
    }

    /// <summary>Decomposes the signals of firings, on both sides, over all earlier components: each head also by the token it read, each
    /// MLP, the embeddings and the biases.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts in which the heads fired.</param>
    /// <param name="firings">The firings, as <see cref="Signals.Find"/> found them.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>Both sides of each firing, in order.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound, or a firing is not of these prompts or this model.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static IReadOnlyList<(Upstream Source, Upstream Destination)> Of(
        Model model, PromptSet prompts, IReadOnlyList<Firing> firings, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(firings);
        var set = prompts.SoundFor(model);
        foreach (var firing in firings)
        {
            model.AttentionOf(firing.Head);
            Fault.ArgumentIf(
                firing.Prompt < 0 || firing.Prompt >= set.Count || firing.Head.Layer < 1 || firing.Source < 0 || firing.Source > firing.Destination
                    || firing.Destination >= set.Prompts[firing.Prompt].Tokens.Count,
                $"Head {firing.Head} firing at token {firing.Destination} of prompt {firing.Prompt} is not of these prompts and this model.");
        }

        using var folded = new FoldedModel(model);
        using var scope = NewDisposeScope();
        var upstream = new (Upstream Source, Upstream Destination)[firings.Count];
        foreach (var ofPrompt in firings.Index().GroupBy(f => f.Item.Prompt))
        {
            using var inner = NewDisposeScope();
            var pass = new PromptPass(folded, set, ofPrompt.Key, 1, cancellationToken);
            var written = pass.WrittenBelow(ofPrompt.Max(f => f.Item.Head.Layer), 0, 1);
            foreach (var ofLayer in ofPrompt.GroupBy(f => f.Item.Head.Layer))
            {
                Firing[] those = [.. ofLayer.Select(f => f.Item)];
                var signals = new LayerSignals(pass, ofLayer.Key, Array.ConvertAll(those, f => new Place(0, f.Head.Index, f.Destination, f.Source)));
                var both = OfLayer(pass, signals, written, those, SignalSide.Source).Zip(OfLayer(pass, signals, written, those, SignalSide.Destination));
                foreach (var (firing, found) in ofLayer.Zip(both))
                {
                    upstream[firing.Index] = found;
                }
            }
        }

        var tensors = upstream.SelectMany(u => new[] { u.Source.Parts, u.Source.PerSourceToken, u.Destination.Parts, u.Destination.PerSourceToken });
        scope.MoveToOuter(scope.Attach(tensors));
        return upstream;
    }

    // Results are detached from scopes.
    private static Upstream[] OfLayer(PromptPass pass, LayerSignals signals, Tensor written, Firing[] firings, SignalSide side)
    {
        var (layer, blocks) = (firings[0].Head.Layer, pass.Folded.Model.Net.Blocks);
        var names = Component.Below(layer, pass.Folded.Model).Select(c => c.ToString()).ToArray();
        var (parts, constants, scales) = signals.Upstream(side, written.narrow(1, 0, names.Length), 0);
        if (pass.Folded.HasConstant(layer))
        {
            names = [.. names, new Component(ComponentKind.Constant).ToString()];
            parts = cat([parts, constants.unsqueeze(1)], 1);
        }

        // w · W_Oᵀ v(s) = (W_O w) · v(s): by layer, [head, d_head, firing].
        var weights = signals.Signals(side).narrow(1, 0, written.shape[2]).div(scales.unsqueeze(1)).to(written.dtype);
        var read = Enumerable.Range(0, layer).Select(m => blocks[m].Attention.W_O.to(written.dtype).matmul(weights.t())).ToArray();
        var scale = scales.Copied<double>();
        return [.. firings.Select((firing, n) =>
        {
            using var scope = NewDisposeScope();
            var position = side == SignalSide.Source ? firing.Source : firing.Destination;
            var perToken = stack([.. read.Select((r, m) => pass.Mixed(m, 0, position).matmul(r.select(2, n).unsqueeze(2)).squeeze(2))]);
            return new Upstream(
                firing, side, scale[n], names, parts[n].clone().DetachFromDisposeScope(),
                perToken.narrow(2, 0, position + 1).to(float64).DetachFromDisposeScope());
        })];
    }
}
