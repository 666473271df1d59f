namespace HeadScope;

/// <summary>Counts hits by head and sign, [layer, head], and keeps the first few pairs that hit.</summary>
/// <param name="config">The shape of the model.</param>
/// <param name="heads">The heads that are scored; all others have the count -1.</param>
/// <param name="examples">How many pairs are kept for each head and sign.</param>
internal sealed class HitTally(TransformerConfig config, IReadOnlyList<Head> heads, int examples)
{
    /// <summary>Targets among the k largest.</summary>
    public OneSign Relation { get; } = new(config, heads);

    /// <summary>Targets among the k smallest.</summary>
    public OneSign Suppression { get; } = new(config, heads);

    /// <summary>Counts a hit.</summary>
    public void Add(Head head, int pair, bool suppression) => (suppression ? Suppression : Relation).Add(head, pair, examples);

    /// <summary>The hits of one sign.</summary>
    internal sealed class OneSign
    {
        private readonly Dictionary<Head, IReadOnlyList<int>> examples = [];

        public OneSign(TransformerConfig config, IReadOnlyList<Head> heads)
        {
            Hits = new int[config.LayerCount, config.HeadCount];
            for (var layer = 0; layer < config.LayerCount; layer++)
            {
                for (var head = 0; head < config.HeadCount; head++)
                {
                    Hits[layer, head] = -1;
                }
            }

            foreach (var head in heads)
            {
                Hits[head.Layer, head.Index] = 0;
            }
        }

        /// <summary>The counts, [layer, head].</summary>
        public int[,] Hits { get; }

        /// <summary>The first pairs that hit, by head.</summary>
        public IReadOnlyDictionary<Head, IReadOnlyList<int>> Examples => examples;

        public void Add(Head head, int pair, int limit)
        {
            Hits[head.Layer, head.Index]++;
            if (!examples.TryGetValue(head, out var kept))
            {
                kept = [];
            }

            if (kept.Count < limit)
            {
                examples[head] = [.. kept, pair];
            }
        }
    }
}
