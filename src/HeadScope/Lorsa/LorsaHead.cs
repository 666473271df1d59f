namespace HeadScope;

/// <summary>
/// A head of a Lorsa at a glance. What takes more than a look at its numbers is computed when it is first asked for, and needs the model
/// (<see cref="Lorsa.For"/>): without, it is an <see cref="InvalidOperationException"/>.
/// </summary>
public sealed class LorsaHead
{
    private readonly Lorsa lorsa;
    private readonly Lazy<double[]> alignments;
    private readonly Lazy<float[]> reading, writing;

    internal LorsaHead(Lorsa lorsa, int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, lorsa.Config.Heads);
        (this.lorsa, Index) = (lorsa, index);
        (alignments, reading, writing) = (new(() => Computed(Align)), new(() => Computed(Read)), new(() => Computed(Write)));
    }

    /// <summary>The OV head.</summary>
    public int Index { get; }

    /// <summary>The QK head whose attention pattern it uses.</summary>
    public int QkHead => lorsa.Config.QkHeadOf(Index);

    /// <summary>How clearly it is of the kind that <see cref="Lorsa.FindHeads"/> looked for, which says what the number means; 0 otherwise.</summary>
    public double Score { get; internal init; }

    /// <summary>At how many of the probes' tokens that mattered it was active.</summary>
    public int ActiveTokens { get; internal init; }

    /// <summary>|w_O|.</summary>
    public float OutputNorm => Computed(() => lorsa.W_O[Index].norm().Copied<float>())[0];

    /// <summary>
    /// Its alignment <c>w_V W_V^h W_O^h w_O^T</c> with every head h of the layer, [H], in the units of the weights: how much of what h does
    /// to inputs and outputs is what this head does. (A measure of our own; the published codes ship none.)
    /// </summary>
    public IReadOnlyList<double> Alignments => alignments.Value;

    /// <summary>The share of every head of the layer in it: its positive alignment over the sum of the positive ones, [H].</summary>
    public IReadOnlyList<double> Shares
    {
        get
        {
            var sum = Alignments.Sum(a => Math.Max(a, 0));
            return [.. Alignments.Select(a => sum == 0 ? 0 : Math.Max(a, 0) / sum)];
        }
    }

    /// <summary>The head of the model with the largest share.</summary>
    public Head Origin => new(lorsa.Config.Layer, Shares.Index().MaxBy(share => share.Item).Index);

    /// <summary>
    /// The tokens whose embedding, normalised as the layer's input is, has the largest product with w_V: what it reads on the direct path
    /// from the embedding. Largest first.
    /// </summary>
    public IReadOnlyList<(int Token, string Text, float Score)> Reads => Extremes(reading.Value, 1);

    /// <summary>
    /// The tokens whose logit one unit of its activation raises most through the final norm's gain and the unembedding, relative to the mean
    /// over tokens. Largest first.
    /// </summary>
    public IReadOnlyList<(int Token, string Text, float Score)> Promotes => Extremes(writing.Value, 1);

    /// <summary>The tokens whose logit it lowers most.</summary>
    public IReadOnlyList<(int Token, string Text, float Score)> Suppresses => Extremes(writing.Value, -1);

    /// <summary>Every token of the vocabulary: token, text, reads, promotes (negative: suppresses).</summary>
    public DataFrame Table => new(
        new Int32DataFrameColumn("token", Enumerable.Range(0, reading.Value.Length)),
        new StringDataFrameColumn("text", Enumerable.Range(0, reading.Value.Length).Select(lorsa.TokenText)),
        new SingleDataFrameColumn("reads", reading.Value), new SingleDataFrameColumn("promotes", writing.Value));

    /// <summary>How many heads of the model make up a share: 1 for a head that was one head's, more for one that was spread over several.</summary>
    /// <param name="share">The share to reach.</param>
    /// <returns>The smallest number of heads.</returns>
    public int HeadsFor(double share = 0.9)
    {
        var sum = 0.0;
        return Shares.OrderDescending().TakeWhile(part => (sum += part) - part < share - 1e-12).Count();
    }

    /// <summary>Its z-pattern on a text.</summary>
    /// <param name="text">The text; the token that begins a text is put in front where the model has one.</param>
    /// <returns>The contributions of every token at every later one.</returns>
    /// <exception cref="ArgumentException">It has more tokens than the Lorsa's context, or none.</exception>
    public ZPattern ZPattern(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokenizer = lorsa.RequireModel().Tokenizer;
        return ZPattern(Lorsa.Begin(tokenizer, tokenizer.Encode(text, addSpecialTokens: false)));
    }

    /// <summary>Its z-pattern on a token sequence.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <returns>The contributions of every token at every later one.</returns>
    /// <exception cref="ArgumentException">There are more tokens than the Lorsa's context, or none.</exception>
    public ZPattern ZPattern(int[] tokens) => lorsa.ZPatterns(tokens, _ => [Index])[0];

    /// <summary>It in a line: origin, and the first tokens it reads and promotes.</summary>
    /// <returns>The text.</returns>
    public override string ToString()
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"Lorsa head {Index} (QK {QkHead})");
        return lorsa.Model is null
            ? name
            : string.Create(CultureInfo.InvariantCulture, $"{name} from {Origin} ({Shares[Origin.Index]:p0}), reads {Names(Reads)}, promotes {Names(Promotes)}");

        static string Names(IEnumerable<(int Token, string Text, float Score)> scores) => string.Join(' ', scores.Take(3).Select(score => $"'{score.Text}'"));
    }

    private double[] Align()
    {
        var original = OriginalAttention.Of(lorsa.RequireModel(), lorsa.Config);
        var inside = lorsa.WhereTheModelIs(lorsa.W_V[Index]).matmul(original.Value!);
        return inside.mul(original.Output!.matmul(lorsa.WhereTheModelIs(lorsa.W_O[Index]))).sum([1], type: float64).Copied<double>();
    }

    // A matrix that does not stay in memory is read some rows at a time.
    private float[] Read()
    {
        var net = lorsa.RequireModel().Net;
        var norm = net.Blocks[lorsa.Config.Layer].Ln1;
        norm = lorsa.Config.HookIn.EndsWith("hook_out", StringComparison.Ordinal) ? norm : norm.Bare();
        var read = lorsa.WhereTheModelIs(lorsa.W_V[Index]).mul(Scalars.Of(lorsa.InputScale));
        return [.. net.Embedding.Chunks().SelectMany(part =>
        {
            using var scope = NewDisposeScope();
            return norm.Forward(net.Embedding.Rows(part.First, part.Count), default).to(float32).matmul(read).Copied<float>();
        })];
    }

    private float[] Write()
    {
        var model = lorsa.RequireModel();
        var logits = (model.Net.Unembedding with { Bias = null }).ForwardByRows(lorsa.Written(lorsa.W_O[Index]).to(model.Dtype)).to(float64);
        return logits.sub(logits.mean()).Copied<float>();
    }

    private IReadOnlyList<(int Token, string Text, float Score)> Extremes(float[] scores, int sign) =>
        [.. TopK.Indices(Array.ConvertAll(scores, score => sign * score), 10).Select(token => (token, lorsa.TokenText(token), scores[token]))];

    private T[] Computed<T>(Func<T[]> numbers)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        return numbers();
    }
}
