using Operation = (
    int Token, string Text, float Amplification, System.Collections.Generic.IReadOnlyList<(int Token, string Text, float Logit)> Targets,
    System.Collections.Generic.IReadOnlyList<(int Token, string Text, float Logit)> Suppressed);

namespace HeadScope;

/// <summary>
/// What given heads do, from their parameters alone: the tokens s of the vocabulary whose embedding u = mlp0(E[s]) a head amplifies most,
/// a(s) = |u W_V W_O| / |u|, each with the largest entries of u W_V W_O W_U (Elhelo &amp; Geva, arXiv 2412.11965, section 5).
/// </summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Heads">The heads.</param>
/// <param name="FirstMlp">Whether the embeddings passed the first MLP.</param>
public sealed record SalientOperations(string Model, IReadOnlyList<Head> Heads, bool FirstMlp)
{
    /// <summary>The mean of |u W_V W_O| / |u| over the vocabulary, [head], fp64.</summary>
    public Tensor MeanAmplification => tensor(Means);

    /// <summary>The source tokens, most amplified first, [head, source], int64.</summary>
    public Tensor Tokens => Ids(o => [o.Token]);

    /// <summary>Their amplification |u W_V W_O| / |u|, [head, source], fp32.</summary>
    public Tensor Amplifications => Numbers(o => [o.Amplification]);

    /// <summary>The largest entries of u W_V W_O W_U, largest first, as tokens: [head, source, target], int64.</summary>
    public Tensor Targets => Ids(o => o.Targets.Select(t => (long)t.Token), Operations[0][0].Targets.Count);

    /// <summary>Those entries, [head, source, target], fp32.</summary>
    public Tensor TargetLogits => Numbers(o => o.Targets.Select(t => t.Logit), Operations[0][0].Targets.Count);

    /// <summary>The smallest entries, smallest first, as tokens: [head, source, target], int64.</summary>
    public Tensor Suppressed => Ids(o => o.Suppressed.Select(t => (long)t.Token), Operations[0][0].Suppressed.Count);

    /// <summary>Those entries, [head, source, target], fp32.</summary>
    public Tensor SuppressedLogits => Numbers(o => o.Suppressed.Select(t => t.Logit), Operations[0][0].Suppressed.Count);

    /// <summary>The operations, a row for each source and target: layer, head, rank, token, text, amplification, sign (1 for targets, -1
    /// for suppressed tokens), target_rank, target, target_text, value.</summary>
    public DataFrame Table => ResultTable.Of(
        from head in Heads.Zip(Operations)
        from source in head.Second.Index()
        from target in source.Item.Targets.Select((t, rank) => (Of: t, Rank: rank + 1, Sign: 1))
            .Concat(source.Item.Suppressed.Select((t, rank) => (Of: t, Rank: rank + 1, Sign: -1)))
        select (Head: head.First, Rank: source.Index + 1, Operation: source.Item, Target: target),
        row => new
        {
            layer = row.Head.Layer, head = row.Head.Index, rank = row.Rank, token = row.Operation.Token, text = row.Operation.Text,
            amplification = row.Operation.Amplification, sign = row.Target.Sign, target_rank = row.Target.Rank, target = row.Target.Of.Token,
            target_text = row.Target.Of.Text, value = row.Target.Of.Logit,
        });

    internal double[] Means { get; init; } = [];

    internal IReadOnlyList<IReadOnlyList<Operation>> Operations { get; init; } = [];

    /// <summary>The operations of a head, most amplified source first: the source token, its text (empty when the model has no tokenizer),
    /// |u W_V W_O| / |u|, and the largest and the smallest entries of u W_V W_O W_U.</summary>
    /// <param name="head">The head.</param>
    /// <exception cref="ArgumentException">It is not among these.</exception>
    public IReadOnlyList<Operation> this[Head head] => Heads.Index().Where(h => h.Item == head).Select(h => Operations[h.Index]).FirstOrDefault()
        ?? throw new ArgumentException($"Head {head} is not among these {Heads.Count} heads of {Model}.", nameof(head));

    /// <summary>The salient operations of heads; they share one pass over the vocabulary.</summary>
    /// <param name="model">The model.</param>
    /// <param name="heads">The heads; null for all.</param>
    /// <param name="tokens">How many source tokens are listed for each head; the default is the published number, as that of
    /// <paramref name="mappings"/>.</param>
    /// <param name="mappings">How many targets are listed for each source token, and how many suppressed tokens.</param>
    /// <param name="firstMlp">Whether the embeddings pass the first MLP; as published this holds for heads of layer 0 too.</param>
    /// <param name="progress">Is told how much of the vocabulary is done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="ArgumentException">The model has no such head, none is named, or more tokens are asked for than there are.</exception>
    /// <exception cref="InvalidDataException">A weight that is needed holds a NaN; the message names it.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static SalientOperations Of(
        Model model, IReadOnlyList<Head>? heads = null, int tokens = 15, int mappings = 5, bool firstMlp = true, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        heads ??= model.Heads;
        Fault.ArgumentIf(heads.Count == 0, $"No heads are named; leave them out for all of {model.Name}.");
        var vocabulary = model.Config.VocabularySize;
        Fault.ArgumentIf(
            Math.Min(tokens, mappings) < 1 || Math.Max(tokens, mappings) > vocabulary,
            $"{tokens} source tokens with {mappings} targets are asked for; expected 1 to {vocabulary}, the size of the vocabulary of {model.Name}.");
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var search = new SalientSearch(model, heads, firstMlp, progress, cancellationToken);
        var (means, sources) = search.MostAmplified(tokens);
        var targets = search.Targets(sources, mappings);
        string Text(int token) => model.HasTokenizer ? model.Tokenizer.TokenText(token) : "";
        IReadOnlyList<(int, string, float)> Named(IEnumerable<(int Token, float Value)> found, int sign) => [.. found.Select(t => (t.Token, Text(t.Token), sign * t.Value))];
        return new(model.Name, heads, firstMlp)
        {
            Means = means,
            Operations = [.. sources.Select((of, head) => of.Select((s, rank) => (
                s.Token, Text(s.Token), s.Value, Named(targets[(head * tokens) + rank].Largest, 1), Named(targets[(head * tokens) + rank].Smallest, -1))).ToArray())],
        };
    }

    /// <summary>The operations as CSV: <see cref="Table"/> below a header.</summary>
    public string ToCsv() => Table.ToCsv();

    /// <summary>The operations as JSON: the model, and in <c>heads</c> an object for each head.</summary>
    /// <returns>An object with model and heads: layer, head, firstMlp, meanAmplification, operations: id, token, amplification,
    /// targetIds, targets, values, suppressedIds, suppressed, suppressedValues.</returns>
    public string ToJson() => ResultJson.Write(
        "headscope-salient-operations",
        new
        {
            model = Model,
            heads = Heads.Select((head, at) => new
            {
                layer = head.Layer, head = head.Index, firstMlp = FirstMlp, meanAmplification = Means[at], operations = Operations[at].Select(Told),
            }),
        },
        indented: true);

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', Heads.Select((head, at) =>
        $"{head}: {string.Join("; ", Operations[at].Take(3).Select(o => $"'{o.Text}' → {string.Join(", ", o.Targets.Take(2).Select(t => $"'{t.Text}'"))}"))}"));

    internal static object Told(Operation operation) => new
    {
        id = operation.Token, token = operation.Text, amplification = operation.Amplification,
        targetIds = operation.Targets.Select(t => t.Token), targets = operation.Targets.Select(t => t.Text), values = operation.Targets.Select(t => t.Logit),
        suppressedIds = operation.Suppressed.Select(t => t.Token), suppressed = operation.Suppressed.Select(t => t.Text),
        suppressedValues = operation.Suppressed.Select(t => t.Logit),
    };

    private Tensor Ids(Func<Operation, IEnumerable<long>> of, params long[] each) =>
        tensor([.. Operations.SelectMany(o => o.SelectMany(of))], [Heads.Count, Operations[0].Count, .. each]);

    private Tensor Numbers(Func<Operation, IEnumerable<float>> of, params long[] each) =>
        tensor([.. Operations.SelectMany(o => o.SelectMany(of))], [Heads.Count, Operations[0].Count, .. each]);
}
