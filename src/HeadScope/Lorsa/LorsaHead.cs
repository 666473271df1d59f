using System.Globalization;
using Microsoft.Data.Analysis;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// A head of a Lorsa at a glance; what is more than a number is computed when it is first asked for, and needs the model (<see cref="Lorsa.For"/>).
/// </summary>
public sealed class LorsaHead
{
    private readonly Lorsa lorsa;
    private readonly Lazy<IReadOnlyList<double>> alignments;
    private readonly Lazy<float[]> reading;
    private readonly Lazy<float[]> writing;

    internal LorsaHead(Lorsa lorsa, int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, lorsa.Config.Heads);
        (this.lorsa, Index, QkHead) = (lorsa, index, lorsa.Config.QkHeadOf(index));
        alignments = new(() => lorsa.Alignments(index));
        reading = new(() => lorsa.ReadingOf(index));
        writing = new(() => lorsa.WritingOf(index));
    }

    /// <summary>The OV head.</summary>
    public int Index { get; }

    /// <summary>The QK head whose attention pattern it uses.</summary>
    public int QkHead { get; }

    /// <summary>How clearly it is of the kind that <see cref="Lorsa.FindHeads"/> looked for, which says what the number means; 0 otherwise.</summary>
    public double Score { get; internal init; }

    /// <summary>At how many of the probes' tokens that mattered it was active.</summary>
    public int ActiveTokens { get; internal init; }

    /// <summary>|w_O|.</summary>
    public float OutputNorm
    {
        get
        {
            using var scope = NewDisposeScope();
            return lorsa.W_O[Index].norm().Copied<float>()[0];
        }
    }

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

    /// <summary>The tokens with the most negative product.</summary>
    public IReadOnlyList<(int Token, string Text, float Score)> ReadsNegatively => Extremes(reading.Value, -1);

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
        var (sum, count) = (0.0, 0);
        foreach (var part in Shares.OrderDescending().TakeWhile(_ => sum < share - 1e-12))
        {
            sum += part;
            count++;
        }

        return count;
    }

    /// <summary>Its z-pattern on a text.</summary>
    /// <param name="text">The text; the token that begins a text is put in front where the model has one.</param>
    /// <returns>The contributions of every token at every later one.</returns>
    /// <exception cref="InvalidOperationException">There is no model, or it has no tokenizer.</exception>
    public ZPattern ZPattern(string text) => ZPattern(Lorsa.Begin(lorsa.RequireModel().Tokenizer, text));

    /// <summary>Its z-pattern on a token sequence.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <returns>The contributions of every token at every later one.</returns>
    /// <exception cref="InvalidOperationException">There is no model.</exception>
    /// <exception cref="ArgumentException">There are more tokens than the Lorsa's context, or none.</exception>
    public ZPattern ZPattern(int[] tokens)
    {
        using var scope = NewDisposeScope();
        return lorsa.ZPattern(lorsa.Encode([tokens]), tokens, Index, scope);
    }

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

    private IReadOnlyList<(int Token, string Text, float Score)> Extremes(float[] scores, int sign) =>
        [.. TopK.Indices(Array.ConvertAll(scores, score => sign * score), 10).Select(token => (token, lorsa.TokenText(token), scores[token]))];
}

public sealed partial class Lorsa
{
    /// <summary>The model it belongs to; null when not known. Needed for reading its heads.</summary>
    public Model? Model { get; internal init; }

    /// <summary>Whether it was read from the layout of the first published code.</summary>
    internal bool IsFirstLayout { get; init; }

    /// <summary>The same Lorsa together with its model.</summary>
    /// <param name="model">The model, with the weight processing the Lorsa was trained on.</param>
    /// <returns>The Lorsa; a copy.</returns>
    /// <exception cref="ArgumentException">The model has another width, or no such layer.</exception>
    public Lorsa For(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Config.ModelWidth != Config.ModelWidth || Config.Layer < 0 || Config.Layer >= model.Config.LayerCount)
        {
            throw new ArgumentException(
                $"A Lorsa of {Config.HookOut} and width {Config.ModelWidth} does not belong to '{model.Name}' with {model.Config.LayerCount} layers of "
                + $"width {model.Config.ModelWidth}.");
        }

        // The first published code reads LayerNorm models after gain and shift, which TransformerLens calls hook_normalized there.
        var config = IsFirstLayout && model.Config.Norm == NormKind.LayerNorm
            ? Config with { HookIn = $"blocks.{Config.Layer}.ln1.hook_out" }
            : Config;
        return Changed(Normalization, (_, weight) => weight, config, model);
    }

    /// <summary>A head at a glance.</summary>
    /// <param name="index">The OV head.</param>
    /// <returns>Its profile.</returns>
    public LorsaHead Head(int index) => new(this, index);

    /// <summary>The z-patterns of all heads that are active somewhere on a token sequence.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <returns>One for each such head, by head.</returns>
    /// <exception cref="InvalidOperationException">There is no model.</exception>
    /// <exception cref="ArgumentException">There are more tokens than the Lorsa's context, or none.</exception>
    public IReadOnlyList<ZPattern> ZPatterns(int[] tokens)
    {
        using var scope = NewDisposeScope();
        var activations = Encode([tokens]);
        var active = activations.Activations[0].ne(Scalars.Of(0)).any(0, keepdim: false).Copied<bool>();
        return [.. active.Index().Where(head => head.Item).Select(head => ZPattern(activations, tokens, head.Index, scope))];
    }

    internal ZPattern ZPattern(LorsaActivations activations, int[] tokens, int head, TorchSharp.DisposeScope scope)
    {
        return new(
            head, tokens, [.. tokens.Select(TokenText)], Out(activations.ZPattern(head)[0]), Out(activations.Patterns[0][Config.QkHeadOf(head)]),
            Out(activations.PreActivations[0].select(1, head)), Out(activations.Activations[0].select(1, head)));

        Tensor Out(Tensor result) => scope.MoveToOuter(result.to(float32).cpu().clone());
    }

    /// <summary>Runs token sequences through the model up to this layer and encodes them; shorter ones are padded on the right.</summary>
    internal LorsaActivations Encode(IReadOnlyList<int[]> sequences, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sequences[0]);
        if (sequences.FirstOrDefault(tokens => tokens.Length == 0 || tokens.Length > Config.ContextLength) is { } unfit)
        {
            throw new ArgumentException($"There are {unfit.Length} tokens; this Lorsa takes 1 to {Config.ContextLength}.");
        }

        using var run = RequireModel().Run(
            sequences, new Hooks().Keep(Config.HookIn), LogitsOf.None, stopAfterLayer: Config.Layer, cancellationToken: cancellationToken);
        return Encode(run[Config.HookIn]);
    }

    /// <summary>The first windows of a corpus, as held-out sequences.</summary>
    internal ModelActivationSource ActivationsOn(LorsaCorpus corpus, int windows) =>
        new(RequireModel(), Config.Layer, corpus, Config.ContextLength, windows, hookIn: Config.HookIn);

    internal Model RequireModel() => Model
        ?? throw new InvalidOperationException("This Lorsa was loaded without its model; take lorsa.For(model) and ask that.");

    internal string TokenText(int token) =>
        Model is { HasTokenizer: true } model ? model.Tokenizer.TokenText(token) : string.Create(CultureInfo.InvariantCulture, $"#{token}");

    internal static int[] Begin(Tokenizer tokenizer, string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Begin(tokenizer, tokenizer.Encode(text, addSpecialTokens: false));
    }

    internal static int[] Begin(Tokenizer tokenizer, int[] tokens) =>
        (tokenizer.BeginningOfText ?? tokenizer.EndOfText) is { } begin ? [begin, .. tokens] : tokens;

    /// <summary>w_V W_V^h W_O^h w_O^T for each head h of the layer, [H]; the gain of the norm, where the input has none yet, is part of W_V^h.</summary>
    internal IReadOnlyList<double> Alignments(int head)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var (config, block) = (RequireModel().Config, RequireModel().Net.Blocks[Config.Layer]);
        var read = Numbers(W_V[head]);
        read = Config.HookIn.EndsWith("hook_normalized", StringComparison.Ordinal) && block.Ln1.w is { } gain ? read.mul(Numbers(gain)) : read;
        var inside = read.matmul(Numbers(block.Attention.W_V)).repeat_interleave(config.HeadCount / config.KeyValueHeadCount, 0);
        var outside = Numbers(block.Attention.W_O).matmul(Numbers(W_O[head]));
        var alignments = inside.mul(outside).sum([1], type: float64).Copied<double>();
        GC.KeepAlive(this);
        return alignments;
    }

    /// <summary>What a head reads of each token's embedding, [V], in the units of training.</summary>
    internal float[] ReadingOf(int head)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var net = RequireModel().Net;
        var norm = net.Blocks[Config.Layer].Ln1;
        norm = Config.HookIn.EndsWith("hook_out", StringComparison.Ordinal) ? norm : norm.Bare();
        var read = Numbers(W_V[head]).mul(Scalars.Of(InputScale));
        Tensor[] parts = [.. net.Embedding.Chunks().Select(part => Part(net.Embedding.Rows(part.First, part.Count)))];
        var scores = cat(parts).Copied<float>();
        GC.KeepAlive(this);
        return scores;

        Tensor Part(Tensor rows)
        {
            using var inner = NewDisposeScope();
            return inner.MoveToOuter(norm.Forward(rows.to(float32), default).matmul(read));
        }
    }

    /// <summary>What one unit of a head's activation adds to each logit before the final norm divides by its scale, less the mean, [V].</summary>
    internal float[] WritingOf(int head)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var model = RequireModel();
        var effects = (model.Net.Unembedding with { Bias = null }).ForwardByRows(Written(W_O[head]).to(model.Dtype)).to(float32);
        var scores = effects.sub(effects.to(float64).mean().to(float32)).Copied<float>();
        GC.KeepAlive(this);
        return scores;
    }

    /// <summary>Output vectors, [..., d], in the units of the model, as the final norm hands them on before it divides by its scale.</summary>
    private Tensor Written(Tensor writes)
    {
        var norm = RequireModel().Net.LnFinal;
        var x = Numbers(writes).div(Scalars.Of(OutputScale));
        x = norm.Kind == NormKind.LayerNorm ? x.sub(x.mean([-1], keepdim: true)) : x;
        return norm.Gain is { } gain ? x.mul(gain.Value.to(float32)) : x;
    }

    // Weights where the model is.
    private Tensor Numbers(Tensor weights) => weights.to(float32, RequireModel().Device);
}
