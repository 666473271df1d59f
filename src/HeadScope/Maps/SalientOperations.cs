using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// What a given head does, from its parameters alone: the tokens s of the vocabulary whose embedding u = mlp0(E[s]) it amplifies most,
/// a(s) = |u W_V W_O| / |u|, each with the largest entries of u W_V W_O W_U (Elhelo &amp; Geva, arXiv 2412.11965, section 5).
/// <list type="number">
/// <item>The vocabulary passes once, in blocks: u, then u W_V for all heads of a layer together.</item>
/// <item>|u W_V W_O| needs no row of the residual stream: with W_Oᵀ = Q R it is |R (u W_V)ᵀ|, a product of d_head numbers with a
/// triangle.</item>
/// <item>Only the few tokens that are listed go through W_O and W_U.</item>
/// </list>
/// </summary>
public static class SalientOperations
{
    private const int TokensPerBlock = 1024;
    private const int VocabularyPerBlock = 2048;
    private const int RowsPerPanel = 256;

    // The listed tokens' rows of the residual stream that are held at a time.
    private const long RowBytes = 64L << 20;

    /// <summary>The salient operations of one head.</summary>
    /// <param name="model">The model.</param>
    /// <param name="head">The head.</param>
    /// <param name="options">How much to list; null for the published numbers.</param>
    /// <param name="progress">Is told how much of the vocabulary is done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The operations.</returns>
    /// <exception cref="ArgumentException">The model has no such head, or more tokens are asked for than there are.</exception>
    /// <exception cref="InvalidDataException">A weight that is needed holds a NaN; the message names it.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static HeadOperations Of(
        Model model,
        Head head,
        SalientOperationsOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default) => Of(model, [head], options, progress, cancellationToken)[0];

    /// <summary>The salient operations of several heads; they share one pass over the vocabulary.</summary>
    /// <param name="model">The model.</param>
    /// <param name="heads">The heads; null for all.</param>
    /// <param name="options">How much to list; null for the published numbers.</param>
    /// <param name="progress">Is told how much of the vocabulary is done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The operations of each head, in the order of <paramref name="heads"/>.</returns>
    /// <exception cref="ArgumentException">The model has no such head, or more tokens are asked for than there are.</exception>
    /// <exception cref="InvalidDataException">A weight that is needed holds a NaN; the message names it.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static IReadOnlyList<HeadOperations> Of(
        Model model,
        IReadOnlyList<Head>? heads,
        SalientOperationsOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        heads ??= model.Heads;
        options ??= new SalientOperationsOptions();
        RequireSound(model, heads, options);
        var amplifications = Amplifications(model, heads, options, progress, cancellationToken);
        return Describe(model, heads, amplifications, options, progress, cancellationToken);
    }

    private static void RequireSound(Model model, IReadOnlyList<Head> heads, SalientOperationsOptions options)
    {
        var known = model.Heads.ToHashSet();
        foreach (var head in heads)
        {
            if (!known.Contains(head))
            {
                throw new ArgumentException(
                    $"There is no head {head}: {model.Name} has {model.Config.LayerCount} layers of {model.Config.HeadCount} heads, counted from 0.0.",
                    nameof(heads));
            }
        }

        foreach (var (count, what) in (ReadOnlySpan<(int, string)>)[(options.Tokens, "source tokens"), (options.Mappings, "targets")])
        {
            if (count < 1 || count > model.Config.VocabularySize)
            {
                throw new ArgumentException(
                    $"{count} {what} are asked for; expected 1 to {model.Config.VocabularySize}, the size of the vocabulary of {model.Name}.", nameof(options));
            }
        }
    }

    private static Amplification[] Amplifications(
        Model model,
        IReadOnlyList<Head> heads,
        SalientOperationsOptions options,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        var config = model.Config;
        var group = config.HeadCount / config.KeyValueHeadCount;
        var found = new Amplification[heads.Count];
        Parallelism.For(heads.Count, i => found[i] = new Amplification(Triangle(model, heads[i]), options.Tokens), cancellationToken);
        var layers = heads.Select((head, at) => (head, at)).GroupBy(h => h.head.Layer).Select(g => g.ToArray()).ToArray();
        for (var first = 0; first < config.VocabularySize; first += TokensPerBlock)
        {
            int[] tokens = [.. Enumerable.Range(first, Math.Min(TokensPerBlock, config.VocabularySize - first))];
            var u = Embeddings(model, tokens, options.FirstMlp);
            var norms = new float[tokens.Length];
            for (var i = 0; i < tokens.Length; i++)
            {
                norms[i] = (float)Math.Sqrt(DoubleSums.SumOfSquares(u.AsSpan(i * config.ModelWidth, config.ModelWidth)));
            }

            var begin = first;
            Parallelism.For(
                layers.Length,
                at =>
                {
                    var inLayer = layers[at];
                    var firstValue = inLayer.Min(h => h.head.Index) / group;
                    var valueWidth = ((inLayer.Max(h => h.head.Index) / group) - firstValue + 1) * config.HeadWidth;
                    var weight = model.ValueWeights(inLayer[0].head.Layer, firstValue * config.HeadWidth, valueWidth);
                    var values = new float[tokens.Length * valueWidth];
                    MatrixProduct.Multiply(new(u, tokens.Length, config.ModelWidth), weight, new(values, tokens.Length, valueWidth));
                    StaticValues.RequireFinite(values, _ => $"W_V of layer {inLayer[0].head.Layer}");
                    foreach (var (head, index) in inLayer)
                    {
                        var columns = new ReadOnlyMatrix(values, tokens.Length, valueWidth)
                            .SliceColumns(((head.Index / group) - firstValue) * config.HeadWidth, config.HeadWidth);
                        found[index].Add(columns, norms, begin);
                    }
                },
                cancellationToken);
            progress?.Report(new WorkProgress("measuring amplification", first + tokens.Length, config.VocabularySize, "tokens"));
        }

        return found;
    }

    private static HeadOperations[] Describe(
        Model model,
        IReadOnlyList<Head> heads,
        Amplification[] amplifications,
        SalientOperationsOptions options,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        var width = model.Config.ModelWidth;
        var results = new HeadOperations[heads.Count];
        var headsAtOnce = (int)Math.Clamp(RowBytes / ((long)options.Tokens * width * sizeof(float)), 1, heads.Count);
        var vocabulary = new VocabularyRows(model);
        for (var first = 0; first < heads.Count; first += headsAtOnce)
        {
            var count = Math.Min(headsAtOnce, heads.Count - first);
            var rows = new float[count * options.Tokens * width];
            var begin = first;
            Parallelism.For(
                count,
                i =>
                {
                    int[] tokens = [.. amplifications[begin + i].Top.Ids];
                    var u = Embeddings(model, tokens, options.FirstMlp);
                    var z = new float[tokens.Length * model.Config.HeadWidth];
                    MatrixProduct.Multiply(new(u, tokens.Length, width), model.ValueWeight(heads[begin + i]), new(z, tokens.Length, model.Config.HeadWidth));
                    MatrixProduct.Multiply(
                        new(z, tokens.Length, model.Config.HeadWidth),
                        model.OutputWeight(heads[begin + i]),
                        new(rows.AsSpan(i * options.Tokens * width), tokens.Length, width));
                },
                cancellationToken);
            var stage = $"projecting heads {heads[first]} to {heads[first + count - 1]}";
            var (largest, smallest) = Extremes(
                vocabulary, rows, options.Mappings, done => progress?.Report(new WorkProgress(stage, done, vocabulary.Count, "tokens")), cancellationToken);
            for (var i = 0; i < count; i++)
            {
                var top = amplifications[first + i].Top;
                results[first + i] = new HeadOperations(
                    model.Name,
                    heads[first + i],
                    options.FirstMlp,
                    amplifications[first + i].Mean,
                    [.. Enumerable.Range(0, options.Tokens).Select(rank => new SalientOperation(
                        top.Ids[rank],
                        Text(model, top.Ids[rank]),
                        top.Values[rank],
                        Tokens(model, largest[(i * options.Tokens) + rank], 1),
                        Tokens(model, smallest[(i * options.Tokens) + rank], -1)))]);
            }
        }

        return results;
    }

    // The largest and the smallest logits of each row; the smallest with their sign changed.
    private static (RunningTop[] Largest, RunningTop[] Smallest) Extremes(
        VocabularyRows vocabulary, float[] rows, int k, Action<int> done, CancellationToken cancellationToken)
    {
        var width = vocabulary.Width;
        var count = rows.Length / width;
        RunningTop[] largest = [.. Enumerable.Range(0, count).Select(_ => new RunningTop(k))];
        RunningTop[] smallest = [.. Enumerable.Range(0, count).Select(_ => new RunningTop(k))];
        var panels = (count + RowsPerPanel - 1) / RowsPerPanel;
        var seen = 0L;
        Parallelism.For(
            panels,
            panel =>
            {
                var row = panel * RowsPerPanel;
                var height = Math.Min(RowsPerPanel, count - row);
                var scratch = new float[Math.Min(VocabularyPerBlock, vocabulary.Count) * width];
                var logits = new float[height * Math.Min(VocabularyPerBlock, vocabulary.Count)];
                for (var first = 0; first < vocabulary.Count; first += VocabularyPerBlock)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    var tokens = Math.Min(VocabularyPerBlock, vocabulary.Count - first);
                    MatrixProduct.Multiply(
                        new(rows.AsSpan(row * width), height, width), vocabulary.Rows(first, tokens, scratch).Transpose(), new(logits, height, tokens));
                    for (var i = 0; i < height; i++)
                    {
                        var line = logits.AsSpan(i * tokens, tokens);
                        largest[row + i].Offer(line, first);
                        TensorPrimitives.Negate(line, line);
                        smallest[row + i].Offer(line, first);
                    }

                    done((int)(Interlocked.Add(ref seen, tokens) / panels));
                }
            },
            cancellationToken);
        return (largest, smallest);
    }

    private static TokenValue[] Tokens(Model model, RunningTop top, int sign)
    {
        var tokens = new TokenValue[top.Count];
        for (var i = 0; i < tokens.Length; i++)
        {
            tokens[i] = new TokenValue(top.Ids[i], Text(model, top.Ids[i]), sign * top.Values[i]);
        }

        return tokens;
    }

    private static string Text(Model model, int token) => model.HasTokenizer ? model.Tokenizer.TokenText(token) : "";

    private static float[] Embeddings(Model model, int[] tokens, bool firstMlp)
    {
        var width = model.Config.ModelWidth;
        var embeddings = new float[tokens.Length * width];
        model.ReadEmbedding(tokens, embeddings);
        StaticValues.RequireFinite(embeddings, at => $"The embedding W_E of token {tokens[at / width]}");
        if (!firstMlp)
        {
            return embeddings;
        }

        var u = new float[embeddings.Length];
        model.ApplyFirstMlp(new(embeddings, tokens.Length, width), new(u, tokens.Length, width));
        StaticValues.RequireFinite(u, at => $"What the first MLP (blocks.0.ln2, blocks.0.mlp) makes of token {tokens[at / width]}");
        return u;
    }

    // Rᵀ of W_Oᵀ = Q R, [d_head, d_head].
    private static float[] Triangle(Model model, Head head)
    {
        var weight = model.OutputWeight(head);
        StaticValues.RequireFinite(weight.ToArray(), _ => $"W_O of head {head}");
        var r = ThinQr.Of(weight.Transpose()).R;
        var (rank, columns) = ((int)r.Lengths[0], (int)r.Lengths[1]);
        var transposed = new float[columns * columns];
        for (var i = 0; i < rank; i++)
        {
            for (var j = i; j < columns; j++)
            {
                transposed[(j * columns) + i] = (float)r[i, j];
            }
        }

        return transposed;
    }

    // How much a head amplifies tokens: the mean, and the tokens it amplifies most.
    private sealed class Amplification(float[] triangle, int k)
    {
        private readonly int width = (int)Math.Sqrt(triangle.Length);
        private double sum;
        private int count;

        public RunningTop Top { get; } = new(k);

        public double Mean => sum / count;

        public void Add(ReadOnlyMatrix values, ReadOnlySpan<float> norms, int first)
        {
            var lengths = new float[values.Rows * width];
            MatrixProduct.Multiply(values, new(triangle, width, width), new(lengths, values.Rows, width));
            Span<float> amplifications = new float[values.Rows];
            for (var i = 0; i < amplifications.Length; i++)
            {
                // A token without embedding has no direction to amplify.
                amplifications[i] = norms[i] == 0 ? 0 : TensorPrimitives.Norm(lengths.AsSpan(i * width, width)) / norms[i];
                sum += amplifications[i];
            }

            count += amplifications.Length;
            Top.Offer(amplifications, first);
        }
    }
}
