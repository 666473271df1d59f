namespace HeadScope.Tests;

/// <summary>Reading heads, against the reference and on the demo model, whose heads have known roles.</summary>
public class LorsaReadingTests
{
    [Fact]
    public void Top_activations_equal_the_reference()
    {
        using var reference = new LorsaReference("eval", "llamascopium_eval_tiny");
        var lorsa = LorsaEvaluationTests.Tiny(reference);
        var activities = HeadActivities.Of(lorsa, LorsaEvaluationTests.Batches(reference), top: 4, cancellationToken: TestContext.Current.CancellationToken);
        foreach (var expected in reference.Json.GetProperty("analysis").EnumerateArray())
        {
            var head = activities[expected.GetProperty("head").GetInt32()];
            Assert.Equal(expected.GetProperty("act_times").GetInt64(), head.Count);
            Assert.Equal(expected.GetProperty("max_feature_act").GetDouble(), head.Maximum, 1e-5);
            if (head.Count > 0)
            {
                // The reference fills up with contexts in which the head is silent.
                Assert.Equal(
                    expected.GetProperty("contexts").EnumerateArray().Select(c => c.GetInt64()).Take(head.Top.Count), head.Top.Select(t => t.Sequence));
            }
        }
    }

    [Fact]
    public void Top_activations_are_the_largest_of_each_sequence_however_they_are_batched()
    {
        var planted = new PlantedUnits(1);
        var config = LorsaUnderTest.LayerOf(planted) with { Heads = 48, TopK = 6, Activation = LorsaActivation.TopK };
        var lorsa = LorsaUnderTest.Create(config, LorsaUnderTest.Random(config, 2, firstCode: true));
        var token = TestContext.Current.CancellationToken;
        var one = HeadActivities.Of(lorsa, planted.Batches(0, 1, token).Take(60), top: 5, cancellationToken: token);
        var many = HeadActivities.Of(lorsa, planted.Batches(0, 20, token).Take(3), top: 5, cancellationToken: token);
        foreach (var (a, b) in one.Heads.Zip(many.Heads))
        {
            Assert.Equal(a.Count, b.Count);
            Assert.Equal(a.Top.Select(t => (t.Sequence, t.Position)), b.Top.Select(t => (t.Sequence, t.Position)));
            Assert.Equal(a.Top.OrderByDescending(t => t.Activation).Select(t => t.Activation), a.Top.Select(t => t.Activation));
            Assert.Equal(a.Top.Count, a.Top.Select(t => t.Sequence).Distinct().Count());
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
            var origin = head.Origin!;
            var alignments = expected.GetProperty("mhsa_ov_alignment_wv_WVWO_wo").EnumerateArray().Select(a => (float)a.GetDouble()).ToArray();
            LorsaReference.AssertClose(alignments, [.. origin.Alignments.Select(a => (float)a)], 1e-4, "The alignment");
            Assert.Equal(expected.GetProperty("qk_head").GetInt32(), origin.Main);
            Assert.Equal(1, origin.Shares.Sum(), 1e-9);
            Assert.InRange(origin.HeadsFor(), 1, 9);

            var window = reference.Windows[1400 + expected.GetProperty("top_contexts")[0].GetInt32()];
            var position = expected.GetProperty("query_position").GetInt32();
            var pattern = head.ZPattern(window);
            Assert.Equal(position, pattern.Peak);
            Assert.Equal(expected.GetProperty("top_activations")[0].GetDouble(), pattern.Activations[position], 1e-3);
            Assert.Equal(
                pattern.PreActivations[position], pattern.At(position).Sum(source => source.Contribution), 1e-3);
            var (source, contribution) = pattern.At(position)[0];
            Assert.Equal(expected.GetProperty("z_pattern_top")[0][0].GetInt32(), source);
            Assert.Equal(expected.GetProperty("z_pattern_top")[0][1].GetDouble(), contribution, 1e-3);
        }
    }

    [Fact]
    public void Loss_recovered_equals_the_reference()
    {
        using var model = Model.Load(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf"));
        using var reference = new SmolLm2();
        var lorsa = Lorsa.Load(TestData.Shared("reference", "lorsa", "eval", "checkpoint_layer12"));
        var downstream = reference.Json.GetProperty("downstream");

        // The mean output there is that of all twelve windows, so mean ablation is not compared on these three.
        var recovered = LorsaLossRecovered.Of(lorsa, model, reference.Windows[1400..1403], cancellationToken: TestContext.Current.CancellationToken);
        var windows = downstream.GetProperty("per_window");
        foreach (var (name, actual) in new[] { ("orig", recovered.Original), ("zero", recovered.WithZero), ("lorsa", recovered.WithLorsa) })
        {
            Assert.Equal(windows.GetProperty(name).EnumerateArray().Take(3).Average(v => v.GetDouble()), actual, 1e-4);
        }
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

        var head = second.Head(induction[0].Head);
        Assert.Equal(10, head.Promotes.Count);
        Assert.True(head.Promotes[0].Score >= head.Promotes[1].Score);
        Assert.True(head.Suppresses[0].Score < 0);
        Assert.Equal(10, head.Reads.Count);
        Assert.Equal(head.QkHead, head.Origin!.Main);
        var pattern = head.ZPattern("one two three one two");
        Assert.Equal(pattern.Tokens.Count, pattern.TokenTexts.Count);
        Assert.All(second.FindHeads("name mover", cancellationToken: TestContext.Current.CancellationToken), found => Assert.True(found.Score > 0));
        Assert.NotEmpty(second.FindHeads("successor", cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("successor", Assert.Throws<ArgumentException>(() => second.FindHeads("teapot")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_head_writes_is_its_output_through_the_unembedding()
    {
        using var model = Model.Load("demo");
        var config = Lorsa.ConfigFor(model, 2, new() { Heads = 64, TopK = 4, ContextLength = 16 });
        var p = LorsaUnderTest.Random(config, 1, firstCode: true);
        var lorsa = LorsaUnderTest.Create(config, p, LorsaNormalization.Dataset, 3, 0.5);
        var effect = LorsaUnderTest.LogitEffect(lorsa.For(model), model, 5);

        // Twice the output vector, normalised with scale 1, straight through the weights.
        var d = config.ModelWidth;
        var write = p["W_O"].AsSpan(5 * d, d).ToArray().Select(v => v * 0.5 / Math.Sqrt(d)).ToArray();
        var mean = write.Average();
        var gain = ModelUnderTest.FinalGain(model);
        foreach (var token in new[] { 0, 77, model.Config.VocabularySize - 1 })
        {
            var row = ModelUnderTest.Unembedding(model, token);
            var expected = Enumerable.Range(0, d).Sum(c => (write[c] - mean) * (gain.Length == 0 ? 1 : gain[c]) * row[c]);
            Assert.Equal(expected, effect[token], 1e-4);
        }

        Assert.Throws<InvalidOperationException>(() => lorsa.Head(5).ZPattern("a"));
    }

    private sealed class SmolLm2 : IDisposable
    {
        private readonly System.Text.Json.JsonDocument document =
            System.Text.Json.JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "lorsa", "eval", "smollm2_layer12.json")));

        public SmolLm2()
        {
            var file = GoldenFile.Open(TestData.Shared("reference", "lorsa", "train", "windows.safetensors"));
            Windows = [.. Array.ConvertAll(file.Integers("tokens"), token => (int)token).Chunk(256)];
        }

        public System.Text.Json.JsonElement Json => document.RootElement;

        public int[][] Windows { get; }

        public void Dispose() => document.Dispose();
    }
}
