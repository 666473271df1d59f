using System.Globalization;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>A token and how much a head reads or writes it.</summary>
/// <param name="Token">The token.</param>
/// <param name="Text">It as text; its number where there is no tokenizer.</param>
/// <param name="Score">The score.</param>
public sealed record TokenScore(int Token, string Text, float Score);

/// <summary>A head of a Lorsa at a glance. Without a model (<see cref="Lorsa.For"/>) it knows its numbers alone.</summary>
public sealed record LorsaHead
{
    private readonly Lorsa lorsa;

    internal LorsaHead(Lorsa lorsa, int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, lorsa.Config.Heads);
        this.lorsa = lorsa;
        Index = index;
        QkHead = lorsa.Config.QkHeadOf(index);
        OutputNorm = TensorPrimitives.Norm<float>(lorsa.Parameters.OutputWeight.AsSpan(index * lorsa.Config.ModelWidth, lorsa.Config.ModelWidth));
        if (lorsa.Model is { } model)
        {
            Origin = HeadOrigin.Of(lorsa, model, index);
            (Reads, ReadsNegatively) = ReadTokens(lorsa, model, index);
            (Promotes, Suppresses) = WrittenTokens(lorsa, model, index);
        }
    }

    /// <summary>The OV head.</summary>
    public int Index { get; }

    /// <summary>The QK head whose attention pattern it uses.</summary>
    public int QkHead { get; }

    /// <summary>|w_O|.</summary>
    public float OutputNorm { get; }

    /// <summary>Which of the model's own heads it comes from; null without a model.</summary>
    public HeadOrigin? Origin { get; }

    /// <summary>
    /// The tokens whose embedding, normalised as the layer's input is, has the largest product with w_V: what it reads on the direct path
    /// from the embedding. Largest first.
    /// </summary>
    public IReadOnlyList<TokenScore> Reads { get; } = [];

    /// <summary>The tokens with the most negative product.</summary>
    public IReadOnlyList<TokenScore> ReadsNegatively { get; } = [];

    /// <summary>
    /// The tokens whose logit one unit of its activation raises most through the final norm's gain and the unembedding, relative to the mean
    /// over tokens. Largest first.
    /// </summary>
    public IReadOnlyList<TokenScore> Promotes { get; } = [];

    /// <summary>The tokens whose logit it lowers most.</summary>
    public IReadOnlyList<TokenScore> Suppresses { get; } = [];

    /// <summary>Its z-pattern on a text.</summary>
    /// <param name="text">The text; the token that begins a text is put in front where the model has one.</param>
    /// <returns>The contributions of every token at every later one.</returns>
    /// <exception cref="InvalidOperationException">There is no model, or it has no tokenizer.</exception>
    public ZPattern ZPattern(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokenizer = RequireModel().Tokenizer;
        var begin = tokenizer.BeginningOfText ?? tokenizer.EndOfText;
        var tokens = tokenizer.Encode(text, addSpecialTokens: false);
        return ZPattern(begin is { } first ? [first, .. tokens] : tokens);
    }

    /// <summary>Its z-pattern on a token sequence.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <returns>The contributions of every token at every later one.</returns>
    /// <exception cref="InvalidOperationException">There is no model.</exception>
    /// <exception cref="ArgumentException">There are more tokens than the Lorsa's context, or none.</exception>
    public ZPattern ZPattern(int[] tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var model = RequireModel();
        var activations = lorsa.Encode(model, tokens);
        var length = tokens.Length;
        var (contributions, attention, z, a) = (new float[length * length], new float[length * length], new float[length], new float[length]);
        for (var t = 0; t < length; t++)
        {
            activations.ZPattern(Index, 0, t).CopyTo(contributions, t * length);
            activations.Pattern(QkHead, 0, t).CopyTo(attention.AsSpan(t * length));
            z[t] = activations.Pass.PreActivations[(t * lorsa.Config.Heads) + Index];
            a[t] = activations.ActiveAt(0, t).FirstOrDefault(active => active.Head == Index).Activation;
        }

        return new ZPattern(
            Index, tokens, model.HasTokenizer ? [.. tokens.Select(model.Tokenizer.TokenText)] : [],
            contributions, attention, z, a);
    }

    /// <summary>It in a line: origin, and the first tokens it reads and promotes.</summary>
    /// <returns>The text.</returns>
    public override string ToString()
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"Lorsa head {Index} (QK {QkHead})");
        return Origin is null
            ? name
            : string.Create(
                CultureInfo.InvariantCulture,
                $"{name} from {lorsa.Config.Layer}.{Origin.Main} ({Origin.Shares[Origin.Main]:p0}), reads {Names(Reads)}, promotes {Names(Promotes)}");

        static string Names(IReadOnlyList<TokenScore> scores) => string.Join(' ', scores.Take(3).Select(score => $"'{score.Text}'"));
    }

    private static (IReadOnlyList<TokenScore> Most, IReadOnlyList<TokenScore> Least) ReadTokens(Lorsa lorsa, Model model, int head)
    {
        var (d, v) = (model.Config.ModelWidth, model.Config.VocabularySize);
        var norm = model.Net.Blocks[lorsa.Config.Layer].Ln1;
        var afterGain = lorsa.Config.HookIn.EndsWith("hook_out", StringComparison.Ordinal);
        var read = lorsa.Parameters.ValueWeight;
        var scores = new float[v];
        const int Rows = 1024;
        Parallelism.For((v + Rows - 1) / Rows, chunk =>
        {
            var tokens = Enumerable.Range(chunk * Rows, Math.Min(Rows, v - (chunk * Rows))).ToArray();
            var rows = new float[tokens.Length * d];
            model.ReadEmbedding(tokens, rows);
            var normalized = new float[d];
            for (var i = 0; i < tokens.Length; i++)
            {
                var row = rows.AsSpan(i * d, d);
                norm.Divide(row, norm.ScaleOf(row), normalized);
                if (afterGain)
                {
                    norm.Finish(normalized, normalized);
                }

                scores[tokens[i]] = (float)lorsa.InputScale * TensorPrimitives.Dot<float>(normalized, read.AsSpan(head * d, d));
            }
        });
        return Extremes(scores, model);
    }

    private static (IReadOnlyList<TokenScore> Most, IReadOnlyList<TokenScore> Least) WrittenTokens(Lorsa lorsa, Model model, int head)
    {
        var scores = lorsa.LogitEffect(model, head);
        TensorPrimitives.Subtract(scores, (float)(DoubleSums.Sum(scores) / scores.Length), scores);
        return Extremes(scores, model);
    }

    private static (IReadOnlyList<TokenScore> Most, IReadOnlyList<TokenScore> Least) Extremes(float[] scores, Model model)
    {
        const int Shown = 10;
        var count = Math.Min(Shown, scores.Length);
        var most = TopK.Indices(scores, count);
        var negative = Array.ConvertAll(scores, score => -score);
        return (Named(most), Named(TopK.Indices(negative, count)));

        IReadOnlyList<TokenScore> Named(int[] tokens) => [.. tokens.Select(token => new TokenScore(
            token, model.HasTokenizer ? model.Tokenizer.TokenText(token) : token.ToString(CultureInfo.InvariantCulture), scores[token]))];
    }

    private Model RequireModel() => lorsa.Model
        ?? throw new InvalidOperationException("This Lorsa was loaded without its model; take lorsa.For(model).Head(...) instead.");
}

public sealed partial class Lorsa
{
    /// <summary>The model it belongs to; null when not known. Needed for reading its heads.</summary>
    public Model? Model { get; internal init; }

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

    /// <summary>Whether it was read from the layout of the first published code.</summary>
    internal bool IsFirstLayout { get; init; }

    /// <summary>A head at a glance.</summary>
    /// <param name="index">The OV head.</param>
    /// <returns>Its profile.</returns>
    public LorsaHead Head(int index) => new(this, index);

    /// <summary>Runs a token sequence through a model up to this layer and encodes it.</summary>
    internal ArrayActivations Encode(Model model, int[] tokens)
    {
        if (tokens.Length == 0 || tokens.Length > Config.ContextLength)
        {
            throw new ArgumentException($"There are {tokens.Length} tokens; this Lorsa takes 1 to {Config.ContextLength}.");
        }

        using var run = model.Run(tokens, new Hooks().Keep(Config.HookIn), LogitsOf.None, stopAfterLayer: Config.Layer);
        return new ArrayActivations(this, Pass(run.Take(Config.HookIn).AsFlatSpan(), 1, tokens.Length));
    }

    /// <summary>What one unit of a head's activation adds to every logit before the final norm divides by its scale, [V].</summary>
    internal float[] LogitEffect(Model model, int head)
    {
        var (d, v) = (Config.ModelWidth, model.Config.VocabularySize);
        var write = new float[d];
        TensorPrimitives.Divide(Parameters.OutputWeight.AsSpan(head * d, d), (float)OutputScale, write);
        model.Net.LnFinal.Divide(write, 1, write);
        model.Net.LnFinal.Amplify(write, write);

        var logits = new float[v];
        const int Rows = 1024;
        Parallelism.For((v + Rows - 1) / Rows, chunk =>
        {
            var count = Math.Min(Rows, v - (chunk * Rows));
            var rows = new float[count * d];
            model.ReadUnembedding(chunk * Rows, count, rows);
            for (var i = 0; i < count; i++)
            {
                logits[(chunk * Rows) + i] = TensorPrimitives.Dot<float>(rows.AsSpan(i * d, d), write);
            }
        });
        return logits;
    }
}
