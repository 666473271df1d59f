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
        TokenPair[] pairs = [.. golden.RootElement.GetProperty("pairs").EnumerateArray().Select(
            p => new TokenPair(p[0].ToString(), p[1].ToString(), p[0].GetInt32(), p[1].GetInt32()))];
        var templates = dynamic.GetProperty("templates").EnumerateArray().ToArray();
        var map = HeadMap.Score(model, [new TokenRelation("tiny", "", pairs, [])], new HeadMapOptions { K = dynamic.GetProperty("k").GetInt32() });
        var scores = MapsUnderTest.Dynamic(
            model, map["tiny"], [.. templates.Select(t => Ids(t, pairs))], [.. pairs.Select(p => p.TargetToken)], batchSize: 16);
        var differences = 0;
        for (var t = 0; t < templates.Length; t++)
        {
            differences += Differences(scores.Templates[t].WithContext.Relation.Values<int>(), templates[t].GetProperty("w_context_dynamic_relation_scores"));
            differences += Differences(scores.Templates[t].WithContext.Suppression.Values<int>(), templates[t].GetProperty("w_context_suppression_dynamic_relation_scores"));
            differences += Differences(scores.Templates[t].WithoutContext.Relation.Values<int>(), templates[t].GetProperty("wo_context_dynamic_relation_scores"));
            differences += Differences(scores.Templates[t].WithoutContext.Suppression.Values<int>(), templates[t].GetProperty("wo_context_suppression_dynamic_relation_scores"));
        }

        Assert.InRange(differences, 0, allowed);
        if (differences == 0)
        {
            RequireCorrelations(scores, dynamic.GetProperty("correlations"));
        }
    }

    [Theory]
    [InlineData("country_to_capital_wikidata")]
    [InlineData("adj_comparative")]
    [InlineData("name_copying")]
    public void SmolLm2_has_the_reference_s_dynamic_scores(string name)
    {
        using var golden = Golden("dynamic", name);
        var (relation, scores) = Score(name, [.. golden.RootElement.GetProperty("templates").EnumerateArray().Select(t => t.GetProperty("template").GetString()!)]);
        Assert.Equal(golden.RootElement.GetProperty("pairs_kept").GetInt32(), relation.PairsUsed);
        Assert.Equal(golden.RootElement.GetProperty("k").GetInt32(), relation.K);
        var exact = true;
        foreach (var context in (bool[])[true, false])
        {
            foreach (var suppression in (bool[])[false, true])
            {
                var table = golden.RootElement.GetProperty(context ? "with_context" : "without_context").GetProperty(suppression ? "suppression" : "relation");
                var differences = table.EnumerateArray().Select((t, i) => Differences(scores.Templates[i].Of(context).Of(suppression).Values<int>(), t)).Sum();
                Assert.InRange(differences, 0, 3);
                exact &= differences == 0;
            }
        }

        if (exact)
        {
            RequireCorrelations(scores, golden.RootElement.GetProperty("correlations_official_all_templates"));
        }
    }

    [Fact]
    public void SmolLm2_has_the_reference_s_scores_for_sources_of_several_tokens()
    {
        using var golden = Golden("multi_token", "country_to_capital_wikidata");
        var scores = DynamicMap.ScoreSeveralTokens(
            ReferenceModels.SmolLm2, ReferenceModels.Relation("country_to_capital_wikidata"), golden.RootElement.GetProperty("template").GetString()!);
        Assert.Equal(golden.RootElement.GetProperty("pairs_kept").GetInt32(), scores.Prompts);
        var exact = true;
        foreach (var context in (bool[])[true, false])
        {
            foreach (var suppression in (bool[])[false, true])
            {
                var table = golden.RootElement.GetProperty(context ? "with_context" : "without_context").GetProperty(suppression ? "suppression" : "relation");
                var differences = Differences(scores.Templates[0].Of(context).Of(suppression).Values<int>(), table);
                Assert.InRange(differences, 0, 3);
                exact &= differences == 0;
            }
        }

        if (exact)
        {
            RequireCorrelations(scores, golden.RootElement.GetProperty("correlations_official"));
        }
    }

    [Fact]
    public void The_demo_model_s_dynamic_scores_follow_its_static_ones()
    {
        using var model = Model.Load("demo");
        var map = DynamicMap.Score(model, [Relations.CountryToCapital, Relations.NameCopying]);
        Assert.Equal(2, map.Relations.Count);
        var capitals = map["country_to_capital"];
        Assert.Equal(4 * 32, capitals.Scatter(context: false).Count);
        Assert.Equal(4 * 32, capitals.Correlate(context: false).Count);
        Assert.Equal(32, capitals.Correlate(context: false, template: PromptTemplates.Dynamic[0]).Count);
        Assert.Equal(3, map.ToCsv().TrimEnd('\n').Split('\n').Length);

        // At layer 0 a head's value of the source is the static value seen through the norm of layer 0: batches change nothing.
        var again = DynamicMap.Score(model, [Relations.CountryToCapital], new DynamicOptions { BatchSize = 7 });
        Assert.Equal(capitals.Templates[3].WithContext.Relation.Values<int>(), again["country_to_capital"].Templates[3].WithContext.Relation.Values<int>());
    }

    [Fact]
    public void Bad_templates_are_named()
    {
        using var model = Model.Load("demo");
        string Message(params string[] templates) => Assert.Throws<ArgumentException>(
            () => DynamicMap.Score(model, [Relations.CountryToCapital], new DynamicOptions { Templates = templates })).Message;
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
        Assert.Equal(4, PromptTemplates.Dynamic.Count);
        foreach (var template in PromptTemplates.Dynamic.Concat(Relations.All.Select(r => PromptTemplates.Ablation(r.Name)!)))
        {
            Assert.Matches("^[^<]* <X>[^<]*$", template);
        }
    }

    private static (RelationScores Static, DynamicScores Dynamic) Score(string name, string[] templates)
    {
        var map = DynamicMap.Score(ReferenceModels.SmolLm2, [ReferenceModels.Relation(name)], new DynamicOptions { Templates = templates });
        return (map.Static.Relations[0], map.Relations[0]);
    }

    private static JsonDocument Golden(string kind, string name) =>
        JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "maps", "smollm2", kind, name + ".json")));

    // A template of numbers is a list of tokens.
    private static (string Template, int[][] Tokens, int Position) Ids(JsonElement template, TokenPair[] pairs)
    {
        var text = template.GetProperty("template").GetString()!;
        return (
            text,
            [.. pairs.Select(p => text.Replace("<X>", p.Source, StringComparison.Ordinal).Split(' ').Select(int.Parse).ToArray())],
            template.GetProperty("source_position").GetInt32());
    }

    // The number of heads whose hits differ; none by more than one.
    private static int Differences(int[] actual, JsonElement expected)
    {
        var differences = expected.EnumerateArray().SelectMany(row => row.EnumerateArray())
            .Zip(actual, (e, a) => Math.Abs(e.GetInt32() - a)).ToArray();
        Assert.InRange(differences.Max(), 0, 1);
        return differences.Sum();
    }

    private static void RequireCorrelations(DynamicScores scores, JsonElement golden)
    {
        foreach (var (kind, context, suppression) in Kinds)
        {
            var correlation = scores.Correlate(context, suppression);
            Assert.Equal(golden.GetProperty(kind).GetDouble(), correlation.R, 1e-7);
            var p = golden.GetProperty(kind.Replace("corr", "pval", StringComparison.Ordinal)).GetDouble();
            if (p > 1e-300)
            {
                Assert.Equal(1, correlation.Log10PValue / Math.Log10(p), 1e-5);
            }
        }
    }
}
