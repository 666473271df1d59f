namespace HeadScope;

/// <summary>
/// All firings of a model's heads over some prompts, each with the sparse set of singular directions that makes it
/// (Franco &amp; Crovella, arXiv 2410.00340, sections 3 and 4).
/// </summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Prompts">The prompts.</param>
/// <param name="Options">What counts as a firing.</param>
/// <param name="HeadWidth">The number of directions that a head has.</param>
/// <param name="Firings">The firings, by prompt, layer, head, destination and source. Heads of layer 0, which have no upstream, and
/// source 0, where heads rest, are left out.</param>
/// <param name="TokenTexts">The text of each token of the prompts; empty for a model without tokenizer.</param>
public sealed partial record Signals(
    string Model,
    PromptSet Prompts,
    SignalOptions Options,
    int HeadWidth,
    IReadOnlyList<Firing> Firings,
    IReadOnlyDictionary<int, string> TokenTexts)
{
    /// <summary>Finds the firings.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts.</param>
    /// <param name="options">What counts as a firing; null for the paper's values.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The firings.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Signals Find(
        Model model,
        PromptSet prompts,
        SignalOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        options ??= new();
        prompts.RequireSound(model.Config.ContextLength, model.Config.VocabularySize);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchSize, 1, nameof(options));
        var folded = CircuitModel.Of(model);
        var omegas = new OmegaCache(folded);
        var firings = new List<Firing>();
        for (var first = 0; first < prompts.Count; first += options.BatchSize)
        {
            progress?.Report(new("finding signals", first, prompts.Count, "prompts"));
            var activations = CircuitActivations.Of(folded, prompts.Prompts, first, options.BatchSize, cancellationToken);
            firings.AddRange(FiringFinder.Find(folded, activations, omegas, options, null, cancellationToken));
        }

        progress?.Report(new("finding signals", prompts.Count, prompts.Count, "prompts"));
        var texts = model.HasTokenizer
            ? prompts.Prompts.SelectMany(p => p.Tokens).Distinct().ToDictionary(id => id, model.Tokenizer.TokenText)
            : [];
        return new Signals(model.Name, prompts, options, model.Config.HeadWidth, firings, texts);
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Prompts.Name} on {Model}: {Firings.Count} firings of {Firings.Select(f => f.Head).Distinct().Count()} heads in {Prompts.Count} prompts";

    /// <summary>Finds the firings on prompts that are drawn for the model.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="task">The task: <c>Ioi.Prompts(64)</c>.</param>
    /// <param name="options">What counts as a firing; null for the paper's values.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The firings.</returns>
    /// <exception cref="ArgumentException">No prompts can be drawn.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Signals Find(
        Model model,
        PromptTask task,
        SignalOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        return Find(model, task.For(model), options, progress, cancellationToken);
    }
}
