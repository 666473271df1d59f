using TorchSharp;

namespace HeadScope.Tests;

/// <summary>A Lorsa is a module as any other: it moves, and it trains whatever torch's settings are around the call.</summary>
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

    private static readonly LorsaConfig Config = new()
    {
        ModelWidth = 12, Heads = 8, QkHeads = 2, QkWidth = 4, ContextLength = 6, TopK = 8, Activation = LorsaActivation.Relu,
    };
}
