using System.Text.Json;

namespace HeadScope.Tests;

public class SalientOperationsTests
{
    private static readonly Lazy<Model> DemoModel = new(() => Model.Load("demo"));

    [Theory]
    [InlineData("tiny-gpt2")]
    [InlineData("tiny-llama-gqa")]
    public void A_tiny_model_has_the_reference_s_operations(string name)
    {
        var folder = TestData.Shared("reference", "maps", name);
        using var model = Model.Load(folder);
        using var golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        var salient = golden.RootElement.GetProperty("salient");
        foreach (var group in salient.GetProperty("results").EnumerateArray().GroupBy(r => r.GetProperty("first_mlp").GetBoolean()))
        {
            RequireSame([.. group], model, salient.GetProperty("k_salient_tokens").GetInt32());
        }
    }

    [Fact]
    public void No_heads_are_no_question()
    {
        using var model = TinyModels.Load("rotary");
        Assert.Contains("No heads", Assert.Throws<ArgumentException>(() => SalientOperations.Of(model, [])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void SmolLm2_has_the_reference_s_operations()
    {
        var files = Directory.GetFiles(TestData.Shared("reference", "maps", "smollm2", "salient"), "*.json").Order(StringComparer.Ordinal);
        JsonElement[] results = [.. files.SelectMany(f => JsonDocument.Parse(File.ReadAllText(f)).RootElement.GetProperty("results").EnumerateArray())];
        Assert.NotEmpty(results);
        foreach (var group in results.GroupBy(r => r.GetProperty("first_mlp").GetBoolean()))
        {
            RequireSame([.. group], ReferenceModels.SmolLm2, 30);
        }
    }

    [Fact]
    public void All_heads_at_once_have_the_operations_of_each_alone()
    {
        var all = SalientOperations.Of(DemoModel.Value);
        Assert.Equal(DemoModel.Value.Heads, all.Heads);
        Assert.Equal([32, 15, 5], all.Targets.shape);
        foreach (var head in (Head[])[new(0, 0), new(1, 7), new(3, 5)])
        {
            var one = SalientOperations.Of(DemoModel.Value, [head]);
            var at = (head.Layer * 8) + head.Index;
            Assert.Equal(one.Tokens.Values<long>(), all.Tokens[at].Values<long>());
            Assert.Equal(one[head].SelectMany(o => o.Targets).Select(t => t.Text), all[head].SelectMany(o => o.Targets).Select(t => t.Text));
            var (mean, same) = (one.MeanAmplification.Values<double>()[0], all.MeanAmplification.Values<double>()[at]);
            Assert.Equal(mean, same, mean * 1e-6);
        }
    }

    [Fact]
    public void Csv_and_json_list_every_operation()
    {
        var operations = SalientOperations.Of(DemoModel.Value, [new Head(3, 5)], tokens: 4, mappings: 3);
        Assert.Equal(1 + (4 * 6), operations.ToCsv().TrimEnd('\n').Split('\n').Length);
        float[] Values(int sign) => [.. operations.Table.Rows.Where(row => (int)row["sign"] == sign).Select(row => (float)row["value"])];
        Assert.Equal(Values(1), operations.TargetLogits.Values<float>());
        Assert.Equal(Values(-1), operations.SuppressedLogits.Values<float>());
        Assert.Equal(operations[new(3, 5)].Select(o => o.Amplification), operations.Amplifications.Values<float>());
        using var json = JsonDocument.Parse(operations.ToJson());
        var head = json.RootElement.GetProperty("heads")[0];
        Assert.Equal(3, head.GetProperty("layer").GetInt32());
        Assert.Equal(operations[new(3, 5)][1].Text, head.GetProperty("operations")[1].GetProperty("token").GetString());
        Assert.Equal(
            operations[new(3, 5)][1].Targets.Select(t => t.Token),
            head.GetProperty("operations")[1].GetProperty("targetIds").EnumerateArray().Select(t => t.GetInt32()));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        Assert.Contains(
            "no head 31.2: 'demo' has 4 layers of 8 heads",
            Assert.Throws<ArgumentException>(() => SalientOperations.Of(DemoModel.Value, [new Head(31, 2)])).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "9999 source tokens",
            Assert.Throws<ArgumentException>(() => SalientOperations.Of(DemoModel.Value, [new Head(3, 2)], tokens: 9999)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_largest_numbers_of_blocks_are_those_of_the_whole()
    {
        var random = new Random(5);
        for (var trial = 0; trial < 50; trial++)
        {
            float[] numbers = [.. Enumerable.Range(0, random.Next(20, 300)).Select(_ => (float)random.Next(40))];
            var k = random.Next(1, 20);
            var expected = Enumerable.Range(0, numbers.Length).OrderByDescending(i => numbers[i]).Take(k);
            Assert.Equal(expected, MapsUnderTest.LargestByBlocks(numbers, k, blockSize: 37));
        }
    }

    private static void RequireSame(IReadOnlyList<JsonElement> expected, Model model, int tokens)
    {
        Head[] heads = [.. expected.Select(e => new Head(e.GetProperty("layer").GetInt32(), e.GetProperty("head").GetInt32()))];
        var actual = SalientOperations.Of(model, heads, tokens, firstMlp: expected[0].GetProperty("first_mlp").GetBoolean());
        var means = actual.MeanAmplification.Values<double>();
        for (var i = 0; i < heads.Length; i++)
        {
            Assert.Equal(1, means[i] / expected[i].GetProperty("mean_amplification").GetDouble(), 1e-5);
            RequireSame(expected[i], actual[heads[i]]);
        }
    }

    private static void RequireSame(
        JsonElement expected,
        IReadOnlyList<(int Token, string, float Amplification, IReadOnlyList<(int Token, string, float Logit)> Targets, IReadOnlyList<(int Token, string, float Logit)> Suppressed)> actual)
    {
        var operations = expected.GetProperty("operations").EnumerateArray().ToArray();
        RequireOrder(
            [.. operations.Select(o => (o.GetProperty("id").GetInt32(), o.GetProperty("amplification").GetDouble()))],
            [.. actual.Select(o => (o.Token, (double)o.Amplification))]);
        foreach (var operation in operations)
        {
            var same = actual.SingleOrDefault(o => o.Token == operation.GetProperty("id").GetInt32());
            if (same.Targets is null)
            {
                // Only the last one can be missing, and only when it is as good as tied.
                Assert.Equal(operations[^1].GetProperty("id").GetInt32(), operation.GetProperty("id").GetInt32());
                continue;
            }

            RequireOrder(Pairs(operation, "target_ids", "values"), [.. same.Targets.Select(t => (t.Token, (double)t.Logit))]);
            RequireOrder(Pairs(operation, "suppressed_ids", "suppressed_values"), [.. same.Suppressed.Select(t => (t.Token, (double)t.Logit))]);
        }
    }

    private static (int Id, double Value)[] Pairs(JsonElement operation, string ids, string values) =>
        [.. operation.GetProperty(ids).EnumerateArray().Zip(
            operation.GetProperty(values).EnumerateArray(), (id, value) => (id.GetInt32(), value.GetDouble()))];

    // Values agree to 1e-5 of the largest; where ids differ, their values are as good as equal.
    private static void RequireOrder((int Id, double Value)[] expected, (int Id, double Value)[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var tolerance = 1e-5 * expected.Max(e => Math.Abs(e.Value));
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i].Value, actual[i].Value, tolerance);
            if (expected[i].Id != actual[i].Id)
            {
                var neighbours = expected.Where(e => e.Id == actual[i].Id).Select(e => e.Value).DefaultIfEmpty(expected[i].Value);
                Assert.Equal(expected[i].Value, neighbours.First(), tolerance);
            }
        }
    }
}
