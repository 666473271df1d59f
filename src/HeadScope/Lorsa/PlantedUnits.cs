namespace HeadScope;

/// <summary>
/// What a Lorsa found of attention in superposition with a known answer: 24 units planted in 2 heads of a toy attention layer, each reading one
/// direction and writing another. A unit counts as found when both of its directions agree with those of a Lorsa head to |cos| &gt; 0.9.
/// </summary>
/// <param name="Lorsa">The Lorsa.</param>
/// <param name="Evaluation">Its quality on fresh contexts.</param>
/// <param name="Matches">
/// For each unit the attention head it is planted in (<c>QkHead</c>), the Lorsa head of that QK head whose activations correlate best with its
/// own, the cosines of what the two read and of what they write, and the Pearson correlation of their activations over tokens.
/// </param>
public sealed record PlantedUnits(
    Lorsa Lorsa, LorsaEvaluation Evaluation,
    IReadOnlyList<(int Unit, int QkHead, int Head, double ReadCosine, double WriteCosine, double Correlation)> Matches)
{
    /// <summary>How many units were found.</summary>
    public int Recovered => Matches.Count(match => Math.Abs(match.ReadCosine) > 0.9 && Math.Abs(match.WriteCosine) > 0.9);

    /// <summary>The matches: unit, qk_head, head, read_cosine, write_cosine, correlation.</summary>
    public DataFrame Table => ResultTable.Of(Matches, match => new
    {
        unit = match.Unit, qk_head = match.QkHead, head = match.Head, read_cosine = match.ReadCosine, write_cosine = match.WriteCosine,
        correlation = match.Correlation,
    });

    /// <summary>Trains a Lorsa on planted units, its queries and keys given, and counts what it recovered: about a million tokens.</summary>
    /// <param name="seed">Seeds everything.</param>
    /// <param name="heads">n, the number of OV heads.</param>
    /// <param name="steps">The training steps, of 512 tokens each.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops the training.</param>
    /// <returns>The Lorsa and the matches.</returns>
    public static PlantedUnits Recover(
        int seed = 0, int heads = 64, int steps = 2000, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        const int Batch = 32, FreshContexts = 1024;
        LibTorch.Require();
        using var scope = NewDisposeScope();
        using var source = new PlantedLayer(seed);
        var config = source.Layer.Config with { Heads = heads, Activation = LorsaActivation.TopK, TopK = 4, HasOutputBias = true };
        var options = new LorsaTrainingOptions
        {
            Heads = heads, QkHeads = config.QkHeads, TopK = config.TopK, ContextLength = config.ContextLength, BatchSequences = Batch,
            Tokens = (long)steps * Batch * config.ContextLength, LearningRate = 3e-3, InitialTopK = 16, TopKWarmUp = 0.2, Seed = seed,
            HeldOutSequences = 0, ReportEvery = 100, EvaluateEvery = 0,
        };
        var lorsa = LorsaTraining.Run(source, config, options, source.Attention, progress, cancellationToken);
        var fresh = source.Contexts(long.MaxValue / 2, FreshContexts);
        var units = source.Layer.Encode(fresh.Input).PreActivations;
        var evaluation = LorsaEvaluation.Of(lorsa, [fresh], cancellationToken);
        scope.MoveToOuter(evaluation.Frequencies);
        return new(lorsa, evaluation, Match(lorsa, fresh.Input, units, source.Layer.W_V, source.Layer.W_O));
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Recovered} of {Matches.Count} planted units recovered, explained variance {Evaluation.ExplainedVariance:f3}");

    /// <summary>
    /// Matches heads to units, [units, d], by their activations on some input, [B, T, units]; units are shared out over QK heads in order.
    /// </summary>
    internal static IReadOnlyList<(int Unit, int QkHead, int Head, double ReadCosine, double WriteCosine, double Correlation)> Match(
        Lorsa lorsa, Tensor input, Tensor units, Tensor read, Tensor write)
    {
        using var scope = NewDisposeScope();
        var correlations = Normed(Centred(units)).t().mm(Normed(Centred(lorsa.Encode(input).Activations)));
        var count = (int)read.shape[0];
        var (groups, perGroup) = (lorsa.Config.QkHeads, lorsa.Config.GroupSize);
        return [.. Enumerable.Range(0, count).Select(u =>
        {
            var group = u * groups / count;
            var head = (group * perGroup) + (int)correlations[u].narrow(0, group * perGroup, perGroup).argmax().item<long>();
            return (u, group, head, Cosine(lorsa.W_V[head], read[u]), Cosine(lorsa.W_O[head], write[u]), correlations[u, head].item<double>());
        })];

        static Tensor Centred(Tensor activations)
        {
            var byToken = activations.flatten(0, 1).to(float64);
            return byToken.sub(byToken.mean([0], keepdim: true));
        }

        static Tensor Normed(Tensor columns)
        {
            var norm = columns.norm(0, keepdim: true);
            return columns.div(norm.masked_fill(norm.eq(Scalars.Of(0)), Scalars.One));
        }

        static double Cosine(Tensor x, Tensor y) => x.to(float64).dot(y.to(float64)).div(x.to(float64).norm().mul(y.to(float64).norm())).item<double>();
    }
}

/// <summary>
/// A toy attention layer and its inputs: tokens carry one of 8 tags and a few of 24 features; head 0 attends to earlier tokens with the same
/// tag, head 1 to those with the next. Each of 24 units reads one feature by one of the heads and writes a random direction.
/// </summary>
internal sealed class PlantedLayer : ActivationSource, IDisposable
{
    private const int Tags = 8, Units = 24, ModelWidth = Tags + Units, QkWidth = 8, ContextTokens = 16;
    private const double FeatureProbability = 0.05, MatchingScore = 12;

    private readonly Tensor basis;
    private readonly int seed;

    /// <summary>Plants units at random; the seed is that of directions and contexts.</summary>
    public PlantedLayer(int seed)
    {
        this.seed = seed;
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var random = new Random(seed);

        // Orthonormal rows: the directions of the tags, then those of the features.
        basis = linalg.qr(Normal(ModelWidth)).Q.t().to(float32).contiguous().DetachFromDisposeScope();
        var write = Normal(Units);

        // The layer is itself a Lorsa whose heads are all active.
        Layer = new(new LorsaConfig
        {
            ModelWidth = ModelWidth, Heads = Units, QkHeads = 2, QkWidth = QkWidth, ContextLength = ContextTokens,
            Activation = LorsaActivation.Dense, HasOutputBias = false, HookIn = "x", HookOut = "y",
        });
        Layer.Weight("W_V").copy_(basis.narrow(0, Tags, Units));
        Layer.Weight("W_O").copy_(write.div(write.norm(1, keepdim: true)));
        var toTag = basis.narrow(0, 0, Tags).t().mul(tensor((float)Math.Sqrt(MatchingScore * Math.Sqrt(QkWidth))));
        Layer.Weight("W_K").copy_(toTag.unsqueeze(0));
        Layer.Weight("W_Q").copy_(stack([toTag, toTag.roll(1, 1)]));
        Attention = new(Layer.Weight("W_Q"), Layer.Weight("W_K"), null, null, Layer.Weight("b_Q"), Layer.Weight("b_K"));

        Tensor Normal(int rows) => tensor([.. Enumerable.Range(0, rows * ModelWidth).Select(_ => random.Normal())], [rows, ModelWidth]);
    }

    /// <summary>The layer, whose heads are the units.</summary>
    public Lorsa Layer { get; }

    /// <summary>Its queries and keys.</summary>
    public OriginalAttention Attention { get; }

    /// <inheritdoc/>
    public override IEnumerable<ActivationBatch> Batches(long firstSequence, int sequences, CancellationToken cancellationToken = default)
    {
        for (var next = firstSequence; ; next += sequences)
        {
            yield return Contexts(next, sequences);
        }
    }

    /// <summary>Contexts by their number: each token is a tag plus a few features.</summary>
    public ActivationBatch Contexts(long first, int count)
    {
        var parts = new float[count * ContextTokens * ModelWidth];
        for (var i = 0; i < count; i++)
        {
            var random = new Random(unchecked((int)(((first + i) * 7919) + (seed * 104_729L))));
            for (var t = 0; t < ContextTokens; t++)
            {
                var token = parts.AsSpan(((i * ContextTokens) + t) * ModelWidth, ModelWidth);
                token[random.Next(Tags)] = 1;
                for (var u = 0; u < Units; u++)
                {
                    token[Tags + u] = random.NextDouble() < FeatureProbability ? (float)(0.5 + random.NextDouble()) : 0;
                }
            }
        }

        using var scope = NewDisposeScope();
        var x = tensor(parts, [count, ContextTokens, ModelWidth]).clone().matmul(basis);
        using var constant = no_grad();
        var y = Layer.forward(x);
        return new(scope.MoveToOuter(x), scope.MoveToOuter(y), scope.MoveToOuter(ones([count, ContextTokens], float32)));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        basis.Dispose();
        Layer.Dispose();
    }
}
