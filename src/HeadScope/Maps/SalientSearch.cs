namespace HeadScope;

/// <summary>
/// Finds the tokens that heads amplify most, and what they map them to (<see cref="SalientOperations"/>):
/// <list type="number">
/// <item>The vocabulary passes once, in blocks: u, then u W_V for all heads of a layer together.</item>
/// <item>|u W_V W_O| needs no row of the residual stream: with W_Oᵀ = Q R it is |R (u W_V)ᵀ|, d_head numbers instead of d_model.</item>
/// <item>Only the few tokens that are listed go through W_O and W_U, the unembedding in blocks too.</item>
/// </list>
/// </summary>
/// <exception cref="ArgumentException">The model has no such head.</exception>
internal sealed class SalientSearch(Model model, IReadOnlyList<Head> heads, bool firstMlp, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
{
    // Numbers of a block's widest activation; more where weights are read anew for each block.
    private const long NumbersAtOnce = 1L << 22;
    private const long NumbersStreamed = 1L << 26;

    private readonly (int Layer, (Head Head, int At, Attention)[] Heads)[] layers =
        [.. heads.Select((head, at) => (Head: head, At: at, model.AttentionOf(head))).GroupBy(h => h.Head.Layer).Select(layer => (layer.Key, layer.ToArray()))];

    private readonly ScalarType type = HeadInputs.Wide(model);

    private int TokensAtOnce => (int)Math.Max(
        64, (model.KeepsWeights ? NumbersAtOnce : NumbersStreamed) / Math.Max(model.Config.MlpWidth, model.Config.HeadCount * model.Config.HeadWidth));

    /// <summary>Each head's mean amplification, and the tokens that it amplifies most, most first.</summary>
    public (double[] Means, (int Token, float Value)[][] Sources) MostAmplified(int count)
    {
        using var scope = NewDisposeScope();
        var vocabulary = model.Config.VocabularySize;
        var amplifications = zeros([heads.Count, vocabulary], type, model.Device);
        var readers = layers.Select(layer => Reader(layer.Layer, layer.Heads)).ToArray();
        foreach (var tokens in Enumerable.Range(0, vocabulary).Select(token => (long)token).Chunk(TokensAtOnce))
        {
            using var block = NewDisposeScope();
            var u = HeadInputs.Of(model, tokens, firstMlp);

            // A token without embedding has no direction to amplify.
            var norms = u.norm(1).unsqueeze(0);
            norms = norms.add(norms.eq(zeros_like(norms)), Scalars.One);
            foreach (var (layer, reader) in layers.Zip(readers))
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var inLayer = NewDisposeScope();
                amplifications.narrow(1, tokens[0], tokens.Length).index_copy_(0, Places(layer.Heads), reader(u).div(norms));
            }

            progress?.Report(new WorkProgress("measuring amplification", tokens[^1] + 1, vocabulary, "tokens"));
        }

        var means = amplifications.mean([1], type: float64).Copied<double>();
        if (Array.FindIndex(means, mean => !double.IsFinite(mean)) is >= 0 and var damaged)
        {
            throw HeadInputs.Damaged(model, heads[damaged]);
        }

        return (means, Largest(amplifications, count, 0, null));
    }

    /// <summary>For each source of each head, in order, the largest and the smallest entries of u W_V W_O W_U, the smallest with their sign
    /// changed.</summary>
    public ((int Token, float Value)[] Largest, (int Token, float Value)[] Smallest)[] Targets((int Token, float Value)[][] sources, int count)
    {
        using var scope = NewDisposeScope();
        Tensor[] inputs = [.. sources.SelectMany(of => of.Select(s => (long)s.Token)).Chunk(TokensAtOnce).Select(tokens => HeadInputs.Of(model, tokens, firstMlp))];
        var u = cat(inputs).view(heads.Count, -1, model.Config.ModelWidth);
        var byHead = zeros_like(u);
        foreach (var (layer, some) in layers)
        {
            using var inLayer = NewDisposeScope();
            var (values, output) = Weights(layer, some);
            byHead.index_copy_(0, Places(some), u.index_select(0, Places(some)).bmm(values).bmm(output));
        }

        var rows = byHead.flatten(0, 1);
        ((int, float)[][]? largest, (int, float)[][]? smallest) = (null, null);
        var (unembedding, vocabulary) = (model.Net.Unembedding.Weight, (long)model.Config.VocabularySize);
        var atOnce = Math.Min(vocabulary, Math.Max(256, 4 * NumbersAtOnce / rows.shape[0]));
        for (var first = 0L; first < vocabulary; first += atOnce)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var block = NewDisposeScope();
            var (tokens, begin) = (unembedding.Rows(first, Math.Min(atOnce, vocabulary - first)), first);
            HeadInputs.RequireFinite(tokens, row => $"The unembedding W_U of token {begin + row}");
            var logits = nn.functional.linear(rows, tokens.to(type));
            largest = Largest(logits, count, first, largest);
            smallest = Largest(logits.neg_(), count, first, smallest);
            progress?.Report(new WorkProgress("projecting", Math.Min(first + atOnce, vocabulary), vocabulary, "tokens"));
        }

        return [.. largest!.Zip(smallest!)];
    }

    /// <summary>The largest numbers of each row with their places, largest first, of equal ones the earlier; those of blocks before count
    /// too.</summary>
    /// <param name="rows">[row, n].</param>
    /// <param name="count">How many.</param>
    /// <param name="first">The place of the first number.</param>
    /// <param name="before">What was found in blocks before; null for none.</param>
    internal static (int Token, float Value)[][] Largest(Tensor rows, int count, long first, (int Token, float Value)[][]? before)
    {
        using var scope = NewDisposeScope();
        var numbers = rows.to(float32).cpu().contiguous();
        var (found, length) = (new (int, float)[numbers.shape[0]][], (int)numbers.shape[1]);
        Parallelism.For(found.Length, row =>
        {
            var line = numbers.Memory<float>().Slice(row * length, length);
            var places = new int[Math.Min(count, length)];
            TopK.Of(line, places);
            var these = new (int, float Value)[places.Length];
            for (var i = 0; i < these.Length; i++)
            {
                these[i] = ((int)first + places[i], line[places[i]]);
            }

            // Sorting is stable, and those before are earlier.
            found[row] = before is null ? these : [.. before[row].Concat(these).OrderByDescending(t => t.Value).Take(count)];
        });
        GC.KeepAlive(numbers);
        return found;
    }

    private Tensor Places((Head Head, int At, Attention)[] some) => tensor([.. some.Select(h => (long)h.At)], device: model.Device);

    // W_V of heads, [head, d_model, d_head], and W_O, [head, d_head, d_model].
    private (Tensor Values, Tensor Output) Weights(int layer, (Head Head, int At, Attention)[] some)
    {
        using var scope = NewDisposeScope();
        var attention = model.Net.Blocks[layer].Attention;
        Tensor Of(Tensor weight, Func<Head, long> part) => weight.to(type).index_select(0, tensor([.. some.Select(h => part(h.Head))], device: model.Device));
        var (values, output) = (Of(attention.W_V, h => h.Index / model.Config.GroupSize), Of(attention.W_O, h => h.Index));
        return (values.MoveToOuterDisposeScope(), output.MoveToOuterDisposeScope());
    }

    // From u, [token, d_model], to |u W_V W_O| of heads of a layer, [head, token].
    private Func<Tensor, Tensor> Reader(int layer, (Head Head, int At, Attention)[] some)
    {
        using var scope = NewDisposeScope();
        var (values, output) = Weights(layer, some);
        var triangles = linalg.qr(output.transpose(1, 2).to(float64), linalg.QRMode.R).R.transpose(1, 2);
        if (model.Config.GroupSize == 1 && model.KeepsWeights)
        {
            // W_V Rᵀ serves one head only, so it is made once.
            var direct = values.to(float64).bmm(triangles).to(values.dtype).transpose(0, 1).flatten(1).contiguous().MoveToOuterDisposeScope();
            return u => u.matmul(direct).unflatten(1, some.Length, direct.shape[1] / some.Length).norm(2).t();
        }

        var groups = tensor([.. some.Select(h => (long)(h.Head.Index / model.Config.GroupSize))], device: model.Device).MoveToOuterDisposeScope();
        var kept = triangles.to(values.dtype).contiguous().MoveToOuterDisposeScope();
        return u => HeadInputs.Values(model, layer, u).index_select(0, groups).bmm(kept).norm(2);
    }
}
