using TorchSharp;

namespace HeadScope.Tests;

/// <summary>A Lorsa is a module as any other: it moves, and it trains whatever torch's settings are around the call.</summary>
[Collection(nameof(LifetimeTests))]
public sealed class LorsaModuleTests
{
    [Theory]
    [InlineData(torch.ScalarType.Float64, 1e-5)]
    [InlineData(torch.ScalarType.BFloat16, 0.1)]
    public void All_parameters_change_their_type_and_the_output_stays(torch.ScalarType type, double tolerance)
    {
        using var scope = torch.NewDisposeScope();
        using var lorsa = LorsaUnderTest.Create(Config, LorsaUnderTest.Random(Config, 2, firstCode: true));
        var input = torch.linspace(-1, 1, 5 * 12, torch.float32).view(5, 12);
        var before = lorsa.forward(input).Values();
        using (torch.NewDisposeScope())
        {
            lorsa.to(type);
        }

        Assert.All(lorsa.state_dict().Values, weight => Assert.Equal(type, weight.dtype));
        Assert.Equal(type, lorsa.W_V.dtype);
        Assert.Equal(type, lorsa.WithUnitOutputNorms().W_O.dtype);
        Assert.Equal(before, lorsa.forward(input).to(torch.float32).Values(), (a, b) => Math.Abs(a - b) < tolerance);
    }

    [Fact]
    public void All_parameters_move_to_another_device()
    {
        using var lorsa = LorsaUnderTest.Create(Config, LorsaUnderTest.Random(Config, 2, firstCode: true));
        lorsa.to(torch.META);
        Assert.All(lorsa.state_dict().Values, weight => Assert.Equal(DeviceType.META, weight.device_type));
        Assert.Equal(DeviceType.META, lorsa.W_Q.device_type);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(16)]
    public void A_training_is_the_same_whatever_is_set_for_gradients_around_it(int headsOfEach)
    {
        var expected = Trained();
        using (torch.no_grad())
        {
            Assert.Equal(expected, Trained());
        }

        using (torch.inference_mode())
        {
            Assert.Equal(expected, Trained());
        }

        float[] Trained()
        {
            using var scope = torch.NewDisposeScope();
            using var model = TinyModels.Load("rotary");
            using var lorsa = Lorsa.Train(model, 1, Windows, Few with { Heads = 4 * headsOfEach });
            return [.. lorsa.state_dict().Values.SelectMany(weight => weight.detach().Values())];
        }
    }

    [Fact]
    public void Another_default_type_changes_nothing()
    {
        var expected = Everything();
        try
        {
            torch.set_default_dtype(torch.float64);
            Assert.Equal(expected, Everything());
        }
        finally
        {
            torch.set_default_dtype(torch.float32);
        }

        static string[] Everything()
        {
            using var scope = torch.NewDisposeScope();
            using var model = TinyModels.Load("rotary");
            var planted = PlantedUnits.Recover(heads: 8, steps: 2);
            return
            [
                .. new[] { Few, Few with { Activation = LorsaActivation.JumpRelu } }.SelectMany(options =>
                {
                    var lorsa = Lorsa.Train(model, 1, Windows, options);
                    var (activities, activations) = (HeadActivities.Of(lorsa, Windows), lorsa.Encode(torch.zeros([5, 24], torch.float32)));
                    return lorsa.state_dict().Values.Concat([activities.Largest, activities.Means, activations.Output, activations.Patterns]);
                }).Concat([planted.Lorsa.W_V, planted.Evaluation.Frequencies]).Select(tensor => $"{tensor.dtype} {Convert.ToHexString(tensor.bytes)}"),
            ];
        }
    }

    [Fact]
    public void Tensors_of_another_shape_are_refused_and_empty_ones_are_not()
    {
        using var scope = torch.NewDisposeScope();
        using var model = TinyModels.Load("rotary");
        var lorsa = Lorsa.Train(model, 1, Windows, Few with { Activation = LorsaActivation.BatchTopK });
        Assert.Equal([0, 8, 24], lorsa.Encode(torch.zeros([0, 8, 24])).Output.shape);
        Assert.Equal([2, 0, 24], lorsa.Encode(torch.zeros([2, 0, 24])).Output.shape);
        Assert.Contains("[5, 24]", Assert.Throws<ArgumentException>(() => lorsa.LossRecovered([[1, 2, 3, 4]], torch.zeros([5, 24]))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => lorsa.LossRecovered([[1, 2, 3, 4]], torch.zeros([23])));
        var activities = HeadActivities.Of(lorsa, Windows);
        Assert.Throws<ArgumentOutOfRangeException>(() => activities.Top(32));
        Assert.Throws<ArgumentOutOfRangeException>(() => activities.Top(-1));
    }

    [Fact]
    public void A_training_frees_all_but_what_it_returns()
    {
        using var model = TinyModels.Load("rotary");
        Train();

        // Without a collection, in which finalizers would free what the training did not; what waits for one is freed before.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.True(GC.TryStartNoGCRegion(200_000_000));
        GC.WaitForPendingFinalizers();
        var before = torch.Tensor.TotalCount;
        for (var i = 0; i < 5; i++)
        {
            Train();
        }

        var after = torch.Tensor.TotalCount;
        GC.EndNoGCRegion();

        // Of each parameter of a module TorchSharp counts a tensor for ever that is none; a training makes two modules.
        Assert.Equal(before + (5 * 2 * Lorsa.Shapes(Config).Length), after);

        void Train()
        {
            using var scope = torch.NewDisposeScope();
            using var lorsa = Lorsa.Train(model, 1, Windows, Few with { HeldOutSequences = 0 });
        }
    }

    private static readonly LorsaCorpus Windows = LorsaCorpus.FromWindows([.. Enumerable.Range(0, 20).Select(i => Enumerable.Range(0, 8).Select(t => ((i * 7) + (t * t)) % 50).ToArray())]);

    private static readonly LorsaTrainingOptions Few = new()
    {
        Heads = 32, TopK = 4, ContextLength = 8, BatchSequences = 2, Tokens = 3 * 16, HeldOutSequences = 4,
    };

    private static readonly LorsaConfig Config = new()
    {
        ModelWidth = 12, Heads = 8, QkHeads = 2, QkWidth = 4, ContextLength = 6, TopK = 8, Activation = LorsaActivation.Relu,
    };
}
