using HeadScope.Transformers;

namespace HeadScope.Tests.Maps;

/// <summary>The real model of the reference data, loaded once.</summary>
internal static class ReferenceModels
{
    private static readonly Lazy<TransformerModel> Lazy =
        new(() => TransformerModel.Load(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf")));

    public static TransformerModel SmolLm2 => Lazy.Value;
}
