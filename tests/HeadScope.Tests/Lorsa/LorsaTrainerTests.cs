using TorchSharp;

namespace HeadScope.Tests;

public sealed class LorsaTrainerTests : IDisposable
{
    private static readonly LorsaTrainingOptions Small = new()
    {
        Heads = 64, QkHeads = 2, TopK = 4, ContextLength = 16, BatchSequences = 8, Tokens = 30 * 128, HeldOutSequences = 0, LearningRate = 3e-3,
        ReportEvery = 4, CheckpointEvery = 7, RandomStart = true,
    };

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-lorsa-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void The_same_seed_gives_the_same_numbers()
    {
        foreach (var options in new[] { Small, Small with { Penalty = "power", PenaltyCoefficient = 0.1 } })
        {
            var first = Numbers(Train(options));

            // Other addresses, and a collection in between, change nothing.
            using var between = torch.zeros(1001);
            GC.Collect();
            Assert.Equal(first, Numbers(Train(options)));
            Assert.NotEqual(first, Numbers(Train(options with { Seed = 1 })));
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(22)]
    public void A_cancelled_training_goes_on_bit_for_bit(int stopAt)
    {
        var whole = Train(Small);
        using var stop = new CancellationTokenSource();
        var steps = 0;
        var stopping = new Callback(progress =>
        {
            if (progress.Stage == "training" && ++steps == stopAt)
            {
                stop.Cancel();
            }
        });
        var options = Small with { Folder = folder };
        Assert.Throws<OperationCanceledException>(() => Train(options, stopping, stop.Token));
        var resumed = Train(options);
        Assert.Equal(Numbers(whole), Numbers(resumed));
        Assert.Equal(whole.Training!.ToCsv(), resumed.Training!.ToCsv());
        Assert.Equal(Numbers(whole), Numbers(Lorsa.Load(folder)));
    }

    [Theory]
    [InlineData("none")]
    [InlineData("power")]
    public void An_interrupt_in_the_middle_of_a_step_waits_for_its_end(string penalty)
    {
        var options = Small with { Penalty = penalty, PenaltyCoefficient = 0.1 };
        var whole = Train(options);
        using var stop = new CancellationTokenSource();
        using (AmbientWork.Enter(null, stop.Token))
        {
            // The batch is asked for within the step.
            var source = new Watched(LorsaUnderTest.Planted(3).Source, batch =>
            {
                if (batch == 5)
                {
                    stop.Cancel();
                }
            });
            Assert.ThrowsAny<OperationCanceledException>(() => Train(options with { Folder = folder }, null, stop.Token, source));
        }

        Assert.Equal(Numbers(whole), Numbers(Train(options with { Folder = folder })));
    }

    [Fact]
    public void A_training_cancelled_while_it_evaluates_loses_neither_steps_nor_points()
    {
        using var model = Model.Load("demo");
        var random = new Random(1);
        var windows = Enumerable.Range(0, 40).Select(_ => Enumerable.Range(0, 16).Select(_ => random.Next(2000)).ToArray()).ToArray();
        LorsaTrainingOptions Options(string? where) => new()
        {
            Heads = 64, TopK = 4, ContextLength = 16, BatchSequences = 2, Tokens = 12 * 32, HeldOutSequences = 6, ReportEvery = 5, EvaluateEvery = 4,
            CheckpointEvery = 100, Folder = where,
        };
        var whole = Lorsa.Train(model, 1, LorsaCorpus.FromWindows(windows), Options(null), cancellationToken: TestContext.Current.CancellationToken);
        using var stop = new CancellationTokenSource();
        var stopping = new Callback(progress =>
        {
            // The eighth step is followed by an evaluation.
            if (progress.Done == 8 * 32)
            {
                stop.Cancel();
            }
        });
        Assert.ThrowsAny<OperationCanceledException>(() =>
            Lorsa.Train(model, 1, LorsaCorpus.FromWindows(windows), Options(folder), stopping, stop.Token));
        var resumed = Lorsa.Train(
            model, 1, LorsaCorpus.FromWindows(windows), Options(folder), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(Numbers(whole), Numbers(resumed));
        Assert.Equal(whole.Training!.ToCsv(), resumed.Training!.ToCsv());
        Assert.Equal([4L, 5L, 8L, 10L, 12L], whole.Training.Table["step"].Cast<long>());
    }

    [Fact]
    public void A_checkpoint_of_other_options_is_refused_by_name()
    {
        Train(Small with { Folder = folder });
        var error = Assert.Throws<ArgumentException>(() => Train(Small with { Folder = folder, LearningRate = 1e-3 }));
        Assert.Contains("LearningRate = 0.003, not 0.001", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("norms", true, "tensor 'norms': expected [2] of Float64, found [3] of Float32")]
    [InlineData("pending", true, "tensor 'pending': expected")]
    [InlineData("curve", true, "tensor 'curve': expected [-1, 9] of Float64")]
    [InlineData("optimizer.steps", true, "tensor 'optimizer.steps': expected")]
    [InlineData("silent_tokens", true, "tensor 'silent_tokens': expected")]
    [InlineData("position", true, "tensor 'position': expected [2] of Int64")]
    [InlineData("W_Q", true, "tensor 'W_Q': expected")]
    [InlineData("optimizer.m.W_Q", false, "no tensor 'optimizer.m.W_Q'")]
    [InlineData("norms", false, "no tensor 'norms'")]
    public void A_damaged_checkpoint_is_refused_by_file_and_field(string field, bool isThere, string said) =>
        RefusedWith(field, isThere ? _ => torch.ones(3) : null, said);

    [Theory]
    [InlineData("position", 1_000_000, "a step of at most 30")]
    [InlineData("position", -1, "a step of at most 30")]
    [InlineData("optimizer.steps", -1, "at most 30 steps")]
    [InlineData("norms", 0, "positive numbers")]
    [InlineData("norms", double.NaN, "positive numbers")]
    public void Numbers_that_no_training_leaves_are_refused(string field, double number, string said) =>
        RefusedWith(field, stored => torch.full_like(stored, number), $"tensor '{field}': expected {said}");

    // A finished training whose checkpoint is another in one tensor, which is left out where it becomes none.
    private void RefusedWith(string field, Func<torch.Tensor, torch.Tensor>? changed, string said)
    {
        Train(Small with { Folder = folder });
        var path = Path.Combine(folder, "training.safetensors");
        using var scope = torch.NewDisposeScope();
        using (var file = SafetensorsFile.Open(path))
        {
            SafetensorsWriter.Write(
                path,
                file.Tensors.Keys.Where(name => name != field || changed is not null)
                    .ToDictionary(name => name, name => name == field ? changed!(file.Read(name)) : file.Read(name)),
                file.Metadata);
        }

        var error = Assert.Throws<InvalidDataException>(() => Train(Small with { Folder = folder }));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_norms_are_means_over_the_tokens_that_count_of_the_first_batches()
    {
        var source = new Fixed(seed: 5);
        var lorsa = Train(Small with { NormBatches = 3, Tokens = 4 * 128 }, source: source);
        double[] Norms(Func<ActivationBatch, torch.Tensor> side) =>
        [
            .. source.Batches(0, Small.BatchSequences).Take(3).SelectMany(batch =>
                side(batch).Values().Chunk(32).Zip(batch.Mask.Values()).Where(token => token.Second != 0)
                    .Select(token => Math.Sqrt(token.First.Sum(v => (double)v * v)))),
        ];
        Assert.Equal(Norms(batch => batch.Input).Average(), lorsa.InputNorm, 1e-5 * lorsa.InputNorm);
        Assert.Equal(Norms(batch => batch.Output).Average(), lorsa.OutputNorm, 1e-5 * lorsa.OutputNorm);
    }

    [Fact]
    public void Divergence_names_step_and_parameter_and_leaves_the_checkpoint()
    {
        var error = Assert.Throws<ArithmeticException>(() => Train(Small with { LearningRate = 1e30, LearningRateWarmUp = 0, Folder = folder, CheckpointEvery = 1 }));
        Assert.Matches("step [0-9]+: the (parameter|gradient) (W|b)_[A-Z]", error.Message);
        Assert.True(File.Exists(Path.Combine(folder, "training.safetensors")));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_stops_with_the_reason()
    {
        var file = Path.Combine(folder, "taken");
        File.WriteAllText(file, "");
        var steps = 0;
        Assert.ThrowsAny<IOException>(() => Train(Small with { Folder = file }, new Callback(progress => steps += progress.Stage == "training" ? 1 : 0)));
        Assert.Equal(0, steps);
    }

    [Fact]
    public void Options_that_cannot_be_meant_are_refused_by_name()
    {
        foreach (var (options, said) in new (LorsaTrainingOptions, string)[]
        {
            (Small with { LearningRateWarmUp = double.NaN }, "LearningRateWarmUp is NaN"), (Small with { LearningRateEnd = -1 }, "LearningRateEnd is -1"),
            (Small with { TopKWarmUp = double.PositiveInfinity }, "TopKWarmUp is Infinity"), (Small with { ClipLimit = double.NaN }, "ClipLimit is NaN"),
            (Small with { Power = 0 }, "Power is 0"), (Small with { LearningRate = 0 }, "LearningRate is 0"), (Small with { InitialTopK = -5 }, "InitialTopK is -5"),
            (Small with { AuxiliaryCoefficient = 0.1, AuxiliaryHeads = 0, DeadAfterTokens = 0 }, "InitialTopK is 0, AuxiliaryHeads 0"), (Small with { Folder = "" }, "Folder is empty"),
        })
        {
            Assert.StartsWith(said, Assert.Throws<ArgumentException>(() => Train(options)).Message, StringComparison.Ordinal);
        }

        using var model = Model.Load("demo");
        var windows = LorsaCorpus.FromWindows([.. Enumerable.Range(0, 20).Select(i => Enumerable.Range(i, 8).ToArray())]);
        LorsaTrainingOptions eight = new() { Heads = 64, TopK = 4, ContextLength = 8, HeldOutSequences = 0, Tokens = 64 };
        Assert.Contains("no activation 99", Refused(eight with { Activation = (LorsaActivation)99 }), StringComparison.Ordinal);
        Assert.Contains("8 tokens, ContextLength is 4", Refused(eight with { ContextLength = 4 }), StringComparison.Ordinal);
        Assert.Contains("8 tokens, ContextLength is 16", Refused(eight with { ContextLength = 16 }), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => LorsaCorpus.FromWindows([[]]));

        string Refused(LorsaTrainingOptions options) => Assert.Throws<ArgumentException>(() => Lorsa.Train(model, 1, windows, options)).Message;
    }

    [Fact]
    public void An_unreadable_line_of_a_corpus_is_named()
    {
        var path = Path.Combine(folder, "corpus.jsonl");
        File.WriteAllText(path, "{\"text\": \"The capital of France is Paris.\"}\n\n{\"texts\": 1}\n");
        using var model = Model.Load("demo");
        var error = Assert.Throws<InvalidDataException>(() => Lorsa.Train(
            model, 1, LorsaCorpus.FromFile(path), new() { Heads = 64, TopK = 4, ContextLength = 16, HeldOutSequences = 0 }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("corpus.jsonl', line 3", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_corpus_that_is_too_short_is_refused()
    {
        using var model = Model.Load("demo");
        Assert.Equal(128, Lorsa.ConfigFor(model, 1, new LorsaTrainingOptions().For(model)).ContextLength);
        var error = Assert.Throws<InvalidDataException>(() => Lorsa.Train(
            model, 1, new[] { "Too short." }, new() { Heads = 64, TopK = 4 }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("too short", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Training_on_the_demo_model_explains_variance_it_was_not_trained_on()
    {
        using var model = Model.Load("demo");
        var words = new[] { "river", "Paris", "the", "king", "of", "blue", "a", "house", "France", "city", "one", "two", "three", "and" };
        var random = new Random(1);
        var texts = Enumerable.Range(0, 300).Select(_ => string.Join(' ', Enumerable.Range(0, 40).Select(_ => words[random.Next(words.Length)]))).ToArray();
        var lorsa = Lorsa.Train(
            model, 1, texts, new() { Heads = 256, TopK = 16, ContextLength = 32, Tokens = 20_000, HeldOutSequences = 8, EvaluateEvery = 50 },
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(lorsa.Training!.HeldOut!.ExplainedVariance > 0.5, $"EV {lorsa.Training.HeldOut.ExplainedVariance}");
        Assert.Equal(1, lorsa.Config.Layer);
        Assert.StartsWith("step,tokens", lorsa.Training.ToCsv(), StringComparison.Ordinal);
    }

    private static Lorsa Train(
        LorsaTrainingOptions options, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default,
        ActivationSource? source = null)
    {
        source ??= LorsaUnderTest.Planted(3).Source;
        var config = new LorsaConfig
        {
            ModelWidth = 32, Heads = 64, QkHeads = 2, QkWidth = 8, ContextLength = 16, TopK = 4, HookIn = "x", HookOut = "y",
        };
        return LorsaUnderTest.Train(source, config, options, progress, cancellationToken);
    }

    private static float[] Numbers(Lorsa lorsa) => [.. lorsa.state_dict().Values.SelectMany(tensor => tensor.Values())];

    /// <summary>Random sequences, of which a third of the tokens do not count and are larger.</summary>
    private sealed class Fixed(int seed) : ActivationSource
    {
        public override IEnumerable<ActivationBatch> Batches(long firstSequence, int sequences, CancellationToken cancellationToken = default)
        {
            for (var next = firstSequence; ; next += sequences)
            {
                var random = new Random((int)((next * 31) + seed));
                var mask = torch.tensor([.. Enumerable.Range(0, sequences * 16).Select(t => t % 3 == 0 ? 0f : 1f)]).view(sequences, 16);
                torch.Tensor Numbers() => torch.tensor([.. Enumerable.Range(0, sequences * 16 * 32).Select(i => (random.NextSingle() - 0.5f) * (i / 32 % 3 == 0 ? 4 : 1))])
                    .view(sequences, 16, 32);
                yield return new(Numbers(), Numbers(), mask);
            }
        }
    }

    /// <summary>Another source, of which is told when the batches of the training are asked for.</summary>
    private sealed class Watched(ActivationSource source, Action<int> asked) : ActivationSource
    {
        private int rounds;

        public override IEnumerable<ActivationBatch> Batches(long firstSequence, int sequences, CancellationToken cancellationToken = default)
        {
            // Asked for three times: for the start, for the norms and for the training.
            var isTraining = ++rounds == 3;
            return source.Batches(firstSequence, sequences, cancellationToken).Select((batch, number) =>
            {
                asked(isTraining ? number : -1);
                return batch;
            });
        }
    }

    private sealed class Callback(Action<WorkProgress> report) : IProgress<WorkProgress>
    {
        public void Report(WorkProgress value) => report(value);
    }
}
