using System.Globalization;

namespace HeadScope;

/// <summary>What a model is, fact by fact, in the words of the field.</summary>
public static class ModelFacts
{
    /// <summary>The facts of a model.</summary>
    /// <param name="model">The model.</param>
    /// <returns>Names and values, in the order in which they are read.</returns>
    public static IReadOnlyList<(string Name, string Value)> Of(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var config = model.Config;
        return
        [
            ("name", model.Name),
            ("architecture", config.Architecture),
            ("layers", PlotlyText.Count(config.LayerCount)),
            ("heads per layer", config.KeyValueHeadCount == config.HeadCount
                ? PlotlyText.Count(config.HeadCount)
                : $"{PlotlyText.Count(config.HeadCount)}, sharing {PlotlyText.Count(config.KeyValueHeadCount)} key-value heads"),
            ("width (d_model)", PlotlyText.Count(config.ModelWidth)),
            ("head width (d_head)", PlotlyText.Count(config.HeadWidth)),
            ("MLP width", $"{PlotlyText.Count(config.MlpWidth)}, {config.Activation}{(config.GatedMlp ? ", gated" : "")}"),
            ("vocabulary", PlotlyText.Count(config.VocabularySize)),
            ("context", PlotlyText.Count(config.ContextLength)),
            ("positions", config.LearnedPositions ? "learned" : "rotary"),
            ("norm", string.Create(CultureInfo.InvariantCulture, $"{config.Norm}, epsilon {config.NormEpsilon}")),
            ("residual", config.ParallelResidual ? "attention and MLP in parallel" : "attention, then MLP"),
            ("embeddings", config.TiedEmbeddings ? "tied" : "untied"),
            ("tokenizer", model.HasTokenizer ? "byte-level BPE" : "none"),
            ("weights", string.Create(
                CultureInfo.InvariantCulture,
                $"{model.WeightBytes / 1e6:#,0} MB as {model.Dtype} on {model.Device}, {(model.KeepsWeights ? "kept once read" : "read layer by layer in each pass")}")),
            ("processing", model.Processing.Count == 0 ? "none: weights as in the file" : string.Join(", ", model.Processing)),
        ];
    }
}
