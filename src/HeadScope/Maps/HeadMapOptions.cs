using System.Text.RegularExpressions;

namespace HeadScope;

/// <summary>How heads are scored. The defaults are those of the paper (arXiv 2412.11965, section 4.1 and appendix A).</summary>
public sealed partial record HeadMapOptions
{
    /// <summary>
    /// A target counts when it is among the k largest logits; null for the published rule: 1 for copying relations and 10 for others;
    /// 3 and 25 when the model's name contains <c>Llama-3</c>, or <c>Llama 3</c> as GGUF files write it (but not <c>Llama 3B</c>, a size).
    /// </summary>
    public int? K { get; init; }

    /// <summary>Whether the source's embedding passes the first MLP before heads of layers above 0 read it.</summary>
    public bool FirstMlp { get; init; } = true;

    /// <summary>A relation with fewer single-token pairs is skipped; the paper's experiments skip below 30.</summary>
    public int MinimumPairs { get; init; } = 30;

    /// <summary>How many example pairs are kept for each head and sign, to be shown beside its score.</summary>
    public int Examples { get; init; } = 8;

    /// <summary>Which part of the heads is scored, counted from 1: (3, 16) is the third of sixteen equal parts of the heads in
    /// (layer, head) order. <see cref="HeadMap.Merge"/> joins the parts.</summary>
    public (int Part, int Of) Shard { get; init; } = (1, 1);

    internal int KFor(bool copying, string model) =>
        K ?? (Llama3().IsMatch(model), copying) switch
        {
            (false, true) => 1,
            (false, false) => 10,
            (true, true) => 3,
            (true, false) => 25,
        };

    [GeneratedRegex("llama[-_ ]?3(?![0-9b])", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Llama3();
}
