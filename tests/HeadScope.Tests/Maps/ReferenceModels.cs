using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>The real model of the reference data, loaded once.</summary>
internal static class ReferenceModels
{
    private static readonly Lazy<Model> Lazy =
        new(() => Model.Load(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf")));

    public static Model SmolLm2 => Lazy.Value;

    /// <summary>A relation of the reference data, as published.</summary>
    public static Relation Relation(string name, string? prompt = null)
    {
        using var pairs = JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "maps", "datasets", name, name + ".json")));
        return new Relation(name, "", [.. pairs.RootElement.EnumerateArray().Select(p => (p[0].GetString()!, p[1].GetString()!))]) { Prompt = prompt };
    }
}
