using System.CommandLine;
using TorchSharp;

namespace HeadScope.Cli;

/// <summary><c>headscope logits</c>: one forward pass, its logits in a file.</summary>
internal static class LogitsCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var input = new InputOptions();
        var path = new Option<string>("--output", "-o")
        {
            Description = "The safetensors file to write: the tensor logits, [position, vocabulary].",
            HelpName = "x.safetensors",
            Required = true,
        };
        var verb = new Verb("logits", "Runs a model on one text and writes the logits of every position.")
        {
            Examples =
            [
                ("headscope logits --text \"The capital city of France is called\" --output logits.safetensors", "The logits of the demo model."),
                ("headscope logits --model gpt2 --ids 464,3139,286 --output logits.safetensors", "The same for token ids."),
            ],
        };
        verb.Add(model);
        verb.Add(input.Text);
        verb.Add(input.Ids);
        verb.Add(path);
        verb.Does((parsed, cancellation) =>
        {
            AtomicFile.RequireWritable(parsed.GetValue(path)!);
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            using var pass = loaded.Run(input.Tokens(parsed, loaded), cancellationToken: cancellation);
            var logits = pass.Logits!.squeeze(0);
            if (!logits.isfinite().all().item<bool>())
            {
                throw new InvalidDataException(
                    $"{parsed.GetValue(model)}: the logits are not all finite numbers, so a weight is NaN or infinite; the file is damaged.");
            }

            SafetensorsWriter.Write(
                parsed.GetValue(path)!,
                new Dictionary<string, torch.Tensor>(StringComparer.Ordinal) { ["logits"] = logits });
        });
        return verb;
    }
}
