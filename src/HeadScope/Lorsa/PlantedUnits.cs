using System.Numerics.Tensors;
using TorchSharp;

namespace HeadScope;

/// <summary>How well a planted unit was found again.</summary>
/// <param name="Unit">The planted unit.</param>
/// <param name="QkHead">The attention head it is planted in.</param>
/// <param name="Head">The Lorsa head of that QK head whose activations correlate best with the unit's.</param>
/// <param name="ReadCosine">The cosine of what the two read.</param>
/// <param name="WriteCosine">The cosine of what the two write.</param>
/// <param name="Correlation">The Pearson correlation of the two activations over tokens.</param>
public sealed record PlantedUnitMatch(int Unit, int QkHead, int Head, double ReadCosine, double WriteCosine, double Correlation)
{
    /// <summary>Whether both directions agree to |cos| &gt; 0.9.</summary>
    public bool IsRecovered => Math.Abs(ReadCosine) > 0.9 && Math.Abs(WriteCosine) > 0.9;
}

/// <summary>What a Lorsa found of planted units.</summary>
/// <param name="Lorsa">The Lorsa.</param>
/// <param name="Evaluation">Its quality on fresh contexts.</param>
/// <param name="Matches">The match of every unit.</param>
public sealed record PlantedUnitsResult(Lorsa Lorsa, LorsaEvaluation Evaluation, IReadOnlyList<PlantedUnitMatch> Matches)
{
    /// <summary>How many units were found.</summary>
    public int Recovered => Matches.Count(match => match.IsRecovered);

    /// <inheritdoc/>
    public override string ToString() =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture,
            $"{Recovered} of {Matches.Count} planted units recovered, explained variance {Evaluation.ExplainedVariance:f3}");
}

/// <summary>
/// Attention in superposition with a known answer: 24 units in 2 heads of a toy attention layer, each reading one direction and writing
/// another. Tokens carry one of 8 tags; head 0 attends to earlier tokens with the same tag, head 1 to those with the next tag. Which units
/// a trained Lorsa recovers can be counted.
/// </summary>
public sealed class PlantedUnits : ActivationSource
{
    private const int Tags = 8, Units = 24, QkWidth = 8, ContextTokens = 16;
    private const double FeatureProbability = 0.05, MatchingScore = 12;

    private readonly float[] tags;
    private readonly float[] read;
    private readonly float[] write;
    private readonly LorsaPass layer;
    private readonly LorsaParameters planted;
    private readonly int seed;

    /// <summary>Plants units at random.</summary>
    /// <param name="seed">Seeds directions and contexts.</param>
    public PlantedUnits(int seed = 0)
    {
        this.seed = seed;
        var random = new Random(seed);
        var basis = ThinQr.Of(Normal(random, ModelWidth * ModelWidth), ModelWidth, ModelWidth).QTransposed;
        tags = Columns(0, Tags);
        read = Columns(Tags, Units);
        write = Array.ConvertAll(Normal(random, Units * ModelWidth), v => (float)v);
        for (var u = 0; u < Units; u++)
        {
            var row = write.AsSpan(u * ModelWidth, ModelWidth);
            TensorPrimitives.Divide(row, TensorPrimitives.Norm<float>(row), row);
        }

        // The layer is itself a Lorsa whose heads are all active.
        Layer = new LorsaConfig
        {
            ModelWidth = ModelWidth, Heads = Units, QkHeads = 2, QkWidth = QkWidth, ContextLength = ContextTokens,
            Activation = LorsaActivation.Dense, HasOutputBias = false, HookIn = "x", HookOut = "y",
        };
        planted = new LorsaParameters(Layer);
        read.CopyTo(planted.ValueWeight, 0);
        write.CopyTo(planted.OutputWeight, 0);
        var size = (float)Math.Sqrt(MatchingScore * Math.Sqrt(QkWidth));
        for (var g = 0; g < 2; g++)
        {
            for (var c = 0; c < ModelWidth; c++)
            {
                for (var tag = 0; tag < Tags; tag++)
                {
                    var at = (((g * ModelWidth) + c) * QkWidth) + ((tag + g) % Tags);
                    planted.QueryWeight[at] = size * tags[(tag * ModelWidth) + c];
                    planted.KeyWeight[(((g * ModelWidth) + c) * QkWidth) + tag] = size * tags[(tag * ModelWidth) + c];
                }
            }
        }

        layer = new LorsaPass(Layer, 1, ContextTokens);

        float[] Columns(int first, int count)
        {
            var rows = new float[count * ModelWidth];
            for (var i = 0; i < count; i++)
            {
                for (var c = 0; c < ModelWidth; c++)
                {
                    rows[(i * ModelWidth) + c] = (float)basis[first + i, c];
                }
            }

            return rows;
        }
    }

    /// <inheritdoc/>
    public override int ModelWidth => Tags + Units;

    /// <summary>The number of planted units.</summary>
    public int Count => Units;

    /// <summary>What each unit reads, [units, d], fp32.</summary>
    public torch.Tensor Read => torch.tensor(read, [Units, ModelWidth]);

    /// <summary>What each unit writes, [units, d], fp32.</summary>
    public torch.Tensor Write => torch.tensor(write, [Units, ModelWidth]);

    internal LorsaConfig Layer { get; }

    /// <summary>Trains a Lorsa on planted units, its queries and keys given, and counts what it recovered: about a million tokens.</summary>
    /// <param name="seed">Seeds everything.</param>
    /// <param name="heads">n, the number of OV heads.</param>
    /// <param name="steps">The training steps, of 512 tokens each.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops the training.</param>
    /// <returns>The Lorsa and the matches.</returns>
    public static PlantedUnitsResult Recover(
        int seed = 0, int heads = 64, int steps = 2000, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        const int Batch = 32;
        var source = new PlantedUnits(seed);
        var config = source.Layer with { Heads = heads, Activation = LorsaActivation.TopK, TopK = 4, HasOutputBias = true };
        var options = new LorsaTrainingOptions
        {
            Heads = heads, QkHeads = config.QkHeads, TopK = config.TopK, ContextLength = ContextTokens, BatchSequences = Batch,
            Tokens = (long)steps * Batch * ContextTokens, LearningRate = 3e-3, InitialTopK = 16, TopKWarmUp = 0.2, Seed = seed,
            HeldOutSequences = 0, ReportEvery = 100, EvaluateEvery = 0,
        };
        var original = new OriginalAttention
        {
            Heads = 2, HeadWidth = QkWidth, Query = source.planted.QueryWeight, Key = source.planted.KeyWeight, Value = [], Output = [],
            QueryBias = new float[2 * QkWidth], KeyBias = new float[2 * QkWidth],
        };
        var lorsa = Lorsa.Train(source, config, options, original, progress, cancellationToken);
        var fresh = new[] { source.Contexts(long.MaxValue / 2, 1024) };
        return new PlantedUnitsResult(lorsa, LorsaEvaluation.Of(lorsa, fresh, cancellationToken), source.Match(lorsa, 1024));
    }

    /// <summary>Finds for every unit the head that behaves most like it.</summary>
    /// <param name="lorsa">A Lorsa trained on these units, its QK heads in the order of the planted ones.</param>
    /// <param name="contexts">On how many fresh contexts activations are compared.</param>
    /// <returns>The match of every unit.</returns>
    public IReadOnlyList<PlantedUnitMatch> Match(Lorsa lorsa, int contexts = 1024)
    {
        ArgumentNullException.ThrowIfNull(lorsa);
        var batch = Contexts(long.MaxValue / 2, contexts);
        var truth = new LorsaPass(Layer, contexts, ContextTokens);
        truth.Attend(planted, batch.InputNumbers);
        return Match(lorsa, batch, truth.PreActivations, read, write, u => u / (Units / 2));
    }

    /// <inheritdoc/>
    public override bool HasHeldOut => false;

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

    /// <summary>Matches heads to units whose activations on a batch are given, [N, units].</summary>
    internal static IReadOnlyList<PlantedUnitMatch> Match(
        Lorsa lorsa, ActivationBatch batch, float[] unitActivations, float[] read, float[] write, Func<int, int> qkHeadOf)
    {
        var (d, r) = (lorsa.Config.ModelWidth, lorsa.Config.GroupSize);
        var units = read.Length / d;
        var pass = lorsa.Pass(batch.InputNumbers, batch.Sequences, batch.Length);
        var activations = new double[lorsa.Config.Heads][];
        for (var i = 0; i < activations.Length; i++)
        {
            activations[i] = new double[pass.Tokens];
        }

        for (var t = 0; t < pass.Tokens; t++)
        {
            for (var j = t * pass.Entries.Capacity; j < (t * pass.Entries.Capacity) + pass.Entries.MainCount[t]; j++)
            {
                activations[pass.Entries.Head[j]][t] = pass.Entries.Value[j];
            }
        }

        return [.. Enumerable.Range(0, units).Select(u =>
        {
            var unit = Enumerable.Range(0, pass.Tokens).Select(t => (double)unitActivations[(t * units) + u]).ToArray();
            var (head, correlation) = Enumerable.Range(qkHeadOf(u) * r, r)
                .Select(i => (i, Correlation(activations[i], unit))).MaxBy(pair => pair.Item2);
            return new PlantedUnitMatch(
                u, qkHeadOf(u), head, Cosine(lorsa.Parameters.ValueWeight, read), Cosine(lorsa.Parameters.OutputWeight, write), correlation);

            double Cosine(float[] found, float[] wanted) =>
                TensorPrimitives.CosineSimilarity<float>(found.AsSpan(head * d, d), wanted.AsSpan(u * d, d));
        })];

        static double Correlation(double[] x, double[] y) => x.All(v => v == 0) ? 0 : Statistics.Pearson(x, y).R;
    }

    private static double[] Normal(Random random, int count)
    {
        var values = new double[count];
        for (var i = 0; i < count; i++)
        {
            var (u, v) = (1 - random.NextDouble(), random.NextDouble());
            values[i] = Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v);
        }

        return values;
    }

    /// <summary>Contexts by their number: each token is a tag plus a few features.</summary>
    private ActivationBatch Contexts(long first, int count)
    {
        var d = ModelWidth;
        var x = new float[count * ContextTokens * d];
        for (var i = 0; i < count; i++)
        {
            var random = new Random(unchecked((int)(((first + i) * 7919) + (seed * 104_729L))));
            for (var t = 0; t < ContextTokens; t++)
            {
                var row = x.AsSpan(((i * ContextTokens) + t) * d, d);
                tags.AsSpan(random.Next(Tags) * d, d).CopyTo(row);
                for (var u = 0; u < Units; u++)
                {
                    if (random.NextDouble() < FeatureProbability)
                    {
                        TensorPrimitives.MultiplyAdd(read.AsSpan(u * d, d), (float)(0.5 + random.NextDouble()), row, row);
                    }
                }
            }
        }

        var pass = count == 1 ? layer : new LorsaPass(Layer, count, ContextTokens);
        pass.Attend(planted, x);
        pass.Sparsify(planted, Units);
        pass.Decode(planted);
        return new ActivationBatch(count, ContextTokens, x, pass.Reconstruction.ToArray(), [.. Enumerable.Repeat(1f, count * ContextTokens)], []);
    }
}
