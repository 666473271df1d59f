using TorchSharp;

namespace HeadScope.Tests;

/// <summary>What holds on a GPU; skipped where torch sees none.</summary>
public class GpuTests
{
    private static readonly int[][] Batch = [[5, 6, 7, 8, 9, 10, 11], [3, 2, 1, 4]];

    public static TheoryData<string> Models => ["demo", "rotary", "parallel"];

    [Theory]
    [MemberData(nameof(Models))]
    public void Logits_and_activations_are_those_of_the_processor(string name)
    {
        using var here = TinyModels.Load(name);
        using var there = TinyModels.Load(name, device: Gpu());
        var (expected, found) = (here.Run(Batch, new Hooks().Keep("*")), there.Run(Batch, new Hooks().Keep("*")));
        Assert.Equal(DeviceType.CUDA, found.Logits!.device.type);
        Assert.Equal(DeviceType.CUDA, there.Net.Blocks[1].Attention.W_Q.device.type);
        for (var b = 0; b < Batch.Length; b++)
        {
            var last = (b * Batch[0].Length) + Batch[b].Length - 1;
            ReferenceTensors.AssertClose("logits", expected.Logits!.Row(last), found.Logits.Row(last), 1e-3);
        }

        ReferenceTensors.AssertClose("z", expected["blocks.0.attn.hook_z"].Row(5), found["blocks.0.attn.hook_z"].Row(5), 1e-3);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Decoding_with_a_cache_and_folding_work_there(string name)
    {
        using var here = TinyModels.Load(name);
        using var there = TinyModels.Load(name, device: Gpu());
        Assert.Equal(here.Generate([5, 6, 7], 8), there.Generate([5, 6, 7], 8));
        Assert.Equal(
            here.Generate([5, 6, 7], 8), there.With(WeightProcessing.FoldLayerNorm, WeightProcessing.FoldValueBiases).Generate([5, 6, 7], 8));
    }

    [Fact]
    public void The_methods_follow_the_model()
    {
        using var here = Model.Load("demo");
        using var there = Model.Load("demo", device: Gpu());
        var relations = new[] { Relations.CountryToCapital };
        Assert.Equal(
            HeadMap.Score(here, relations)["country_to_capital"].Top(3).Select(score => score.Head),
            HeadMap.Score(there, relations)["country_to_capital"].Top(3).Select(score => score.Head));
        Assert.Equal(Circuit.Trace(here, Ioi.Prompts(8)).Roots, Circuit.Trace(there, Ioi.Prompts(8)).Roots);
        ReferenceTensors.AssertClose("patched heads", Patched(here), Patched(there), 1e-3);
        ReferenceTensors.AssertClose("lens", LogitLens.Of(here, Batch[0], 3).Probabilities.Copied<float>(), LogitLens.Of(there, Batch[0], 3).Probabilities.Copied<float>(), 1e-3);

        static float[] Patched(Model model) => ActivationPatching.Run(model, new([5, 6, 7, 8], [], 3, 9), new([5, 60, 7, 8], [])).Heads.Copied<float>();
    }

    [Fact]
    public void Half_precision_runs_there()
    {
        using var there = Model.Load("demo", device: Gpu(), dtype: torch.bfloat16);
        var logits = there.Run("The capital city of France is called", logits: LogitsOf.LastPosition).Logits!;
        Assert.Equal(torch.bfloat16, logits.dtype);
        Assert.Equal(" Paris", there.Tokenizer.TokenText((int)logits.argmax().cpu().item<long>()));
    }

    private static torch.Device Gpu()
    {
        Assert.SkipUnless(torch.cuda.is_available(), "torch sees no CUDA device here; HEADSCOPE_LIBTORCH names a libtorch that has one.");
        return torch.CUDA;
    }
}
