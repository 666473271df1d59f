namespace HeadScope;

/// <summary>
/// The attention inputs and outputs of a layer of a model on a corpus, computed as they are asked for. The first windows of the corpus are
/// held out; the others are shuffled within a buffer, anew in every round.
/// </summary>
public sealed class ModelActivationSource : ActivationSource
{
    private readonly Model model;
    private readonly int layer;
    private readonly LorsaCorpus corpus;
    private readonly int length;
    private readonly int heldOut;
    private readonly int shuffleBuffer;
    private readonly int seed;
    private readonly Tokenizer? tokenizer;
    private readonly string hookIn;

    /// <summary>Describes the source; nothing is read yet.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="corpus">The corpus.</param>
    /// <param name="contextLength">T, the length of the windows.</param>
    /// <param name="heldOutSequences">How many windows are held out.</param>
    /// <param name="shuffleBuffer">How many windows are shuffled at a time; 0 keeps the order, as a corpus of windows does anyway.</param>
    /// <param name="seed">The seed of the shuffling.</param>
    /// <param name="hookIn">The activation to read; null for <c>blocks.L.ln1.hook_normalized</c>.</param>
    /// <exception cref="ArgumentException">The model has no such layer, or a shorter context.</exception>
    public ModelActivationSource(
        Model model, int layer, LorsaCorpus corpus, int contextLength, int heldOutSequences = 32, int shuffleBuffer = 1024,
        int seed = 0, string? hookIn = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(corpus);
        if (layer < 0 || layer >= model.Config.LayerCount)
        {
            throw new ArgumentException($"'{model.Name}' has {model.Config.LayerCount} layers, counted from 0; there is no layer {layer}.");
        }

        if (contextLength < 2 || contextLength > model.Config.ContextLength)
        {
            throw new ArgumentException(
                $"Windows of {contextLength} tokens do not suit '{model.Name}': expected 2 to {model.Config.ContextLength}.");
        }

        (this.model, this.layer, this.corpus, length, heldOut) = (model, layer, corpus, contextLength, heldOutSequences);
        (this.shuffleBuffer, this.seed) = (corpus.KeepsOrder ? 0 : shuffleBuffer, seed);
        this.hookIn = hookIn ?? $"blocks.{layer}.ln1.hook_normalized";
        tokenizer = corpus.KeepsOrder ? null : model.Tokenizer;
        BeginsWithToken = corpus.KeepsOrder || (tokenizer!.BeginningOfText ?? tokenizer.EndOfText) is not null;
    }

    /// <inheritdoc/>
    public override int ModelWidth => model.Config.ModelWidth;

    /// <summary>Whether the first token of every window is one that begins a text, and so does not count.</summary>
    public bool BeginsWithToken { get; }

    /// <inheritdoc/>
    public override bool HasHeldOut => heldOut > 0;

    /// <inheritdoc/>
    public override IEnumerable<ActivationBatch> Batches(
        long firstSequence, int sequences, CancellationToken cancellationToken = default) =>
        Training().Skip(firstSequence).Chunk(sequences).Select(windows => Activations(windows, cancellationToken));

    /// <inheritdoc/>
    public override IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default) =>
        HeldOutWindows().Chunk(sequences).Select(windows => Activations(windows, cancellationToken));

    /// <summary>The tokens of the windows held out.</summary>
    /// <returns>The windows.</returns>
    public IEnumerable<int[]> HeldOutWindows() => corpus.Windows(tokenizer, length).Take(heldOut);

    private ActivationBatch Activations(int[][] windows, CancellationToken cancellationToken)
    {
        var hookOut = $"blocks.{layer}.hook_attn_out";
        using var pass = model.Run(
            windows, new Hooks().Keep(hookIn, hookOut), LogitsOf.None, stopAfterLayer: layer, cancellationToken: cancellationToken);
        var mask = new float[windows.Length * windows[0].Length];
        for (var t = 0; t < mask.Length; t++)
        {
            mask[t] = BeginsWithToken && t % windows[0].Length == 0 ? 0 : 1;
        }

        return new ActivationBatch(
            windows.Length, windows[0].Length, pass.Take(hookIn).AsFlatSpan().ToArray(), pass.Take(hookOut).AsFlatSpan().ToArray(), mask,
            [.. windows.SelectMany(window => window)]);
    }

    private IEnumerable<int[]> Training()
    {
        for (var round = 0; ; round++)
        {
            var any = false;
            foreach (var window in Shuffled(corpus.Windows(tokenizer, length).Skip(heldOut), new Random(HashCode(seed, round))))
            {
                any = true;
                yield return window;
            }

            if (!any)
            {
                throw new InvalidDataException(
                    $"The corpus, {corpus.Name}, is too short: after {heldOut} held-out windows of {length} tokens none is left to learn from.");
            }
        }

        // Not System.HashCode: that differs from process to process.
        static int HashCode(int seed, int round) => unchecked((seed * 1_000_003) + round);
    }

    private IEnumerable<int[]> Shuffled(IEnumerable<int[]> windows, Random random)
    {
        if (shuffleBuffer < 2)
        {
            foreach (var window in windows)
            {
                yield return window;
            }

            yield break;
        }

        var buffer = new List<int[]>(shuffleBuffer);
        foreach (var window in windows)
        {
            if (buffer.Count < shuffleBuffer)
            {
                buffer.Add(window);
                continue;
            }

            var at = random.Next(buffer.Count);
            yield return buffer[at];
            buffer[at] = window;
        }

        while (buffer.Count > 0)
        {
            var at = random.Next(buffer.Count);
            yield return buffer[at];
            buffer[at] = buffer[^1];
            buffer.RemoveAt(buffer.Count - 1);
        }
    }
}

/// <summary>Leaves out many elements; LINQ counts them in 32 bits.</summary>
internal static class LongSkip
{
    public static IEnumerable<T> Skip<T>(this IEnumerable<T> source, long count)
    {
        foreach (var item in source)
        {
            if (count > 0)
            {
                count--;
                continue;
            }

            yield return item;
        }
    }
}
