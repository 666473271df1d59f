namespace HeadScope;

/// <summary>B sequences of attention inputs and outputs of one length T; shorter ones are padded on the right.</summary>
/// <param name="Input">What the attention layer reads, in the units of the model, [B, T, d].</param>
/// <param name="Output">What it writes, [B, T, d].</param>
/// <param name="Mask">1 for tokens that count, 0 for padding and the token at the beginning of a text, [B, T].</param>
/// <param name="Tokens">The tokens, [B, T]; null where there are none.</param>
internal sealed record ActivationBatch(Tensor Input, Tensor Output, Tensor Mask, Tensor? Tokens = null)
{
    /// <summary>Does something with every batch, in a dispose scope of its own.</summary>
    public static void ForEach(IEnumerable<ActivationBatch> batches, CancellationToken cancellationToken, Action<ActivationBatch> body)
    {
        using var all = batches.GetEnumerator();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            if (!all.MoveNext())
            {
                return;
            }

            body(all.Current);
        }
    }
}

/// <summary>
/// Where a Lorsa's activations come from. The order of the training sequences depends on nothing but how the source was made, so a position in
/// it is a number. The tensors of a batch live in the dispose scope that is open when the batch is asked for.
/// </summary>
internal abstract class ActivationSource
{
    /// <summary>The training batches of so many sequences from a position on, without end: a finite source begins again.</summary>
    public abstract IEnumerable<ActivationBatch> Batches(long firstSequence, int sequences, CancellationToken cancellationToken = default);

    /// <summary>The batches held out from training; few enough to be read at every evaluation.</summary>
    public virtual IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default) => [];
}

/// <summary>
/// The attention inputs and outputs of a layer of a model on a corpus, computed as they are asked for. The first windows of the corpus are
/// held out; the others are shuffled within a buffer, anew in every round.
/// </summary>
internal sealed class ModelActivationSource(
    Model model, int layer, LorsaCorpus corpus, int contextLength, int heldOut, int shuffleBuffer = 0, int seed = 0, string? hookIn = null)
    : ActivationSource
{
    private readonly int layer = layer >= 0 && layer < model.Config.LayerCount
        ? layer
        : throw new ArgumentException($"'{model.Name}' has {model.Config.LayerCount} layers, counted from 0; there is no layer {layer}.");

    private readonly int length = contextLength >= 2 && contextLength <= model.Config.ContextLength
        ? contextLength
        : throw new ArgumentException($"Windows of {contextLength} tokens do not suit '{model.Name}': expected 2 to {model.Config.ContextLength}.");

    private readonly string hookIn = hookIn ?? $"blocks.{layer}.ln1.hook_normalized";

    public override IEnumerable<ActivationBatch> Batches(long firstSequence, int sequences, CancellationToken cancellationToken = default) =>
        Training().Skip(checked((int)firstSequence)).Chunk(sequences).Select(windows => Activations(windows, cancellationToken));

    public override IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default) =>
        corpus.Windows(model, length).Take(heldOut).Chunk(sequences).Select(windows => Activations(windows, cancellationToken));

    private ActivationBatch Activations(int[][] windows, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var hookOut = $"blocks.{layer}.hook_attn_out";
        var pass = model.Run(
            windows, new Hooks().Keep(hookIn, hookOut), LogitsOf.None, stopAfterLayer: layer, cancellationToken: cancellationToken);
        var mask = ones(windows.Length, windows[0].Length, float32, model.Device);
        if (corpus.KeepsOrder || (model.Tokenizer.BeginningOfText ?? model.Tokenizer.EndOfText) is not null)
        {
            mask.narrow(1, 0, 1).zero_();
        }

        var tokens = tensor([.. windows.SelectMany(window => window.Select(token => (long)token))], [windows.Length, windows[0].Length]);
        return new(
            scope.MoveToOuter(pass[hookIn].to(float32)), scope.MoveToOuter(pass[hookOut].to(float32)), scope.MoveToOuter(mask),
            scope.MoveToOuter(tokens));
    }

    private IEnumerable<int[]> Training()
    {
        for (var round = 0; ; round++)
        {
            var any = false;

            // Not System.HashCode: that differs from process to process.
            var windows = corpus.Windows(model, length).Skip(heldOut);
            foreach (var window in shuffleBuffer < 2 || corpus.KeepsOrder ? windows : Shuffled(windows, new Random(unchecked((seed * 1_000_003) + round))))
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
    }

    private IEnumerable<int[]> Shuffled(IEnumerable<int[]> windows, Random random)
    {
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
