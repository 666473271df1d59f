using System.CommandLine;

namespace HeadScope.Cli;

/// <summary><c>headscope lorsa export</c>: a Lorsa of any known layout in that of Language-Model-SAEs.</summary>
internal static class LorsaExportCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var folder = LorsaCommand.FolderArgument();
        var output = new Option<string>("--output", "-o") { Description = "The folder to write.", HelpName = "folder", Required = true };
        var folded = LorsaCommand.FoldedOption();
        var fold = new Option<bool>("--fold") { Description = "Fold the normalisation of activations into the weights." };
        var unit = new Option<bool>("--unit-norms") { Description = "Give every output vector length 1 and move its length into what the head reads." };
        var verb = new Verb(
            "export", "Writes a Lorsa as config.json and sae_weights.safetensors, the layout of OpenMOSS's Language-Model-SAEs, which can train it further on GPUs.")
        {
            Examples = [("headscope lorsa export old-lorsa --output lorsa --fold", "A Lorsa of the first published code, with weights in the units of the model.")],
        };
        verb.Add(folder);
        foreach (var option in new Option[] { output, folded, fold, unit })
        {
            verb.Add(option);
        }

        verb.Does((parsed, _) =>
        {
            var lorsa = Lorsa.Load(parsed.GetValue(folder)!, parsed.GetValue(folded));
            lorsa = parsed.GetValue(unit) ? lorsa.WithUnitOutputNorms() : lorsa;
            lorsa = parsed.GetValue(fold) ? lorsa.FoldNormalization() : lorsa;
            lorsa.Save(parsed.GetValue(output)!);
            parsed.InvocationConfiguration.Output.WriteLine($"{lorsa}, written to {parsed.GetValue(output)}");
        });
        return verb;
    }
}
