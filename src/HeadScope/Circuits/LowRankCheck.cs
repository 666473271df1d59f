using Microsoft.Data.Analysis;
using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>The sums behind <see cref="Signals.LowRank"/> for one head, over its firings with a positive score.</summary>
internal sealed class LowRankCheck(Head head, int seed)
{
    // Seeds of its own for each head, so that no head's draws depend on another's firings, nor on how the prompts are batched.
    private readonly Random bases = new(unchecked((seed * 1_000_003) + (head.Layer * 1009) + head.Index));
    private readonly Random orders = new(unchecked((seed * 1_000_003) + (head.Layer * 1009) + head.Index + 1_000_000));
    private readonly List<double[]> sums = [];
    private long sparse;
    private long randomSparse;

    /// <summary>How many firings there were.</summary>
    public int Firings { get; private set; }

    /// <summary>Adds some firings of the head.</summary>
    /// <param name="signals">The signals of its layer.</param>
    /// <param name="places">Which of them.</param>
    public void Add(LayerSignals signals, Tensor places)
    {
        using var scope = NewDisposeScope();
        var scores = signals.Sets.Scores.index_select(0, places);
        var at = places.index_select(0, scores.gt(Scalars.Of(0)).nonzero().squeeze(1));
        var (n, rank) = (at.shape[0], signals.SingularValues.shape[1]);
        if (n == 0)
        {
            return;
        }

        var root = signals.SingularValues.index_select(0, at).sqrt();
        var (alpha, beta) = (signals.Destinations.index_select(0, at).mul(root), signals.Sources.index_select(0, at).mul(root));
        var contributions = signals.Contributions.index_select(0, at);

        // The orthogonal factor of a matrix of normal numbers is uniformly random, up to signs, which change no product.
        var (turn, _) = linalg.qr(Draw(n * rank * rank, () => Math.Sqrt(-2 * Math.Log(1 - bases.NextDouble())) * Math.Cos(2 * Math.PI * bases.NextDouble())).view(n, rank, rank));
        var turned = alpha.unsqueeze(1).bmm(turn).mul(beta.unsqueeze(1).bmm(turn)).squeeze(1);
        Tensor[] ranked = [Falling(contributions), contributions.gather(1, Draw(n * rank, orders.NextDouble).view(n, rank).argsort(1)), Falling(turned)];
        for (var kind = 0; kind < ranked.Length; kind++)
        {
            var shares = ranked[kind].cumsum(1).div(contributions.sum([1], keepdim: true)).sum([0]).Copied<double>();
            if (sums.Count == kind)
            {
                sums.Add(new double[rank + 1]);
            }

            for (var k = 0; k < rank; k++)
            {
                sums[kind][k + 1] += shares[k];
            }
        }

        sparse += SparseSets.Of(contributions).Sizes.Copied<int>().Sum();
        randomSparse += SparseSets.Of(turned).Sizes.Copied<int>().Sum();
        Firings += (int)n;

        Tensor Draw(long count, Func<double> next) => tensor([.. Enumerable.Range(0, (int)count).Select(_ => next())], device: places.device);

        static Tensor Falling(Tensor x) => x.sort(1, descending: true).Values;
    }

    /// <summary>The means of several heads as a table.</summary>
    public static DataFrame Table(IReadOnlyList<LowRankCheck> checks)
    {
        var rows = checks.SelectMany(c => Enumerable.Range(0, c.sums[0].Length), (c, n) => (Check: c, Directions: n)).ToList();
        return new(
            new StringDataFrameColumn("head", rows.Select(r => r.Check.Head.ToString())),
            new Int32DataFrameColumn("firings", rows.Select(r => r.Check.Firings)),
            new Int32DataFrameColumn("directions", rows.Select(r => r.Directions)),
            Shares("singular", 0),
            Shares("random_directions", 1),
            Shares("random_basis", 2),
            new DoubleDataFrameColumn("sparse_size", rows.Select(r => (double)r.Check.sparse / r.Check.Firings)),
            new DoubleDataFrameColumn("random_sparse_size", rows.Select(r => (double)r.Check.randomSparse / r.Check.Firings)));

        DoubleDataFrameColumn Shares(string name, int kind) => new(name, rows.Select(r => r.Check.sums[kind][r.Directions] / r.Check.Firings));
    }

    private Head Head => head;
}
