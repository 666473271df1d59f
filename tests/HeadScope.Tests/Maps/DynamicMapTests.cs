using System.Text.Json;

namespace HeadScope.Tests;

public class DynamicMapTests
{
    private static readonly (string Golden, bool Context, bool Suppression)[] Kinds =
    [
        ("corr_wo_context", false, false), ("corr_w_context", true, false),
        ("supp_corr_wo_context", false, true), ("supp_corr_w_context", true, true),
    ];

    [Theory]
    [InlineData("tiny-gpt2", 0)]
    [InlineData("tiny-llama-gqa", 1)]
    public void A_tiny_model_has_the_reference_s_dynamic_scores(string name, int allowed)
    {
        var folder = TestData.Shared("reference", "maps", name);
        using var model = Model.Load(folder);
        using var golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        var dynamic = golden.RootElement.GetProperty("dynamic");
        (string Source, string Target, int SourceToken, int TargetToken)[] pairs = [.. golden.RootElement.GetProperty("pairs").EnumerateArray().Select(
            p => (p[0].ToString(), p[1].ToString(), p[0].GetInt32(), p[1].GetInt32()))];
        var templates = dynamic.GetProperty("templates").EnumerateArray().ToArray();
        var scored = MapsUnderTest.Score(model, "tiny", pairs, new HeadMapOptions { K = dynamic.GetProperty("k").GetInt32() });
        var scores = MapsUnderTest.Dynamic(
            model, scored, [.. templates.Select(t => Ids(t, pairs))], [.. pairs.Select(p => p.TargetToken)], batchSize: 16);
        var expected = Tables((context, suppression) => templates.Select(
            t => t.GetProperty($"{(context ? "w" : "wo")}_context_{(suppression ? "suppression_" : "")}dynamic_relation_scores")));
        Assert.InRange(Kinds.Sum(kind => Differences(scores, kind.Context, kind.Suppression, expected)), 0, allowed);
        RequireCorrelations(scores, expected, dynamic.GetProperty("correlations"));
    }

    [Theory]
    [InlineData("country_to_capital_wikidata")]
    [InlineData("adj_comparative")]
    [InlineData("name_copying")]
    public void SmolLm2_has_the_reference_s_dynamic_scores(string name)
    {
        using var golden = Golden("dynamic", name);
        var (relation, scores) = Score(name, [.. golden.RootElement.GetProperty("templates").EnumerateArray().Select(t => t.GetProperty("template").GetString()!)]);
        Assert.Equal(golden.RootElement.GetProperty("pairs_kept").GetInt32(), relation.Pairs.Count);
        Assert.Equal(golden.RootElement.GetProperty("k").GetInt32(), relation.K);
        var expected = Tables((context, suppression) => golden.RootElement
            .GetProperty(context ? "with_context" : "without_context").GetProperty(suppression ? "suppression" : "relation").EnumerateArray());
        Assert.All(Kinds, kind => Assert.InRange(Differences(scores, kind.Context, kind.Suppression, expected), 0, 3));
        RequireCorrelations(scores, expected, golden.RootElement.GetProperty("correlations_official_all_templates"));
    }

    [Fact]
    public void SmolLm2_has_the_reference_s_scores_for_sources_of_several_tokens()
    {
        using var golden = Golden("multi_token", "country_to_capital_wikidata");
        var scores = DynamicMap.ScoreSeveralTokens(
            ReferenceModels.SmolLm2, ReferenceModels.Relation("country_to_capital_wikidata"), golden.RootElement.GetProperty("template").GetString()!);
        Assert.Equal(golden.RootElement.GetProperty("pairs_kept").GetInt32(), scores.Prompts);
        var expected = Tables((context, suppression) =>
            [golden.RootElement.GetProperty(context ? "with_context" : "without_context").GetProperty(suppression ? "suppression" : "relation")]);
        Assert.All(Kinds, kind => Assert.InRange(Differences(scores, kind.Context, kind.Suppression, expected), 0, 3));
        RequireCorrelations(scores, expected, golden.RootElement.GetProperty("correlations_official"));
    }

    [Fact]
    public void The_demo_model_s_dynamic_scores_follow_its_static_ones()
    {
        using var model = Model.Load("demo");
        var map = DynamicMap.Score(model, [Relations.CountryToCapital, Relations.NameCopying]);
        Assert.Equal(2, map.Relations.Count);
        var capitals = map["country_to_capital"];
        Assert.Equal(4 * 32, capitals.Table.Rows.Count);
        Assert.Equal(4 * 32, capitals.Correlate(context: false).Count);
        Assert.Equal(32, capitals.Correlate(context: false, template: Relations.DynamicPrompts[0]).Count);
        Assert.Equal(3, map.ToCsv().TrimEnd('\n').Split('\n').Length);

        // At layer 0 a head's value of the source is the static value seen through the norm of layer 0: batches change nothing.
        var again = DynamicMap.Score(model, [Relations.CountryToCapital], batchSize: 7);
        Assert.Equal(capitals.Hits(context: true).Values<int>(), again["country_to_capital"].Hits(context: true).Values<int>());
    }

    [Fact]
    public void Bad_templates_are_named()
    {
        using var model = Model.Load("demo");
        string Message(params string[] templates) => Assert.Throws<ArgumentException>(
            () => DynamicMap.Score(model, [Relations.CountryToCapital], templates: templates)).Message;
        Assert.Contains("one <X>", Message("No place"), StringComparison.Ordinal);
        Assert.Contains("one <X>", Message("<X> and <X>"), StringComparison.Ordinal);
        Assert.Contains("put a space before <X>", Message("over<X> now"), StringComparison.Ordinal);
        Assert.Contains("no templates", Message(), StringComparison.Ordinal);
        Assert.Contains(
            "does not end with <X>",
            Assert.Throws<ArgumentException>(() => DynamicMap.ScoreSeveralTokens(model, Relations.CountryToCapital, "About <X> now")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Every_shipped_template_has_one_place_for_the_source()
    {
        Assert.Equal(4, Relations.DynamicPrompts.Count);
        foreach (var template in Relations.DynamicPrompts.Concat(Relations.All.Select(r => r.Prompt!)))
        {
            Assert.Matches("^[^<]* <X>[^<]*$", template);
        }
    }

    private static (RelationScores Static, DynamicScores Dynamic) Score(string name, string[] templates)
    {
        var map = DynamicMap.Score(ReferenceModels.SmolLm2, [ReferenceModels.Relation(name)], templates: templates);
        return (map.Static.Relations[0], map.Relations[0]);
    }

    private static JsonDocument Golden(string kind, string name) =>
        JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "maps", "smollm2", kind, name + ".json")));

    // A template of numbers is a list of tokens.
    private static (string Template, int[][] Tokens, int Position) Ids(JsonElement template, (string Source, string Target, int SourceToken, int TargetToken)[] pairs)
    {
        var text = template.GetProperty("template").GetString()!;
        return (
            text,
            [.. pairs.Select(p => text.Replace("<X>", p.Source, StringComparison.Ordinal).Split(' ').Select(int.Parse).ToArray())],
            template.GetProperty("source_position").GetInt32());
    }

    // By context and sign the hits of all templates and heads.
    private static Dictionary<(bool Context, bool Suppression), int[]> Tables(Func<bool, bool, IEnumerable<JsonElement>> templates) => Kinds.ToDictionary(
        kind => (kind.Context, kind.Suppression),
        kind => templates(kind.Context, kind.Suppression).SelectMany(t => t.EnumerateArray().SelectMany(row => row.EnumerateArray())).Select(n => n.GetInt32()).ToArray());

    // The number of heads whose hits differ; none by more than one.
    private static int Differences(DynamicScores scores, bool context, bool suppression, Dictionary<(bool Context, bool Suppression), int[]> expected)
    {
        var (actual, wanted) = (scores.Hits(context, suppression).Values<int>(), expected[(context, suppression)]);
        Assert.Equal(wanted.Length, actual.Length);
        var differences = wanted.Zip(actual, (e, a) => Math.Abs(e - a)).ToArray();
        Assert.InRange(differences.Max(), 0, 1);
        return differences.Sum();
    }

    // Those of the file's own hits are the file's; those of ours come as near to them as hits that differ allow.
    private static void RequireCorrelations(DynamicScores scores, Dictionary<(bool Context, bool Suppression), int[]> hits, JsonElement golden)
    {
        var same = MapsUnderTest.With(scores, hits);
        foreach (var (kind, context, suppression) in Kinds)
        {
            Assert.Equal(golden.GetProperty(kind).GetDouble(), scores.Correlate(context, suppression).R, 1e-3);
            var correlation = same.Correlate(context, suppression);
            Assert.Equal(golden.GetProperty(kind).GetDouble(), correlation.R, 1e-7);
            var p = golden.GetProperty(kind.Replace("corr", "pval", StringComparison.Ordinal)).GetDouble();
            if (p > 1e-300)
            {
                Assert.Equal(1, correlation.Log10PValue / Math.Log10(p), 1e-5);
            }
        }
    }
}
