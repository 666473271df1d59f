using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>Static scores against the authors' own code; shared/reference/maps says how exact they have to be.</summary>
public class HeadMapReferenceTests
{
    public static TheoryData<string> Relations =>
    [
        "adj_antonym", "adj_comparative", "country_to_capital_wikidata", "country_to_official_language_wikidata", "english_to_french",
        "english_to_spanish", "entity_to_pronoun", "general_copying_english_500", "name_copying", "product_by_company", "verb_past_tense",
        "word_first_letter", "word_to_compound", "word_to_homophone", "word_to_synonym", "work_location",
    ];

    [Theory]
    [InlineData("tiny-gpt2")]
    [InlineData("tiny-llama-gqa")]
    public void A_tiny_model_has_the_reference_s_hits_exactly(string name)
    {
        var folder = TestData.Shared("reference", "maps", name);
        using var model = Model.Load(folder);
        using var golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        (string, string, int, int)[] pairs = [.. golden.RootElement.GetProperty("pairs").EnumerateArray().Select(
            p => (p[0].ToString(), p[1].ToString(), p[0].GetInt32(), p[1].GetInt32()))];
        foreach (var firstMlp in (bool[])[true, false])
        {
            var expected = golden.RootElement.GetProperty(firstMlp ? "with_first_mlp" : "without_first_mlp");
            foreach (var k in (int[])[1, 3, 10, 25])
            {
                var scored = MapsUnderTest.Score(model, "tiny", pairs, new HeadMapOptions { K = k, FirstMlp = firstMlp });
                Assert.Equal(Hits(expected.GetProperty("relation"), k), scored.Hits.Values<int>());
                Assert.Equal(Hits(expected.GetProperty("suppression"), k), scored.SuppressionHits.Values<int>());
                if (k == 10)
                {
                    var scores = expected.GetProperty("official_scores_k10");
                    Assert.Equal(Numbers(scores.GetProperty("relation")), scored.Scores.Values().Select(s => (double)s));
                    Assert.Equal(Numbers(scores.GetProperty("suppression")), scored.Suppression.Values().Select(s => (double)s));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Relations))]
    public void SmolLm2_has_the_reference_s_hits(string name)
    {
        using var golden = JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "maps", "smollm2", "static", name + ".json")));
        (string, string, int, int)[] pairs = [.. golden.RootElement.GetProperty("pairs").EnumerateArray().Select(
            p => (p[0].GetString()!, p[1].GetString()!, p[2].GetInt32(), p[3].GetInt32()))];
        foreach (var firstMlp in (bool[])[true, false])
        {
            var field = firstMlp ? "with_first_mlp" : "without_first_mlp";
            foreach (var k in (int[])[1, 10])
            {
                var scored = MapsUnderTest.Score(ReferenceModels.SmolLm2, name, pairs, new HeadMapOptions { K = k, FirstMlp = firstMlp, MinimumPairs = 1 });
                foreach (var sign in (string[])["relation", "suppression"])
                {
                    var actual = sign == "relation" ? scored.Hits : scored.SuppressionHits;
                    var expected = Hits(golden.RootElement.GetProperty(field).GetProperty(sign), k);
                    var near = golden.RootElement.GetProperty("near_boundary").GetProperty(field).GetProperty(sign).GetProperty($"k{k}");
                    var differences = actual.Values<int>().Zip(expected, (a, b) => Math.Abs(a - b)).ToArray();
                    Assert.True(
                        differences.Max() <= 1 && differences.Sum() <= near.GetProperty("rel_1e-5").GetInt32(),
                        $"{field}, {sign}, k = {k}: {differences.Sum()} hits differ");
                }
            }
        }
    }

    private static int[] Hits(JsonElement sign, int k) => [.. Numbers(sign.GetProperty("hits").GetProperty($"k{k}")).Select(n => (int)n)];

    private static double[] Numbers(JsonElement table) => [.. table.EnumerateArray().SelectMany(row => row.EnumerateArray()).Select(n => n.GetDouble())];
}
