using System.Collections.Concurrent;

namespace HeadScope;

/// <summary>The decompositions of one model's heads, each made when it is first asked for. Safe to use from several threads.</summary>
internal sealed class OmegaCache(Model model)
{
    private readonly ConcurrentDictionary<Head, Lazy<OmegaFactors>> factors = new();
    private readonly ConcurrentDictionary<(Head Head, int RelativePosition), Lazy<OmegaCore>> cores = new();

    /// <summary>The factors of a head.</summary>
    public OmegaFactors FactorsOf(Head head) => factors.GetOrAdd(head, h => new(() => OmegaFactors.Of(model, h))).Value;

    /// <summary>The decomposition of a head between two positions, within the bases of its factors.</summary>
    public OmegaCore Between(Head head, int destination, int source)
    {
        var relative = model.Config.Rotary is null ? 0 : destination - source;
        return cores.GetOrAdd((head, relative), key => new(() => FactorsOf(key.Head).Core(key.RelativePosition))).Value;
    }

    /// <summary>The same with directions in the residual stream; made anew each time.</summary>
    public Omega Whole(Head head, int destination, int source) =>
        FactorsOf(head).Expand(Between(head, destination, source), model.Config.Rotary is null ? 0 : destination - source);
}
