namespace HeadScope;

/// <summary>
/// Whether few singular directions of a head make its scores more than directions would by chance: the mean share of the score that the n
/// greatest contributions reach, in the singular basis, for n of the head's directions drawn at random, and in a random basis of the same
/// form. The random basis turns both sides alike: r = Σ_k (√s_k a_k)(√s_k b_k) = (Qα)·(Qβ) for any orthogonal Q, so its contributions
/// add up to the same score and only their concentration differs.
/// </summary>
/// <param name="Head">The head.</param>
/// <param name="FiringCount">Over how many firings with a positive score the means are.</param>
/// <param name="Singular">[d_head + 1]: the share of n = 0, 1, 2 … leading contributions; exceeds 1 before the negative ones take it back.</param>
/// <param name="RandomDirections">[d_head + 1]: the share of n singular directions drawn at random.</param>
/// <param name="RandomBasis">[d_head + 1]: the share of the n leading contributions in a random basis.</param>
/// <param name="SparseSize">The mean size of the sparse set in the singular basis.</param>
/// <param name="RandomSparseSize">The mean size of the sparse set in a random basis.</param>
public sealed record LowRankCheck(
    Head Head,
    int FiringCount,
    IReadOnlyList<double> Singular,
    IReadOnlyList<double> RandomDirections,
    IReadOnlyList<double> RandomBasis,
    double SparseSize,
    double RandomSparseSize)
{
    /// <summary>Checks every head that fires.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="signals">Its firings.</param>
    /// <param name="seed">The seed of the random directions and bases.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>One check for each head, by layer and head.</returns>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static IReadOnlyList<LowRankCheck> Of(
        Model model,
        Signals signals,
        int seed = 0,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(signals);
        var folded = CircuitModel.Of(model);
        var omegas = new OmegaCache(folded);
        var sums = new SortedDictionary<Head, Sums>();
        var batch = signals.Options.BatchSize;
        var byBatch = signals.Firings.Where(f => f.Signal.Score > 0).ToLookup(f => f.Prompt / batch);
        for (var first = 0; first < signals.Prompts.Count; first += batch)
        {
            progress?.Report(new("checking", first, signals.Prompts.Count, "prompts"));
            var activations = CircuitActivations.Of(folded, signals.Prompts.Prompts, first, batch, cancellationToken);
            foreach (var firing in byBatch[first / batch])
            {
                if (!sums.TryGetValue(firing.Head, out var sum))
                {
                    sums[firing.Head] = sum = new Sums(firing.Head, signals.HeadWidth, seed);
                }

                sum.Add(firing, activations, omegas);
            }
        }

        progress?.Report(new("checking", signals.Prompts.Count, signals.Prompts.Count, "prompts"));
        return [.. sums.Values.Select(s => s.Check())];
    }

    private sealed class Sums(Head head, int width, int seed)
    {
        // A seed of its own for each head, so that no head's draws depend on another's firings.
        private readonly Random random = new(unchecked((seed * 1_000_003) + (head.Layer * 1009) + head.Index));
        private readonly double[] singular = new double[width + 1];
        private readonly double[] directions = new double[width + 1];
        private readonly double[] basis = new double[width + 1];
        private int count;
        private long sparse;
        private long randomSparse;

        public LowRankCheck Check() => new(
            head, count, Mean(singular), Mean(directions), Mean(basis), (double)sparse / count, (double)randomSparse / count);

        public void Add(Firing firing, CircuitActivations activations, OmegaCache omegas)
        {
            var core = omegas.Between(head, firing.Destination, firing.Source);
            var (alpha, beta) = (Scaled(SignalSide.Destination, firing.Destination), Scaled(SignalSide.Source, firing.Source));
            var contributions = Products(alpha, beta);
            var score = contributions.Sum();
            AddShares(singular, contributions.OrderDescending(), score);
            var drawn = contributions.ToArray();
            random.Shuffle(drawn);
            AddShares(directions, drawn, score);
            Turn(alpha, beta);
            var turned = Products(alpha, beta);
            AddShares(basis, turned.OrderDescending(), score);
            sparse += SparseSet.Of(contributions).Directions.Count;
            randomSparse += SparseSet.Of(turned).Directions.Count;
            count++;

            double[] Scaled(SignalSide side, int position)
            {
                var normalized = activations.Normalized(head.Layer, firing.Prompt - activations.FirstPrompt, position);
                var inBasis = omegas.FactorsOf(head).ToBasis(side, new(normalized, 1, normalized.Length));
                return [.. core.Project(side, inBasis).Select((a, k) => a * Math.Sqrt(core.SingularValues[k]))];
            }
        }

        private static double[] Products(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x * y)];

        // The same random reflections on both: with as many as there are dimensions their product is a uniformly random orthogonal matrix
        // up to signs (Stewart, 1980), and no matrix has to be made.
        private void Turn(double[] alpha, double[] beta)
        {
            var normal = new double[alpha.Length];
            for (var start = 0; start < alpha.Length - 1; start++)
            {
                var square = 0.0;
                for (var i = start; i < normal.Length; i++)
                {
                    normal[i] = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
                    square += normal[i] * normal[i];
                }

                // Stewart's vector: the drawn one, with its norm added to the first entry.
                var norm = Math.CopySign(Math.Sqrt(square), normal[start]);
                square += (2 * norm * normal[start]) + (norm * norm);
                normal[start] += norm;
                Reflect(alpha);
                Reflect(beta);

                void Reflect(double[] x)
                {
                    var dot = 0.0;
                    for (var i = start; i < x.Length; i++)
                    {
                        dot += normal[i] * x[i];
                    }

                    for (var i = start; i < x.Length; i++)
                    {
                        x[i] -= 2 * dot / square * normal[i];
                    }
                }
            }
        }

        private static void AddShares(double[] sums, IEnumerable<double> contributions, double score)
        {
            var (n, sum) = (0, 0.0);
            foreach (var contribution in contributions)
            {
                sum += contribution;
                sums[++n] += sum / score;
            }
        }

        private double[] Mean(double[] sums) => [.. sums.Select(s => s / count)];
    }
}
