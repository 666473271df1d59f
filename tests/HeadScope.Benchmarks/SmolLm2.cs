namespace HeadScope.Benchmarks;

/// <summary>SmolLM2-135M-Instruct of the reference data.</summary>
internal static class SmolLm2
{
    /// <summary>Its GGUF file.</summary>
    public static string Path => System.IO.Path.Combine(
        Environment.GetEnvironmentVariable("HEADSCOPE_TEST_DATA")
            ?? throw new ArgumentException("Set HEADSCOPE_TEST_DATA to the folder of the reference data, which has SmolLM2."),
        "models", "smollm2-135m-instruct", "model.gguf");
}
