using System.Collections.Concurrent;
using HeadScope.Transformers;

namespace HeadScope.Circuits;

/// <summary>The decompositions of one model's heads, each made when it is first asked for. Safe to use from several threads.</summary>
internal sealed class OmegaCache(TransformerModel model)
{
    private readonly ConcurrentDictionary<Head, Lazy<OmegaFactors>> factors = new();
    private readonly ConcurrentDictionary<(Head Head, int RelativePosition), Lazy<Omega>> omegas = new();

    /// <summary>The decomposition of a head between two positions.</summary>
    public Omega Between(Head head, int destination, int source)
    {
        var relative = model.Config.Rotary is null ? 0 : destination - source;
        return omegas.GetOrAdd((head, relative), key => new(() => FactorsOf(key.Head).Decompose(key.RelativePosition))).Value;
    }

    private OmegaFactors FactorsOf(Head head) => factors.GetOrAdd(head, h => new(() => OmegaFactors.Of(model, h))).Value;
}
