using System.CommandLine;

namespace HeadScope.Cli;

/// <summary><c>headscope lorsa</c>: its verbs, and what they share.</summary>
internal static class LorsaCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create() => new(
        "lorsa",
        "Replaces an attention layer by many one-dimensional heads of which few are active at a token (Low-Rank Sparse Attention, "
        + "arXiv 2504.20938): trains such a layer, measures it and reads its heads.")
    {
        LorsaTrainCommand.Create(),
        LorsaEvaluateCommand.Create(),
        LorsaInspectCommand.Create(),
        LorsaExportCommand.Create(),
    };

    /// <summary>The argument that names a trained Lorsa.</summary>
    internal static Argument<string> FolderArgument() => new("folder")
    {
        Description = "The folder of a trained Lorsa: of headscope lorsa train, of OpenMOSS's Language-Model-SAEs, or of the first published Lorsa code.",
    };

    /// <summary>The option <c>--corpus</c>.</summary>
    internal static Option<string> CorpusOption() => new("--corpus")
    {
        Description = "The texts: a text file in UTF-8, or JSON lines (.jsonl) with a field text.",
        HelpName = "file",
        Required = true,
    };

    /// <summary>The option that overrides a configuration which does not say that its weights are folded.</summary>
    internal static Option<bool> FoldedOption() => new("--folded")
    {
        Description = "The weights are in the units of the model, whatever config.json says: Language-Model-SAEs folds them after a training "
            + "without noting it.",
    };
}
