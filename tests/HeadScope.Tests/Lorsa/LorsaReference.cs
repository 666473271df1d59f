using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>One file of reference numbers with the JSON beside it.</summary>
internal sealed class LorsaReference : IDisposable
{
    private readonly SafetensorsFile file;
    private readonly JsonDocument document;

    public LorsaReference(params string[] pathWithoutExtension)
    {
        var path = TestData.Shared(["reference", "lorsa", .. pathWithoutExtension]);
        file = SafetensorsFile.Open(path + ".safetensors");
        document = JsonDocument.Parse(File.ReadAllText(path + ".json"));
    }

    public JsonElement Json => document.RootElement;

    public JsonElement Trainer => Json.GetProperty("trainer");

    public LorsaConfig Config => LorsaConfigJson.Read(Json.GetProperty("config"), "reference") with { HookIn = "in", HookOut = "out" };

    public bool Has(string name) => file.Tensors.ContainsKey(name);

    public long[] Shape(string name) => [.. file.Tensors[name].Shape];

    public float[] Numbers(string name)
    {
        var numbers = new float[file.Tensors[name].Length];
        file.Read(name, 0, numbers);
        return numbers;
    }

    /// <summary>Parameters stored under a prefix; b_O of the first code is b_D.</summary>
    public LorsaParameters Parameters(LorsaConfig config, string prefix)
    {
        var parameters = new LorsaParameters(config);
        foreach (var tensor in parameters.All)
        {
            Numbers(Name(prefix, tensor.Name)).CopyTo(tensor.Values, 0);
        }

        return parameters;
    }

    public string Name(string prefix, string tensor) => Has($"{prefix}.{tensor}") ? $"{prefix}.{tensor}" : $"{prefix}.b_O";

    public double Number(string name, double otherwise) =>
        Trainer.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : otherwise;

    public string Text(string name, string otherwise) =>
        Trainer.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : otherwise;

    public void Dispose()
    {
        file.Dispose();
        document.Dispose();
    }

    /// <summary>The largest deviation, relative to the largest expected number.</summary>
    public static double Deviation(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = 0, deviation = 0;
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.True(float.IsFinite(actual[i]), $"Number {i} is {actual[i]}.");
            largest = Math.Max(largest, Math.Abs(expected[i]));
            deviation = Math.Max(deviation, Math.Abs(expected[i] - (double)actual[i]));
        }

        return deviation / Math.Max(largest, 1e-12);
    }

    public static void AssertClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double limit, string what)
    {
        var deviation = Deviation(expected, actual);
        Assert.True(deviation <= limit, $"{what} deviates by {deviation:g3} of its largest number; allowed is {limit:g3}.");
    }
}
