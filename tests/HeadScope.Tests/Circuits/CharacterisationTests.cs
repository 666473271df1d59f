namespace HeadScope.Tests;

public class CharacterisationTests
{
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static readonly Lazy<Signals> Found = new(() => Signals.Find(Demo.Value, Ioi.Prompts(8)));

    [Fact]
    public void Heads_count_their_firings_directions_and_tokens()
    {
        var signals = Found.Value;
        var heads = signals.ByHead(tokens: 1000).Rows.ToList();
        Assert.Equal(signals.Firings.Count, heads.Sum(row => (int)row["firings"]));
        Assert.Equal(signals.Firings.Select(f => f.Head).Distinct().Order(), heads.Select(row => Head.Parse((string)row["head"])));
        foreach (var head in heads)
        {
            var own = signals.Firings.Where(f => $"{f.Head}" == (string)head["head"]).ToList();
            Assert.Equal(own.Count, head["firings"]);
            var sizes = own.Select(f => f.Directions.Count).Order().ToList();
            Assert.Equal(sizes.Average(), (double)head["mean_directions"], 1e-9);
            Assert.Equal(Math.Sqrt(sizes.Average(n => (double)n * n) - Math.Pow(sizes.Average(), 2)), (double)head["deviation_directions"], 1e-6);
            Assert.Equal(sizes[(sizes.Count - 1) / 2], head["median_directions"]);
            var most = own.SelectMany(f => f.Directions).GroupBy(k => k).OrderByDescending(g => g.Count()).ThenBy(g => g.Key).First();
            Assert.Equal(most.Key, head["direction"]);
            var taking = own.Where(f => f.Directions.Contains(most.Key)).ToList();
            Assert.Equal((double)taking.Count / own.Count, (double)head["share"], 1e-9);
            Assert.Equal(
                taking.Average(f => f.Contributions[f.Directions.ToList().IndexOf(most.Key)] / f.Score), (double)head["mean_contribution"], 1e-9);
            var (token, count) = taking.GroupBy(f => Demo.Value.Tokenizer.TokenText(signals.Prompts.Prompts[f.Prompt].Tokens[f.Source]))
                .Select(g => (g.Key, g.Count())).OrderByDescending(g => g.Item2).ThenBy(g => g.Key, StringComparer.Ordinal).First();
            Assert.StartsWith($"\"{token}\" ({count})", (string)head["source_tokens"], StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Singular_directions_explain_scores_with_fewer_than_random_ones()
    {
        var checks = Found.Value.LowRank(Demo.Value, seed: 3);
        var width = Found.Value.HeadWidth;
        var byHead = checks.Rows.GroupBy(row => (string)row["head"]).ToList();
        Assert.Equal(Found.Value.Firings.Select(f => f.Head).Distinct().Order().Select(h => $"{h}"), byHead.Select(head => head.Key));
        foreach (var head in byHead)
        {
            var rows = head.ToList();
            Assert.Equal(Enumerable.Range(0, width + 1), rows.Select(row => (int)row["directions"]));
            foreach (var kind in new[] { "singular", "random_directions", "random_basis" })
            {
                Assert.Equal(0.0, rows[0][kind]);
                Assert.Equal(1, (double)rows[width][kind], 1e-6);
            }

            Assert.All(rows, row => Assert.True((double)row["singular"] >= (double)row["random_directions"] - 1e-9));
            var firings = Found.Value.Firings.Where(f => $"{f.Head}" == head.Key && f.Score > 0).ToList();
            Assert.Equal(firings.Count, rows[0]["firings"]);
            Assert.Equal(firings.Average(f => f.Directions.Count), (double)rows[0]["sparse_size"], 1e-9);
        }

        double Mean(string kind) => byHead.Average(head => (double)head.ElementAt(1)[kind]);
        Assert.True(Mean("singular") > 1.5 * Mean("random_directions"));
        Assert.True(Mean("singular") > 1.2 * Mean("random_basis"));
    }

    [Fact]
    public void The_seed_decides_the_random_directions_and_bases()
    {
        // Only what is drawn depends on it, and the batches do not matter.
        static string Text(Microsoft.Data.Analysis.DataFrame table, params string[] columns) =>
            string.Join('\n', table.Rows.Select(row => string.Join(' ', columns.Select(c => $"{row[c]:g9}"))));
        var (three, again, four) = (Found.Value.LowRank(Demo.Value, seed: 3), Found.Value.LowRank(Demo.Value, seed: 3, batchSize: 3), Found.Value.LowRank(Demo.Value, seed: 4));
        Assert.Equal(Text(three, "head", "firings", "sparse_size"), Text(four, "head", "firings", "sparse_size"));
        Assert.NotEqual(Text(three, "random_directions"), Text(four, "random_directions"));
        Assert.NotEqual(Text(three, "random_basis"), Text(four, "random_basis"));
        foreach (var (one, other) in three.Rows.Zip(again.Rows))
        {
            Assert.All(new[] { "singular", "random_directions", "random_basis" }, kind => Assert.Equal((double)one[kind], (double)other[kind], 1e-4));
        }
    }

    [Fact]
    public void Firings_are_written_as_csv_and_json()
    {
        var signals = Found.Value;
        Assert.Equal(signals.Firings.Count + 1, signals.ToCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        using var json = System.Text.Json.JsonDocument.Parse(signals.ToJson());
        var first = json.RootElement.GetProperty("firings")[0];
        Assert.Equal(signals.Firings.Count, json.RootElement.GetProperty("firings").GetArrayLength());
        Assert.Equal(signals.Firings[0].Directions, first.GetProperty("directions").EnumerateArray().Select(k => k.GetInt32()));
        Assert.Equal(
            Demo.Value.Tokenizer.TokenText(signals.Prompts.Prompts[0].Tokens[signals.Firings[0].Source]),
            first.GetProperty("src_token").GetString());
    }
}
