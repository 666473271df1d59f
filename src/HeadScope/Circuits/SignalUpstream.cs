namespace HeadScope;

/// <summary>Who wrote the signal of a firing, on both sides of its score.</summary>
/// <param name="Firing">The firing.</param>
/// <param name="Source">On the source side.</param>
/// <param name="Destination">On the destination side.</param>
public sealed record SignalUpstream(Firing Firing, Upstream Source, Upstream Destination)
{
    /// <summary>Decomposes the signals of firings over all earlier components: each head also by the token it read, each MLP, the
    /// embeddings and the biases. The parts add up to the signal.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts in which the heads fired.</param>
    /// <param name="firings">The firings, as <see cref="Signals.Find(Model, PromptSet, SignalOptions?, IProgress{WorkProgress}?, CancellationToken)"/> found them.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>One for each firing, in order.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound, or a firing is not of these prompts or this model.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static IReadOnlyList<SignalUpstream> Of(
        Model model, PromptSet prompts, IReadOnlyList<Firing> firings, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(firings);
        prompts.RequireSound(model.Config.ContextLength, model.Config.VocabularySize);
        foreach (var firing in firings)
        {
            if (firing.Prompt < 0 || firing.Prompt >= prompts.Count || firing.Destination >= prompts.Prompts[firing.Prompt].Tokens.Count
                || firing.Head.Layer >= model.Config.LayerCount || firing.Head.Index >= model.Config.HeadCount)
            {
                throw new ArgumentException(
                    $"Head {firing.Head} firing at token {firing.Destination} of prompt {firing.Prompt} is not of these prompts and this model.",
                    nameof(firings));
            }
        }

        var folded = CircuitModel.Of(model);
        var omegas = new OmegaCache(folded);
        var upstream = new SignalUpstream[firings.Count];
        foreach (var ofPrompt in Enumerable.Range(0, firings.Count).GroupBy(i => firings[i].Prompt))
        {
            var activations = CircuitActivations.Of(folded, prompts.Prompts, ofPrompt.Key, 1, cancellationToken);
            var reader = new UpstreamReader(folded, activations, omegas, cancellationToken);
            foreach (var i in ofPrompt)
            {
                upstream[i] = new(
                    firings[i], reader.Decompose(firings[i], SignalSide.Source), reader.Decompose(firings[i], SignalSide.Destination));
            }
        }

        return upstream;
    }
}
