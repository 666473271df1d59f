using System.Globalization;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Reading heads, against the reference and on the demo model, whose heads have known roles.</summary>
public class LorsaReadingTests
{
    [Fact]
    public void Top_activations_equal_the_reference()
    {
        using var reference = new LorsaReference("eval", "llamascopium_eval_tiny");
        var lorsa = LorsaEvaluationTests.Tiny(reference);
        var activities = LorsaUnderTest.Activities(lorsa, LorsaEvaluationTests.Batches(reference), top: 4);
        var (counts, table) = (activities.Counts.Values<long>(), activities.Table);
        Assert.Equal(counts.Select(count => (double)count / activities.Tokens), activities.Frequencies.Values().Select(f => (double)f), (a, b) => Math.Abs(a - b) < 1e-7);
        foreach (var expected in reference.Json.GetProperty("analysis").EnumerateArray())
        {
            var head = expected.GetProperty("head").GetInt32();
            Assert.Equal(expected.GetProperty("act_times").GetInt64(), counts[head]);
            Assert.Equal(expected.GetProperty("max_feature_act").GetDouble(), (float)table["maximum"][head], 1e-5);
            if (counts[head] > 0)
            {
                // The reference fills up with contexts in which the head is silent.
                Assert.Equal(
                    expected.GetProperty("contexts").EnumerateArray().Select(c => c.GetInt64()).Take(activities.Top(head).Count),
                    activities.Top(head).Select(t => t.Sequence));
            }
        }
    }

    [Fact]
    public void Top_activations_are_the_largest_of_each_sequence_however_they_are_batched()
    {
        var (planted, layer, _) = LorsaUnderTest.Planted(1);
        var config = layer.Config with { Heads = 48, TopK = 6, Activation = LorsaActivation.TopK };
        var lorsa = LorsaUnderTest.Create(config, LorsaUnderTest.Random(config, 2, firstCode: true));
        var token = TestContext.Current.CancellationToken;
        var one = LorsaUnderTest.Activities(lorsa, planted.Batches(0, 1, token).Take(60), top: 5);
        var many = LorsaUnderTest.Activities(lorsa, planted.Batches(0, 20, token).Take(3), top: 5);
        Assert.Equal(one.Counts.Values<long>(), many.Counts.Values<long>());
        for (var head = 0; head < config.Heads; head++)
        {
            var (a, b) = (one.Top(head), many.Top(head));
            Assert.Equal(a.Select(t => (t.Sequence, t.Position)), b.Select(t => (t.Sequence, t.Position)));
            Assert.Equal(a.OrderByDescending(t => t.Activation).Select(t => t.Activation), a.Select(t => t.Activation));
            Assert.Equal(a.Count, a.Select(t => t.Sequence).Distinct().Count());
        }
    }

    [Fact]
    public void Heads_of_a_Lorsa_of_SmolLM2_equal_the_reference()
    {
        using var model = Model.Load(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf"));
        using var reference = new SmolLm2();
        var lorsa = Lorsa.Load(TestData.Shared("reference", "lorsa", "eval", "checkpoint_layer12")).For(model);
        foreach (var expected in reference.Json.GetProperty("heads").EnumerateArray())
        {
            var index = expected.GetProperty("head").GetInt32();
            var head = lorsa.Head(index);
            var alignments = expected.GetProperty("mhsa_ov_alignment_wv_WVWO_wo").EnumerateArray().Select(a => (float)a.GetDouble()).ToArray();
            LorsaReference.AssertClose(alignments, [.. head.Alignments.Select(a => (float)a)], 1e-4, "The alignment");
            Assert.Equal(expected.GetProperty("qk_head").GetInt32(), head.Origin.Index);
            Assert.Equal(1, head.Shares.Sum(), 1e-9);
            Assert.InRange(head.HeadsFor(), 1, 9);

            var window = reference.Windows[1400 + expected.GetProperty("top_contexts")[0].GetInt32()];
            var position = expected.GetProperty("query_position").GetInt32();
            var pattern = head.ZPattern(window);
            Assert.Equal(position, pattern.Peak);
            Assert.Equal(expected.GetProperty("top_activations")[0].GetDouble(), pattern.Activations.Values()[position], 1e-3);
            Assert.Equal(
                pattern.PreActivations.Values()[position], pattern.At(position).Sum(source => source.Contribution), 1e-3);
            var (source, contribution) = pattern.At(position)[0];
            Assert.Equal(expected.GetProperty("z_pattern_top")[0][0].GetInt32(), source);
            Assert.Equal(expected.GetProperty("z_pattern_top")[0][1].GetDouble(), contribution, 1e-3);
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(12)]
    public void Loss_recovered_equals_the_reference(int layer)
    {
        using var model = Model.Load(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf"));
        using var reference = new SmolLm2(layer);
        using var scope = torch.NewDisposeScope();

        // The weights of layer 3 are not there; a Lorsa without weights writes zero. The mean is that of a hundred windows: costly for layer 12.
        using var lorsa = layer == 12
            ? Lorsa.Load(TestData.Shared("reference", "lorsa", "eval", "checkpoint_layer12")).For(model)
            : LorsaUnderTest.Empty(model, layer);
        var mean = layer == 12 ? null : torch.stack(reference.Windows[1400..].Select(window =>
            model.Run(window, new Hooks().Keep(lorsa.Config.HookOut), LogitsOf.None, stopAfterLayer: layer)[lorsa.Config.HookOut][0, 1..].mean([0]))).mean([0]);
        var loss = lorsa.LossRecovered(reference.Windows[1400..1403], mean, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(Expected("orig"), loss.Original, 1e-4);
        Assert.Equal(Expected("zero"), loss.WithZero, 1e-4);
        Assert.Equal(Expected(layer == 12 ? "lorsa" : "zero"), loss.WithLorsa, 1e-4);
        if (mean is not null)
        {
            Assert.Equal(Expected("mean"), loss.WithMean, 1e-4);
        }

        double Expected(string name) =>
            reference.Json.GetProperty("downstream").GetProperty("per_window").GetProperty(name).EnumerateArray().Take(3).Average(v => v.GetDouble());
    }

    [Fact]
    public void Loss_with_the_mean_is_that_with_every_output_replaced_but_the_first()
    {
        using var model = Model.Load("demo");
        using var lorsa = LorsaUnderTest.Empty(model, 1);
        var random = new Random(1);
        int[][] sequences = [.. Enumerable.Range(0, 3).Select(i => Enumerable.Range(0, 12 + i).Select(_ => random.Next(1000)).ToArray())];
        var outputs = sequences.Select(tokens => model.Run(tokens, new Hooks().Keep(lorsa.Config.HookOut))[lorsa.Config.HookOut][0, 1..]).ToArray();
        var mean = torch.cat(outputs).mean([0]);
        var expected = 0.0;
        foreach (var tokens in sequences)
        {
            var logits = model.Run(tokens, new Hooks().Edit(lorsa.Config.HookOut, (y, _) => torch.cat([y[.., ..1], mean.expand(1, tokens.Length - 1, -1)], 1))).Logits!;
            var chances = logits[0].to(torch.float64).log_softmax(-1);
            expected -= Enumerable.Range(1, tokens.Length - 2).Sum(t => chances[t, tokens[t + 1]].item<double>());
        }

        var loss = lorsa.LossRecovered(sequences, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(expected / sequences.Sum(tokens => tokens.Length - 2), loss.WithMean, 1e-5);
        Assert.NotEqual(loss.WithZero, loss.WithMean, 1e-3);
        Assert.Equal((loss.WithZero - loss.WithLorsa) / (loss.WithZero - loss.Original), loss.VersusZero, 1e-9);
        Assert.Equal((loss.WithMean - loss.WithLorsa) / (loss.WithMean - loss.Original), loss.VersusMean, 1e-9);
        Assert.Throws<ArgumentException>(() => lorsa.LossRecovered([[1, 2]]));
    }

    [Fact]
    public void Heads_of_known_kind_are_found_in_the_demo_model()
    {
        using var model = Model.Load("demo");
        var random = new Random(4);
        var vocabulary = model.Config.VocabularySize;
        var windows = Enumerable.Range(0, 150).Select(_ =>
        {
            var list = Enumerable.Range(0, 31).Select(_ => random.Next(vocabulary - 1)).ToArray();
            return (int[])[model.Tokenizer.EndOfText!.Value, .. list, .. list];
        }).ToArray();
        Lorsa Train(int layer) => Lorsa.Train(
            model, layer, LorsaCorpus.FromWindows(windows),
            new() { Heads = 512, TopK = 16, ContextLength = 63, BatchSequences = 8, Tokens = 60 * 8 * 63, HeldOutSequences = 4, EvaluateEvery = 0 },
            cancellationToken: TestContext.Current.CancellationToken);

        // The model card: 0.0 looks at the previous token, 0.1 and 0.2 at an earlier copy; 1.0 and 1.1 (and others) do induction.
        var first = Train(0);
        var previous = first.FindHeads("previous token", cancellationToken: TestContext.Current.CancellationToken);
        Assert.All(previous.Take(3), found => Assert.Equal(0, found.QkHead));
        Assert.True(previous[0].Score > 0.8, $"{previous[0]}");
        Assert.Contains(
            first.FindHeads("duplicate token", cancellationToken: TestContext.Current.CancellationToken)[0].QkHead, (int[])[1, 2]);
        var second = Train(1);
        var induction = second.FindHeads("induction", cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(induction[0].Score > 0.7, $"{induction[0]}");

        var head = induction[0];
        Assert.Equal(10, head.Promotes.Count);
        Assert.True(head.Promotes[0].Score >= head.Promotes[1].Score);
        Assert.True(head.Suppresses[0].Score < 0);
        Assert.Equal(10, head.Reads.Count);
        Assert.Equal(head.QkHead, head.Origin.Index);
        var pattern = head.ZPattern("one two three one two");
        Assert.Equal(pattern.Tokens.Count, pattern.TokenTexts.Count);
        Assert.All(second.FindHeads("name mover", cancellationToken: TestContext.Current.CancellationToken), found => Assert.True(found.Score > 0 && found.ActiveTokens > 0));
        Assert.NotEmpty(second.FindHeads("successor", cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("successor", Assert.Throws<ArgumentException>(() => second.FindHeads("teapot")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("previous token", 0, "50:0.16643:18 20:0.16574:24 36:0.15014:25")]
    [InlineData("previous token", 1, "50:0.17010:24 22:0.14010:12 0:0.12639:23")]
    [InlineData("current token", 0, "38:0.19558:42 42:0.17062:111 31:0.16281:13")]
    [InlineData("duplicate token", 0, "25:0.07130:33 3:0.06744:21 38:0.06574:15")]
    [InlineData("induction", 0, "38:0.04282:15 13:0.03825:403 5:0.03551:30")]
    [InlineData("induction", 1, "6:0.06504:102 58:0.05277:23 2:0.04744:31")]
    [InlineData("sink", 0, "27:0.81117:106 16:0.80118:237 37:0.42404:612")]
    [InlineData("name mover", 0, "5:0.00055:22 35:0.00013:2")]
    [InlineData("name mover", 1, "30:0.00108:17 46:0.00003:2 60:0.00001:3")]
    [InlineData("successor", 0, "21:0.03461:18 30:0.02011:27 16:0.01610:19")]
    public void Heads_are_found_as_by_the_first_version_which_went_head_by_head(string kind, int seed, string recorded)
    {
        using var model = Model.Load("demo");
        using var lorsa = OfLayerTwo().For(model);
        var found = lorsa.FindHeads(kind, recorded.Split(' ').Length, seed, TestContext.Current.CancellationToken);
        foreach (var (head, expected) in found.Zip(recorded.Split(' ').Select(one => one.Split(':')), (head, expected) => (head, expected)))
        {
            Assert.Equal(int.Parse(expected[0], CultureInfo.InvariantCulture), head.Index);
            Assert.Equal(double.Parse(expected[1], CultureInfo.InvariantCulture), head.Score, 6e-6);
            Assert.Equal(int.Parse(expected[2], CultureInfo.InvariantCulture), head.ActiveTokens);
        }

        Assert.Equal(recorded.Split(' ').Length, found.Count);
    }

    [Fact]
    public void A_head_reads_and_writes_what_it_did_in_the_first_version()
    {
        using var model = Model.Load("demo");
        using var lorsa = OfLayerTwo().For(model);
        var head = lorsa.Head(7);
        Assert.Equal(3.73310, head.OutputNorm, 1e-4);
        Assert.Equal(new Head(2, 5), head.Origin);
        Assert.Equal(2, head.HeadsFor());
        Check([(2418, 13.2078), (2563, 12.6590), (2030, 12.4106)], head.Reads);
        Assert.Equal(-13.9442, (float)head.Table["reads"][2757], 1e-4);
        Check([(1631, 0.6026), (317, 0.5604), (458, 0.4951)], head.Promotes);
        Check([(2675, -0.4107), (738, -0.3995), (1142, -0.3914)], head.Suppresses);

        static void Check((int Token, double Score)[] expected, IReadOnlyList<(int Token, string Text, float Score)> found)
        {
            foreach (var (wanted, token) in expected.Zip(found))
            {
                Assert.Equal(wanted.Token, token.Token);
                Assert.Equal(wanted.Score, token.Score, 1e-4);
            }
        }
    }

    [Theory]
    [InlineData(torch.ScalarType.Float64, 1e-4)]
    [InlineData(torch.ScalarType.BFloat16, 0.15)]
    public void Models_of_other_types_are_read_as_well(torch.ScalarType type, double tolerance)
    {
        using var model = Model.Load("demo");
        using var other = Model.Load("demo", dtype: type);
        using var alone = OfLayerTwo(hookIn: "hook_out");
        var (expected, found) = (alone.For(model), alone.For(other));
        var tokens = model.Tokenizer.Encode("one two three four five one two three");
        int[][] sequences = [tokens, tokens[1..]];
        AssertClose(expected.Head(7).Alignments, found.Head(7).Alignments);
        AssertClose(expected.Head(7).Table["reads"].Cast<float>().Select(x => (double)x), found.Head(7).Table["reads"].Cast<float>().Select(x => (double)x));
        AssertClose(expected.Head(7).Table["promotes"].Cast<float>().Select(x => (double)x), found.Head(7).Table["promotes"].Cast<float>().Select(x => (double)x));
        AssertClose([expected.LossRecovered(sequences).WithMean], [found.LossRecovered(sequences).WithMean]);
        AssertClose([expected.FindHeads("sink")[0].Score], [found.FindHeads("sink")[0].Score]);
        AssertClose([expected.FindHeads("successor")[0].Score], [found.FindHeads("successor")[0].Score]);
        var corpus = LorsaCorpus.FromWindows([[.. Enumerable.Range(0, 64)], [.. Enumerable.Range(200, 64)]]);
        AssertClose([LorsaEvaluation.Of(expected, corpus).SquaredError], [LorsaEvaluation.Of(found, corpus).SquaredError]);

        void AssertClose(IEnumerable<double> a, IEnumerable<double> b)
        {
            var largest = a.Max(Math.Abs);
            Assert.All(a.Zip(b), pair => Assert.Equal(pair.First, pair.Second, tolerance * largest));
        }
    }

    [Fact]
    public void Z_patterns_of_a_text_are_those_of_its_active_heads()
    {
        using var model = Model.Load("demo");
        using var lorsa = OfLayerTwo(topK: 3).For(model);
        var tokens = model.Tokenizer.Encode("one two three four five one two three");
        var patterns = lorsa.ZPatterns(tokens);
        Assert.InRange(patterns.Count, 3, 3 * tokens.Length);
        foreach (var pattern in patterns)
        {
            var (contributions, z) = (pattern.Contributions.ToNumberArray(), pattern.PreActivations.Values());
            Assert.All(Enumerable.Range(0, tokens.Length), t => Assert.Equal(z[t], Enumerable.Range(0, t + 1).Sum(s => contributions[t, s]), 1e-3));
            Assert.True(pattern.Activations.Values()[pattern.Peak] > 0);
            Assert.Equal(tokens.Length * (tokens.Length + 1) / 2, pattern.Table.Rows.Count);
            Assert.Equal(pattern.At(5)[0].Contribution, pattern.Table.Rows.Where(row => (int)row["query"] == 5).Select(row => (float)row["contribution"]).MaxBy(Math.Abs));
            Assert.Equal(lorsa.Head(pattern.Head).ZPattern(tokens).Contributions.Values(), pattern.Contributions.Values());
        }

        Assert.Equal(
            Enumerable.Range(0, 64).Where(head => lorsa.Head(head).ZPattern(tokens).Activations.Values().Any(a => a != 0)), patterns.Select(pattern => pattern.Head));
        Assert.Throws<ArgumentException>(() => lorsa.Head(0).ZPattern(new int[65]));
    }

    [Fact]
    public void What_a_head_writes_is_its_output_through_the_unembedding()
    {
        using var model = Model.Load("demo");
        var config = Lorsa.ConfigFor(model, 2, new() { Heads = 64, TopK = 4, ContextLength = 16 });
        var p = LorsaUnderTest.Random(config, 1, firstCode: true);
        var lorsa = LorsaUnderTest.Create(config, p, false, 3, 0.5);
        var effect = lorsa.For(model).Head(5).Table["promotes"];

        // Twice the output vector, normalised with scale 1, straight through the weights; less the mean over all tokens.
        var d = config.ModelWidth;
        var write = p["W_O"].AsSpan(5 * d, d).ToArray().Select(v => v * 0.5 / Math.Sqrt(d)).ToArray();
        var mean = write.Average();
        var gain = ModelUnderTest.FinalGain(model);
        var expected = Enumerable.Range(0, model.Config.VocabularySize).Select(token =>
        {
            var row = ModelUnderTest.Unembedding(model, token);
            return Enumerable.Range(0, d).Sum(c => (write[c] - mean) * (gain.Length == 0 ? 1 : gain[c]) * row[c]);
        }).ToArray();
        foreach (var token in new[] { 0, 77, model.Config.VocabularySize - 1 })
        {
            Assert.Equal(expected[token] - expected.Average(), (float)effect[token], 1e-4);
        }

        Assert.Throws<InvalidOperationException>(() => lorsa.Head(5).ZPattern("a"));
    }

    private sealed class SmolLm2 : IDisposable
    {
        private readonly System.Text.Json.JsonDocument document;

        public SmolLm2(int layer = 12)
        {
            document = System.Text.Json.JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "lorsa", "eval", $"smollm2_layer{layer}.json")));
            var file = GoldenFile.Open(TestData.Shared("reference", "lorsa", "train", "windows.safetensors"));
            Windows = [.. Array.ConvertAll(file.Integers("tokens"), token => (int)token).Chunk(256)];
        }

        public System.Text.Json.JsonElement Json => document.RootElement;

        public int[][] Windows { get; }

        public void Dispose() => document.Dispose();
    }

    // With fixed weights, of the shape of layer 2 of the demo model.
    private static Lorsa OfLayerTwo(int topK = 8, string hookIn = "hook_normalized") => LorsaUnderTest.Uniform(
        new()
        {
            ModelWidth = 160, Heads = 64, QkHeads = 8, QkWidth = 20, ContextLength = 64, TopK = topK,
            HookIn = $"blocks.2.ln1.{hookIn}", HookOut = "blocks.2.hook_attn_out",
        },
        5, 12, 3);
}
