namespace HeadScope.Tests;

/// <summary>The demo model with one number missing: the error says which weight it is in.</summary>
public sealed class DamagedWeightsTests : IDisposable
{
    private const int Width = 160, HeadWidth = 20;

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("h.2.attn.c_attn.weight", (5 * 3 * Width) + (2 * Width) + (3 * HeadWidth) + 1, "W_V of head 2.3")]
    [InlineData("h.1.attn.c_proj.weight", ((4 * HeadWidth) + 1) * Width, "W_O of head 1.4")]
    [InlineData("h.0.mlp.c_fc.weight", 7, "first MLP")]
    public void A_missing_number_is_found_where_it_is(string tensor, int at, string where)
    {
        using var model = Damaged(tensor, at);
        Assert.Contains(where, Error(() => HeadMap.Score(model, Relations.CountryToCapital)), StringComparison.Ordinal);
        Assert.Contains(where[..3], Error(() => SalientOperations.Of(model, heads: null)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_number_of_an_embedding_names_the_token()
    {
        int token;
        using (var demo = Model.Load("demo"))
        {
            token = demo.Tokenizer.Encode(" France")[0];
        }

        using var model = Damaged("wte.weight", (token * Width) + 3);
        Assert.Contains($"of token {token}", Error(() => HeadMap.Score(model, Relations.CountryToCapital)), StringComparison.Ordinal);
        Assert.Contains($"W_E of token {token}", Error(() => SalientOperations.Of(model, [new Head(2, 1)])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_damaged_unembedding_names_the_token(float number)
    {
        using (TinyModels.Load("parallel"))
        {
        }

        var made = Path.Combine(AppContext.BaseDirectory, "made-models", "parallel");
        File.Copy(Path.Combine(made, "config.json"), Path.Combine(folder, "config.json"));
        var source = GoldenFile.Open(made, "model.safetensors");
        var tensors = source.Names.ToDictionary(name => name, source.Numbers);
        tensors["embed_out.weight"].Values[(31 * 24) + 5] = number;
        GoldenFile.Write(Path.Combine(folder, "model.safetensors"), tensors);
        using var model = Model.Load(folder);
        Assert.Contains("W_U of token 31", Error(() => SalientOperations.Of(model, tokens: 5)), StringComparison.Ordinal);
    }

    private static string Error(Action action) => Assert.Throws<InvalidDataException>(action).Message;

    private Model Damaged(string tensor, int at)
    {
        var demo = Path.Combine(TestData.Repository, "data", "models", "demo");
        foreach (var file in Directory.GetFiles(demo).Where(f => Path.GetExtension(f) is ".json" or ".txt"))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        }

        var source = GoldenFile.Open(demo, "model.safetensors");
        var tensors = source.Names.ToDictionary(name => name, source.Numbers);
        tensors[tensor].Values[at] = float.NaN;
        GoldenFile.Write(Path.Combine(folder, "model.safetensors"), tensors);
        return Model.Load(folder);
    }
}
