namespace HeadScope;

/// <content>Maps of two models side by side, and groups of heads in one.</content>
public sealed partial record HeadMap
{
    /// <summary>Compares how two models implement relations.</summary>
    /// <param name="first">The map of one model, all heads scored.</param>
    /// <param name="second">The map of another.</param>
    /// <param name="threshold">A head counts as implementing a relation from this score on.</param>
    /// <returns>The relations that both maps have, side by side.</returns>
    /// <exception cref="ArgumentException">A map is only a part, or a relation was scored with different k.</exception>
    public static MapComparison Compare(HeadMap first, HeadMap second, double threshold = 0.3)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        foreach (var map in (HeadMap[])[first, second])
        {
            map.RequireWhole();
        }

        RelationScores? Other(RelationScores relation) =>
            second.Relations.FirstOrDefault(r => string.Equals(r.Name, relation.Name, StringComparison.OrdinalIgnoreCase));
        var both = first.Relations.Select(a => (First: a, Second: Other(a))).Where(p => p.Second is not null).ToArray();
        if (Array.Find(both, p => p.First.K != p.Second!.K) is { First: { } differing })
        {
            throw new ArgumentException($"'{differing.Name}' was scored with k = {differing.K} in one map and {Other(differing)!.K} in the other.", nameof(second));
        }

        return new MapComparison(
            first.Model,
            second.Model,
            threshold,
            [.. both.Select(p => new RelationComparison(
                p.First.Name,
                p.First.Category,
                RelationStrength.Of(p.First, first.LayerCount, threshold),
                RelationStrength.Of(p.Second!, second.LayerCount, threshold)))],
            [.. first.Relations.Select(r => r.Name).Except(second.Relations.Select(r => r.Name), StringComparer.OrdinalIgnoreCase)],
            [.. second.Relations.Select(r => r.Name).Except(first.Relations.Select(r => r.Name), StringComparer.OrdinalIgnoreCase)]);
    }

    /// <summary>Whether heads that share a key-value head share functions: the scores of heads in the groups of those that implement a
    /// relation, against heads of the same layer outside.</summary>
    /// <param name="threshold">A head counts as implementing a relation from this score on.</param>
    /// <returns>By relation; where each head has its own key-value head there is no group score.</returns>
    /// <exception cref="ArgumentException">The map is only a part.</exception>
    public IReadOnlyList<GroupSharing> GroupSharing(double threshold = 0.3)
    {
        RequireWhole();
        return [.. Relations.Select(r => HeadScope.GroupSharing.Of(r, HeadCount / KeyValueHeadCount, threshold))];
    }

    private void RequireWhole()
    {
        if (Shard.Count != 1)
        {
            throw new ArgumentException($"The map of {Model} is part {Shard}; merge the parts first.");
        }
    }
}
