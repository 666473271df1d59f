using TorchSharp;

namespace HeadScope.Tests;

public sealed class LorsaTrainerTests : IDisposable
{
    private static readonly LorsaTrainingOptions Small = new()
    {
        Heads = 64, QkHeads = 2, TopK = 4, ContextLength = 16, BatchSequences = 8, Tokens = 30 * 128, HeldOutSequences = 0, LearningRate = 3e-3,
        ReportEvery = 4, CheckpointEvery = 7, Initialization = LorsaInitialization.Random,
    };

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-lorsa-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void The_same_seed_gives_the_same_numbers_at_any_number_of_threads()
    {
        var runs = ThreadsUnderTest.With([1, 3], () => Numbers(Train(Small)));
        Assert.Equal(runs[0], runs[1]);
        Assert.NotEqual(runs[0], Numbers(Train(Small with { Seed = 1 })));
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
        Assert.Equal(
            whole.Training!.Curve.Select(point => point with { Seconds = 0 }), resumed.Training!.Curve.Select(point => point with { Seconds = 0 }));
        Assert.Equal(Numbers(whole), Numbers(Lorsa.Load(folder)));
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
        Assert.Equal(
            whole.Training!.Curve.Select(point => point with { Seconds = 0 }), resumed.Training!.Curve.Select(point => point with { Seconds = 0 }));
        Assert.Equal([4, 5, 8, 10, 12], whole.Training.Curve.Select(point => point.Step));
    }

    [Fact]
    public void A_checkpoint_of_other_options_is_refused_by_name()
    {
        Train(Small with { Folder = folder });
        var error = Assert.Throws<ArgumentException>(() => Train(Small with { Folder = folder, LearningRate = 1e-3 }));
        Assert.Contains("LearningRate = 0.003, not 0.001", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("norms", "[1]", "the field 'norms' is damaged. Expected 2 numbers, found 1")]
    [InlineData("norms", "null", "it has no 'norms'")]
    [InlineData("pending", "[0,1,2]", "the field 'pending' is damaged")]
    [InlineData("curve", "[null]", "the field 'curve' is damaged")]
    [InlineData("curve", "{", "the field 'curve' is damaged")]
    [InlineData("optimizer.steps", "", "tensor 'optimizer.steps': expected")]
    [InlineData("position", "", "tensor 'position': expected 3 numbers")]
    [InlineData("W_Q", "", "tensor 'W_Q': expected")]
    [InlineData("optimizer.m.W_Q", null, "no tensor 'optimizer.m.W_Q'")]
    public void A_damaged_checkpoint_is_refused_by_file_and_field(string field, string? value, string said)
    {
        Train(Small with { Folder = folder });
        var path = Path.Combine(folder, "training.safetensors");
        using var scope = torch.NewDisposeScope();
        var writer = new SafetensorsWriter();
        using (var file = SafetensorsFile.Open(path))
        {
            foreach (var (key, text) in file.Metadata)
            {
                writer.Metadata[key] = key == field ? value! : text;
            }

            foreach (var name in file.Tensors.Keys.Where(name => name != field || value is not null))
            {
                writer.Add(name, name == field ? torch.ones(2) : file.Read(name));
            }
        }

        writer.Save(path);
        var error = Assert.Throws<InvalidDataException>(() => Train(Small with { Folder = folder }));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
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
        Assert.ThrowsAny<IOException>(() => Train(Small with { Folder = file }));
    }

    [Fact]
    public void Shards_give_the_same_training_as_their_source()
    {
        var planted = new PlantedUnits(3);
        planted.Save(folder, sequences: 240, sequencesPerFile: 50, cancellationToken: TestContext.Current.CancellationToken);
        var shards = ActivationSource.Open(folder, heldOutSequences: 0);
        Assert.Equal(Numbers(Train(Small, source: planted)), Numbers(Train(Small, source: shards)));
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
        Assert.Equal(128, Lorsa.ConfigFor(model, 1, new()).ContextLength);
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
        source ??= new PlantedUnits(3);
        var config = new LorsaConfig
        {
            ModelWidth = 32, Heads = 64, QkHeads = 2, QkWidth = 8, ContextLength = 16, TopK = 4, HookIn = "x", HookOut = "y",
        };
        return LorsaUnderTest.Train(source, config, options, progress, cancellationToken);
    }

    private static float[] Numbers(Lorsa lorsa) => [.. lorsa.state_dict().Values.SelectMany(tensor => tensor.Values())];

    private sealed class Callback(Action<WorkProgress> report) : IProgress<WorkProgress>
    {
        public void Report(WorkProgress value) => report(value);
    }
}
