using System.CommandLine;

namespace HeadScope.Cli;

/// <summary><c>headscope activations</c>: one forward pass, the asked-for activations in a file.</summary>
internal static class ActivationsCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var input = new InputOptions();
        var names = new Option<string[]>("--names", "-n")
        {
            Description = "Names as TransformerLens has them, * for any part: blocks.*.attn.hook_pattern. Several with commas or spaces between them.",
            HelpName = "names",
            Required = true,
            AllowMultipleArgumentsPerToken = true,
        };
        var path = new Option<string>("--output", "-o")
        {
            Description = "The safetensors file to write: each activation under its name, with the shape that TransformerLens gives it, batch first.",
            HelpName = "x.safetensors",
            Required = true,
        };
        var verb = new Verb("activations", "Runs a model on one text and writes activations under their TransformerLens names.")
        {
            Examples =
            [
                ("headscope activations --text \"When Mary and John went to the store\" --names \"blocks.*.attn.hook_pattern\" --output patterns.safetensors",
                    "The attention patterns of all layers, [1, head, query, key] each."),
                ("headscope activations --model gpt2 --ids 464,3139 --names blocks.5.hook_resid_post,ln_final.hook_normalized --output x.safetensors",
                    "The residual stream after block 5 and the input of the unembedding."),
            ],
        };
        verb.Add(model);
        verb.Add(input.Text);
        verb.Add(input.Ids);
        verb.Add(names);
        verb.Add(path);
        verb.Does((parsed, cancellation) =>
        {
            string[] asked = [.. parsed.GetValue(names)!.SelectMany(n => n.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];
            AtomicFile.RequireWritable(parsed.GetValue(path)!);
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            using var pass = loaded.Run(input.Tokens(parsed, loaded), new Hooks().Keep(asked), LogitsOf.None, cancellationToken: cancellation);
            SafetensorsWriter.Write(parsed.GetValue(path)!, pass.Activations);
        });
        return verb;
    }
}
