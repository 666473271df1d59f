using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>One file of reference numbers with the JSON beside it.</summary>
internal sealed class LorsaReference : IDisposable
{
    private readonly GoldenFile file;
    private readonly JsonDocument document;
    private readonly string jsonPath;

    public LorsaReference(params string[] pathWithoutExtension)
    {
        var path = TestData.Shared(["reference", "lorsa", .. pathWithoutExtension]);
        jsonPath = path + ".json";
        file = GoldenFile.Open(path + ".safetensors");
        document = JsonDocument.Parse(File.ReadAllText(jsonPath));
    }

    public JsonElement Json => document.RootElement;

    public JsonElement Trainer => Json.GetProperty("trainer");

    public LorsaConfig Config => LorsaUnderTest.ReadConfig(jsonPath) with { HookIn = "in", HookOut = "out" };

    public bool Has(string name) => file.Has(name);

    public int[] Shape(string name) => file.Shape(name);

    public float[] Numbers(string name) => file.Values(name);

    /// <summary>Parameters stored under a prefix; b_O of the first code is b_D.</summary>
    public OrderedDictionary<string, float[]> Parameters(LorsaConfig config, string prefix) =>
        new(LorsaUnderTest.Zeros(config).Keys.Select(name => KeyValuePair.Create(name, Numbers(Name(prefix, name)))));

    public string Name(string prefix, string tensor) => Has($"{prefix}.{tensor}") ? $"{prefix}.{tensor}" : $"{prefix}.b_O";

    public double Number(string name, double otherwise) =>
        Trainer.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : otherwise;

    public string Text(string name, string otherwise) =>
        Trainer.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : otherwise;

    public void Dispose() => document.Dispose();

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
