using System.Globalization;
using Microsoft.Data.Analysis;
using static TorchSharp.torch;

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

    /// <summary>The matches: <c>unit</c>, <c>qk head</c>, <c>head</c>, <c>read cosine</c>, <c>write cosine</c>, <c>correlation</c>.</summary>
    public DataFrame Table => new(
        new Int32DataFrameColumn("unit", Matches.Select(match => match.Unit)),
        new Int32DataFrameColumn("qk head", Matches.Select(match => match.QkHead)),
        new Int32DataFrameColumn("head", Matches.Select(match => match.Head)),
        new DoubleDataFrameColumn("read cosine", Matches.Select(match => match.ReadCosine)),
        new DoubleDataFrameColumn("write cosine", Matches.Select(match => match.WriteCosine)),
        new DoubleDataFrameColumn("correlation", Matches.Select(match => match.Correlation)));

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
