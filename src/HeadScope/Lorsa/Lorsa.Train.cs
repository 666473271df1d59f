using TorchSharp;

namespace HeadScope;

public sealed partial class Lorsa
{
    /// <summary>Trains a Lorsa for a layer of a model on a corpus, on the model's device.</summary>
    /// <remarks>
    /// A training is determined by its options, its seed and its data, not by where it was interrupted. With a
    /// <see cref="LorsaTrainingOptions.Folder"/> it writes checkpoints there, goes on from one it finds, and leaves the finished Lorsa in the
    /// layout that <see cref="Load"/> and Language-Model-SAEs read.
    /// </remarks>
    /// <param name="model">The model.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="corpus">The texts.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops after the step at hand and writes a checkpoint.</param>
    /// <returns>The Lorsa, with its training curve in <see cref="Training"/>.</returns>
    /// <exception cref="ArgumentException">The options do not fit the model, each other, or the checkpoint found.</exception>
    /// <exception cref="InvalidDataException">The corpus cannot be read or is too short; the last checkpoint is intact.</exception>
    /// <exception cref="ArithmeticException">Training diverged; the message names step and parameter.</exception>
    /// <exception cref="IOException">A checkpoint cannot be written; the one before is intact.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Lorsa Train(
        Model model, int layer, LorsaCorpus corpus, LorsaTrainingOptions? options = null,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        options = (options ?? new()).For(model);
        using var scope = torch.NewDisposeScope();
        var source = new ModelActivationSource(
            model, layer, corpus, options.ContextLength, options.HeldOutSequences, options.ShuffleBuffer, options.Seed);
        var config = ConfigFor(model, layer, options);
        return LorsaTraining.Run(source, config, options, OriginalAttention.Of(model, config), progress, cancellationToken).For(model);
    }

    /// <summary>The shape of a Lorsa for a layer of a model: positions as in the model.</summary>
    internal static LorsaConfig ConfigFor(Model model, int layer, LorsaTrainingOptions options)
    {
        options = options.For(model);
        return new LorsaConfig
        {
            ModelWidth = model.Config.ModelWidth,
            Heads = options.Heads,
            QkHeads = options.QkHeads == 0 ? model.Config.HeadCount : options.QkHeads,
            QkWidth = model.Config.HeadWidth,
            ContextLength = options.ContextLength,
            Activation = options.Activation,
            TopK = options.TopK,
            HookIn = $"blocks.{layer}.ln1.hook_normalized",
            HookOut = $"blocks.{layer}.hook_attn_out",
        }.With(model.Config.Rotary);
    }
}
