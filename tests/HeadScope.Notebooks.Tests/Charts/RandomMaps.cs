namespace HeadScope.Notebooks.Tests;

/// <summary>Head maps of models of any shape, with scores by chance: a few heads are strong, most are not.</summary>
internal static class RandomMaps
{
    private static readonly string[] Relations =
    [
        "country_to_capital", "country_to_language", "object_to_superclass", "work_to_location", "word_to_antonym", "adjective_to_comparative", "adjective_to_superlative",
        "entity_to_pronoun", "verb_to_past_tense", "word_to_compound", "word_to_homophone", "word_to_synonym", "word_to_first_letter", "word_to_last_letter", "word_copying",
        "name_copying", "english_to_french", "english_to_spanish",
    ];

    /// <summary>Makes one.</summary>
    public static HeadMap Of(int layers, int heads, string model = "meta-llama/Llama-3.1-8B-Instruct")
    {
        var random = new Random((100 * layers) + heads);
        TokenPair[] pairs = [.. Enumerable.Range(0, 40).Select(i => new TokenPair($"source {i}", $"target {i}", i, i))];
        int[] Hits() => [.. Enumerable.Range(0, layers * heads).Select(_ => (int)(40 * Math.Pow(random.NextDouble(), 9)))];
        return new(model, layers, heads, heads, FirstMlp: true, (1, 1), [.. Relations.Select(name =>
            new RelationScores(new TokenRelation(name, "knowledge", pairs, []), 10, layers, heads, [Hits(), Hits()], [[], []]))]);
    }
}
