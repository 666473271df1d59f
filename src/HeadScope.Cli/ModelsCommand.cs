using System.CommandLine;
using System.Globalization;

namespace HeadScope.Cli;

/// <summary><c>headscope models</c>: what is on this machine, what can be fetched, what a model is.</summary>
internal static class ModelsCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var verb = new Verb("models", "Lists the models on this machine, fetches one from the hub, or shows what a model is.")
        {
            Examples = [("headscope models list", "The models that can be used without a download.")],
        };

        // What a verb of its own does is said by its subcommands; without one it is wrong usage.
        verb.Add(List());
        verb.Add(Pull());
        verb.Add(Show());
        return verb;
    }

    private static Verb List()
    {
        var verb = new Verb("list", "Lists the demo model and the models in the Hugging Face cache, with their sizes.")
        {
            Examples = [("headscope models list", "One model a line: name, revision, size, folder.")],
        };
        verb.Does((parsed, _) =>
        {
            var output = parsed.InvocationConfiguration.Output;
            (string Name, string Revision, string Size, string Path)[] rows =
            [
                ("demo", "built in", "", ""),
                .. HubRepository.List(HubOptions.FromEnvironment().CacheFolder).Select(model => (model.Name, model.Revision, Bytes(model.Size), model.Path)),
            ];
            var (name, revision) = (rows.Max(r => r.Name.Length), rows.Max(r => r.Revision.Length));
            foreach (var row in rows)
            {
                output.WriteLine($"{row.Name.PadRight(name)}  {row.Revision.PadRight(revision)}  {row.Size,9}  {row.Path}".TrimEnd());
            }
        });
        return verb;
    }

    private static Verb Pull()
    {
        var id = new Argument<string>("id") { Description = "The id of a model on the hub, with @revision for another than main." };
        var verb = new Verb("pull", "Fetches a model from the hub into the Hugging Face cache; what is there already is not fetched again.")
        {
            Examples =
            [
                ("headscope models pull gpt2", "GPT-2 small, 550 MB."),
                ("headscope models pull EleutherAI/pythia-160m@step1000", "A checkpoint in the middle of a training."),
            ],
        };
        verb.Add(id);
        verb.Does((parsed, cancellation) =>
        {
            var files = TerminalProgress.Show(progress => ModelFiles.Resolve(parsed.GetValue(id)!, progress: progress, cancellationToken: cancellation));
            parsed.InvocationConfiguration.Output.WriteLine(files.Location);
        });
        return verb;
    }

    private static Verb Show()
    {
        var model = new Argument<string>("model") { Description = "What --model takes: demo, a folder, a .gguf file or a hub id." };
        var verb = new Verb("show", "Shows what a model is: architecture, sizes, tokenizer.")
        {
            Examples =
            [
                ("headscope models show demo", "The built-in model."),
                ("headscope models show SmolLM2-135M-Instruct-Q8_0.gguf", "A GGUF file."),
            ],
        };
        verb.Add(model);
        verb.Does((parsed, cancellation) =>
        {
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var output = parsed.InvocationConfiguration.Output;
            var facts = ModelFacts.Of(loaded);
            var width = facts.Max(fact => fact.Name.Length);
            foreach (var (name, value) in facts)
            {
                output.WriteLine($"{name.PadRight(width)}  {value}");
            }
        });
        return verb;
    }

    private static string Bytes(long size) => string.Create(CultureInfo.InvariantCulture, $"{size / 1e6:#,0.0} MB");
}
