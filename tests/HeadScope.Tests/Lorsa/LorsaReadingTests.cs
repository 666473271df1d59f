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
        var planted = new PlantedUnits(1);
        var config = LorsaUnderTest.LayerOf(planted) with { Heads = 48, TopK = 6, Activation = LorsaActivation.TopK };
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

    [Fact]
    public void What_a_head_writes_is_its_output_through_the_unembedding()
    {
        using var model = Model.Load("demo");
        var config = Lorsa.ConfigFor(model, 2, new() { Heads = 64, TopK = 4, ContextLength = 16 });
        var p = LorsaUnderTest.Random(config, 1, firstCode: true);
        var lorsa = LorsaUnderTest.Create(config, p, LorsaNormalization.Dataset, 3, 0.5);
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
}
