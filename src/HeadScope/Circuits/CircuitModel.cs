namespace HeadScope;

/// <summary>The form of a model that circuits are traced in: what a norm multiplies and adds is folded into what reads it, so that the
/// normalised residual stream is a sum of what was written to it, divided by one number.</summary>
public static class CircuitModel
{
    /// <summary>
    /// The model with the weight processing that tracing needs and that it has not had: for LayerNorm all four steps, as the authors'
    /// code has them; for RMSNorm those that keep its predictions (no centring of what writes).
    /// </summary>
    /// <param name="model">The model; stays as it is.</param>
    /// <returns>The processed model; <see cref="Model.Processing"/> lists the steps.</returns>
    public static Model Of(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        WeightProcessing[] steps = model.Config.Norm == NormKind.LayerNorm
            ?
            [
                WeightProcessing.FoldLayerNorm, WeightProcessing.CenterWritingWeights,
                WeightProcessing.CenterUnembedding, WeightProcessing.FoldValueBiases,
            ]
            : [WeightProcessing.FoldLayerNorm, WeightProcessing.CenterUnembedding, WeightProcessing.FoldValueBiases];
        return model.With([.. steps.Except(model.Processing)]);
    }
}
