namespace HeadScope.Tests;

public class HeadMapTests
{
    private static readonly Lazy<Model> DemoModel = new(() => Model.Load("demo"));

    private static readonly Lazy<HeadMap> DemoMap = new(() => HeadMap.Score(DemoModel.Value, Relations.All));

    [Fact]
    public void The_demo_model_has_heads_for_its_relations_and_the_rest_is_skipped_with_the_count()
    {
        var map = DemoMap.Value;
        Assert.Equal(20, map.Relations.Count + map.Skipped.Rows.Count);
        Assert.All(map.Relations, r => Assert.True(r.Pairs.Count >= 30));
        Assert.All(map.Skipped.Rows, s => Assert.Contains($"{s[2]} of {s[3]} pairs", (string)s[4], StringComparison.Ordinal));
        Assert.Contains(map.Skipped.Rows, s => (string)s[0] == "year_to_following");
        var capitals = map["country_to_capital"];
        Assert.Equal(Relations.CountryToCapital.Pairs.Count, capitals.Pairs.Count + capitals.SkippedPairs.Count);
        Assert.Contains(capitals.SkippedPairs, p => p.Source == "Luxembourg" && p.Reason.Contains("tokens", StringComparison.Ordinal));
        Assert.Equal(1, map["name_copying"].K);
        Assert.Equal(10, capitals.K);
        var top = map.Top(1);
        Assert.Contains(top, s => s.Score > 0.3);
        Assert.All(top, s => Assert.InRange(map[s.Relation].Examples(s.Head).Count, 1, 8));
    }

    [Fact]
    public void A_score_is_what_the_definition_says()
    {
        // E[s] or mlp0(E[s]), times the formed W_V W_O W_U, sorted.
        var model = DemoModel.Value;
        var relation = DemoMap.Value["country_to_capital"];
        var unembedding = Enumerable.Range(0, model.Config.VocabularySize).Select(token => ModelUnderTest.Unembedding(model, token)).ToArray();
        foreach (var head in (Head[])[new(0, 3), new(2, 5)])
        {
            var hits = 0;
            foreach (var pair in relation.Pairs)
            {
                var u = ModelUnderTest.Embedding(model, Token(pair.Source));
                u = head.Layer > 0 ? ModelUnderTest.FirstMlp(model, u) : u;
                var written = Times(Times(u, ModelUnderTest.ValueWeight(model, head)), ModelUnderTest.OutputWeight(model, head));
                var logits = Array.ConvertAll(unembedding, column => (float)column.Zip(written, (a, b) => (double)a * b).Sum());
                hits += logits.Count(l => l > logits[Token(pair.Target)]) < relation.K ? 1 : 0;
            }

            Assert.Equal(hits, relation.Of(head).Hits);
            int Token(string word) => model.Tokenizer.Encode(" " + word)[0];
            Assert.Equal(hits / (float)relation.Pairs.Count, relation.Of(head).Score);
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(40)]
    public void Parts_merge_to_the_map_made_at_once(int count)
    {
        var parts = Enumerable.Range(1, count)
            .Select(i => HeadMap.Score(DemoModel.Value, Relations.All, new HeadMapOptions { Shard = (i, count) }))
            .Select(part => HeadMap.FromJson(part.ToJson()));
        Assert.Equal(DemoMap.Value.ToJson(), HeadMap.Merge(parts.Reverse()).ToJson());
    }

    [Theory]
    [InlineData("meta-llama/Llama-3.1-8B", 3, 25)]
    [InlineData("Meta Llama 3.1 8B Instruct", 3, 25)]
    [InlineData("llama3", 3, 25)]
    [InlineData("Llama 2 7B", 1, 10)]
    [InlineData("open_llama_3b", 1, 10)]
    [InlineData("gpt2", 1, 10)]
    public void K_is_the_published_one_however_the_name_is_written(string model, int copying, int other) =>
        Assert.Equal((copying, other), (new HeadMapOptions().KFor(copying: true, model), new HeadMapOptions().KFor(copying: false, model)));

    [Fact]
    public void Parts_of_other_pairs_do_not_merge()
    {
        HeadMap Part(int part, params (string, string)[] pairs) =>
            HeadMap.Score(DemoModel.Value, new Relation("own", "", pairs), new() { MinimumPairs = 1, Shard = (part, 2) });
        var error = Assert.Throws<ArgumentException>(() => HeadMap.Merge([Part(1, ("France", "Paris"), ("Italy", "Rome")), Part(2, ("France", "Paris"), ("Italy", "Paris"))]));
        Assert.Contains("Italy → Rome of own", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Threads_change_nothing() => Assert.All(
        ThreadsUnderTest.With([1, 3, 8], () => HeadMap.Score(DemoModel.Value, Relations.All).ToJson()),
        json => Assert.Equal(DemoMap.Value.ToJson(), json));

    [Fact]
    public void A_model_whose_weights_are_read_anew_has_the_same_map_and_operations()
    {
        using var kept = Model.Load("demo");
        var (map, operations) = (HeadMap.Score(kept, Relations.All), SalientOperations.Of(kept, [new Head(1, 3), new Head(3, 5)]));
        var before = WeightMemory.Free;
        try
        {
            WeightMemory.Free = () => 1000;
            using var streamed = Model.Load("demo");
            Assert.False(streamed.KeepsWeights);
            Assert.Equal(map.ToJson(), HeadMap.Score(streamed, Relations.All).ToJson());
            Assert.Equal(operations.Targets.Values<long>(), SalientOperations.Of(streamed, operations.Heads).Targets.Values<long>());
            Assert.DoesNotContain(streamed.Net.Matrices, matrix => matrix.IsHeld);
        }
        finally
        {
            WeightMemory.Free = before;
        }
    }

    [Fact]
    public void Progress_begins_with_an_estimate_and_ends_with_all_heads()
    {
        var reports = new List<WorkProgress>();
        HeadMap.Score(DemoModel.Value, Relations.CountryToCapital, progress: new Collected(reports));
        Assert.Equal((0, 32, "heads"), (reports[0].Done, reports[0].Total, reports[0].Unit));
        Assert.StartsWith("2,400 pairs at heads", reports[0].Detail, StringComparison.Ordinal);
        Assert.Equal(reports.Select(r => r.Done).Order(), reports.Select(r => r.Done));
        Assert.Equal(32, reports[^1].Done);
    }

    [Fact]
    public void Scores_are_tables_of_relations_layers_and_heads_and_half_precision_and_fp64_give_nearly_the_same()
    {
        Assert.Equal([12, 4, 8], DemoMap.Value.Scores.shape);
        Assert.Equal(DemoMap.Value.Relations[3].Suppression.Values(), DemoMap.Value.Suppression[3].Values());
        using var wide = Model.Load("demo", dtype: TorchSharp.torch.float64);
        Assert.Equal(DemoMap.Value["country_to_capital"].Hits.Values<int>(), HeadMap.Score(wide, Relations.CountryToCapital).Relations[0].Hits.Values<int>());
        using var half = Model.Load("demo", dtype: TorchSharp.torch.bfloat16);
        Assert.Equal(
            DemoMap.Value["country_to_capital"].Top(1)[0].Score, HeadMap.Score(half, Relations.CountryToCapital).Relations[0].Top(1)[0].Score, 0.1f);
    }

    [Fact]
    public void Json_keeps_everything_and_csv_has_a_line_for_each_relation_and_head()
    {
        var map = DemoMap.Value;
        var again = HeadMap.FromJson(map.ToJson());
        Assert.Equal(map.ToJson(), again.ToJson());
        Assert.Equal(map["verb_to_past_tense"].Scores.Values(), again["verb_to_past_tense"].Scores.Values());
        Assert.Equal($"{map.Skipped}", $"{again.Skipped}");
        var lines = map.ToCsv().TrimEnd('\n').Split('\n');
        Assert.Equal(1 + (map.Relations.Count * 32), lines.Length);
        Assert.Equal("relation,category,layer,head,k,pairs,relation_hits,suppression_hits,relation_score,suppression_score", lines[0]);
        Assert.StartsWith("country_to_capital,knowledge,0,0,10,", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Merge_says_what_does_not_fit()
    {
        HeadMap Part(int index, int count, bool firstMlp = true) => HeadMap.Score(
            DemoModel.Value, Relations.CountryToCapital, new HeadMapOptions { Shard = (index, count), FirstMlp = firstMlp });
        Assert.Contains("2/3 is missing", Message(() => HeadMap.Merge([Part(1, 3), Part(3, 3)])), StringComparison.Ordinal);
        Assert.Contains("3/3 is missing", Message(() => HeadMap.Merge([Part(1, 3), Part(2, 3)])), StringComparison.Ordinal);
        Assert.Contains("there twice", Message(() => HeadMap.Merge([Part(1, 2), Part(1, 2)])), StringComparison.Ordinal);
        Assert.Contains("number of parts", Message(() => HeadMap.Merge([Part(1, 2), Part(2, 3)])), StringComparison.Ordinal);
        Assert.Contains("first MLP off", Message(() => HeadMap.Merge([Part(1, 2), Part(2, 2, firstMlp: false)])), StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        var model = DemoModel.Value;
        Assert.Contains("vocabulary", Message(() => HeadMap.Score(model, Relations.CountryToCapital, new HeadMapOptions { K = 2924 })), StringComparison.Ordinal);
        Assert.Contains("no relations", Message(() => HeadMap.Score(model, Array.Empty<Relation>())), StringComparison.Ordinal);
        Assert.Contains("'none' has no pairs", Message(() => HeadMap.Score(model, new Relation("none", "", []))), StringComparison.Ordinal);
        Assert.Contains(
            "0 of 1 pairs are single tokens",
            Message(() => HeadMap.Score(model, new Relation("long", "", [("antidisestablishment", "x")]))),
            StringComparison.Ordinal);
        Assert.Contains("twice", Message(() => HeadMap.Score(model, [Relations.NameCopying, Relations.NameCopying])), StringComparison.Ordinal);
        Assert.Contains(
            "Token 2923 of relation 'r'",
            Message(() => MapsUnderTest.Score(model, "r", [("a", "b", 2923, 0)])),
            StringComparison.Ordinal);
        Assert.Contains("was skipped: ", Message(() => _ = DemoMap.Value["year_to_following"]), StringComparison.Ordinal);
        Assert.Contains("It has: country_to_capital", Message(() => _ = DemoMap.Value["no_such"]), StringComparison.Ordinal);
        Assert.Contains(
            "4 layers of 8 heads",
            Assert.Throws<ArgumentOutOfRangeException>(() => DemoMap.Value.Relations[0].Of(new Head(31, 2))).Message,
            StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => HeadMap.FromJson("{}"));
        Assert.Throws<InvalidDataException>(() => HeadMap.FromJson("no json"));
        var pair = "[\"France\",\"Paris\"";
        var json = HeadMap.Score(DemoModel.Value, Relations.CountryToCapital).ToJson();
        Assert.Contains(pair, json, StringComparison.Ordinal);
        Assert.Contains(
            "cannot be read",
            Assert.Throws<InvalidDataException>(() => HeadMap.FromJson(json.Replace(pair, "[],[\"France\",\"Paris\"", StringComparison.Ordinal))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "'relations[0].relationHits'",
            Assert.Throws<InvalidDataException>(() => HeadMap.FromJson(json.Replace("relationHits", "hits", StringComparison.Ordinal))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "no part 3/2", Message(() => HeadMap.Score(model, Relations.CountryToCapital, new HeadMapOptions { Shard = (3, 2) })), StringComparison.Ordinal);
    }

    [Fact]
    public void Cancellation_stops_the_work() => Assert.Throws<OperationCanceledException>(
        () => HeadMap.Score(DemoModel.Value, Relations.All, cancellationToken: new CancellationToken(canceled: true)));

    private static float[] Times(float[] row, NumberArray matrix)
    {
        var product = new float[matrix.Shape[1]];
        for (var j = 0; j < product.Length; j++)
        {
            var sum = 0.0;
            for (var i = 0; i < row.Length; i++)
            {
                sum += (double)row[i] * matrix[i, j];
            }

            product[j] = (float)sum;
        }

        return product;
    }

    private sealed class Collected(List<WorkProgress> reports) : IProgress<WorkProgress>
    {
        public void Report(WorkProgress value) => reports.Add(value);
    }

    private static string Message(Action action) => Assert.Throws<ArgumentException>(action).Message;
}
