namespace HeadScope.Tests;

public class CharacterisationTests
{
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static readonly Lazy<Signals> Found = new(() => Signals.Find(Demo.Value, Ioi.Prompts(8)));

    [Fact]
    public void Heads_count_their_firings_directions_and_tokens()
    {
        var signals = Found.Value;
        var heads = signals.ByHead(tokens: 1000);
        Assert.Equal(signals.Firings.Count, heads.Sum(h => h.FiringCount));
        foreach (var head in heads)
        {
            var own = signals.Firings.Where(f => f.Head == head.Head).ToList();
            Assert.Equal(own.Count, head.FiringCount);
            Assert.Equal(own.Count, head.DirectionCounts.Sum());
            Assert.Equal(own.Average(f => f.Signal.Directions.Count), head.MeanDirections, 1e-9);
            var sizes = own.Select(f => f.Signal.Directions.Count).Order().ToList();
            Assert.Equal(sizes[(sizes.Count - 1) / 2], head.MedianDirections);
            Assert.Equal(own.Sum(f => f.Signal.Directions.Count), head.Directions.Sum(d => d.FiringCount));
            Assert.All(head.Directions, d => Assert.Equal(d.FiringCount, d.SourceTokens.Sum(t => t.Count)));
            Assert.Equal(head.Directions.OrderByDescending(d => d.FiringCount).Select(d => d.FiringCount), head.Directions.Select(d => d.FiringCount));
            var used = head.Directions[0];
            Assert.Equal(own.Count(f => f.Signal.Directions.Contains(used.Direction)), used.FiringCount);
            Assert.All(used.SourceTokens, t => Assert.Equal(Demo.Value.Tokenizer.TokenText(t.Token), t.Text));
        }
    }

    [Fact]
    public void Singular_directions_explain_scores_with_fewer_than_random_ones()
    {
        var checks = LowRankCheck.Of(Demo.Value, Found.Value, seed: 3);
        Assert.Equal(Found.Value.Firings.Select(f => f.Head).Distinct().Order(), checks.Select(c => c.Head));
        foreach (var check in checks)
        {
            var width = Found.Value.HeadWidth;
            foreach (var shares in new[] { check.Singular, check.RandomDirections, check.RandomBasis })
            {
                Assert.Equal(width + 1, shares.Count);
                Assert.Equal(0, shares[0]);
                Assert.Equal(1, shares[width], 1e-6);
            }

            Assert.All(Enumerable.Range(1, width - 1), n => Assert.True(check.Singular[n] >= check.RandomDirections[n] - 1e-9));
            var sizes = Found.Value.Firings.Where(f => f.Head == check.Head).Average(f => f.Signal.Directions.Count);
            Assert.Equal(sizes, check.SparseSize, 1e-9);
        }

        Assert.True(checks.Average(c => c.Singular[1]) > 1.5 * checks.Average(c => c.RandomDirections[1]));
        Assert.Equal(
            checks.Select(c => c.RandomSparseSize), LowRankCheck.Of(Demo.Value, Found.Value, seed: 3).Select(c => c.RandomSparseSize));
    }

    [Fact]
    public void Firings_are_written_as_csv_and_json()
    {
        var signals = Found.Value;
        Assert.Equal(signals.Firings.Count + 1, signals.ToCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        using var json = System.Text.Json.JsonDocument.Parse(signals.ToJson());
        var first = json.RootElement.GetProperty("firings")[0];
        Assert.Equal(signals.Firings.Count, json.RootElement.GetProperty("firings").GetArrayLength());
        Assert.Equal(signals.Firings[0].Signal.Directions, first.GetProperty("directions").EnumerateArray().Select(k => k.GetInt32()));
        Assert.Equal(
            Demo.Value.Tokenizer.TokenText(signals.Prompts.Prompts[0].Tokens[signals.Firings[0].Source]),
            first.GetProperty("src_token").GetString());
    }
}
