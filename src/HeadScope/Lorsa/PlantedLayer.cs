using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// A toy attention layer and its inputs: tokens carry one of 8 tags and a few of 24 features; head 0 attends to earlier tokens with the same
/// tag, head 1 to those with the next. Each of 24 units reads one feature by one of the heads and writes a random direction.
/// </summary>
internal sealed class PlantedLayer : ActivationSource, IDisposable
{
    private const int Tags = 8, Units = 24, QkWidth = 8, ContextTokens = 16;
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

        Tensor Normal(int rows) => tensor(
            [.. Enumerable.Range(0, rows * ModelWidth).Select(_ => (1 - random.NextDouble(), random.NextDouble()))
                .Select(pair => Math.Sqrt(-2 * Math.Log(pair.Item1)) * Math.Cos(2 * Math.PI * pair.Item2))],
            [rows, ModelWidth]);
    }

    /// <inheritdoc/>
    public override int ModelWidth => Tags + Units;

    /// <inheritdoc/>
    public override bool HasHeldOut => false;

    /// <summary>The layer, whose heads are the units.</summary>
    public Lorsa Layer { get; }

    /// <summary>Its queries and keys.</summary>
    public OriginalAttention Attention { get; }

    /// <inheritdoc/>
    public override IEnumerable<ActivationBatch> Batches(
        long firstSequence, int sequences, CancellationToken cancellationToken = default)
    {
        for (var next = firstSequence; ; next += sequences)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return Contexts(next, sequences);
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default) => [];

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
        return new(scope.MoveToOuter(x), scope.MoveToOuter(y), scope.MoveToOuter(ones([count, ContextTokens])));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        basis.Dispose();
        Layer.Dispose();
    }
}
