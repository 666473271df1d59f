using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace HeadScope.Cli;

/// <summary><c>headscope salient</c>: what given heads do, from the parameters alone.</summary>
internal static class SalientCommand
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var heads = HeadOption.Create("The head; all heads when not given.");
        var tokens = new Option<int>("--tokens") { Description = "How many source tokens are listed for each head.", HelpName = "n", DefaultValueFactory = _ => 15 };
        var mappings = new Option<int>("--mappings") { Description = "How many targets are listed for each source token.", HelpName = "n", DefaultValueFactory = _ => 5 };
        var withoutMlp = new Option<bool>("--no-first-mlp") { Description = "Let heads read the embeddings as they are, without the first MLP." };
        var output = new Option<string?>("--output", "-o") { Description = "Where to write the operations: .json or .csv.", HelpName = "file" };
        var verb = new Verb(
            "salient",
            "Lists what a head does: the tokens of the vocabulary that it amplifies most, and the tokens it maps each of them to "
            + "(MAPS, arXiv 2412.11965, section 5).")
        {
            Examples =
            [
                ("headscope salient --head 3.5", "One head of the demo model."),
                ("headscope salient --model model.gguf --head 23.4 --output x.json", "One head of a GGUF file, with amplifications and logits."),
                ("headscope salient --model gpt2 --output gpt2.csv", "All heads of GPT-2 small, in one pass over its vocabulary."),
            ],
        };
        foreach (var option in new Option[] { model, heads, tokens, mappings, withoutMlp, output })
        {
            verb.Add(option);
        }

        verb.Does((parsed, cancellation) =>
        {
            var chosen = HeadOption.Parse(parsed.GetValue(heads) ?? []);
            var path = parsed.GetValue(output);
            FigureFile.Require(path, ".json", ".csv");
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var operations = TerminalProgress.Show(
                progress => SalientOperations.Of(
                loaded, chosen.Length == 0 ? null : chosen, parsed.GetValue(tokens), parsed.GetValue(mappings), !parsed.GetValue(withoutMlp), progress, cancellation));
            var to = parsed.InvocationConfiguration.Output;
            Print(operations, to);
            ResultFiles.Write(path, operations.ToJson, operations.ToCsv, to);
        });
        return verb;
    }

    private static void Print(SalientOperations operations, TextWriter output)
    {
        foreach (var (head, mean) in operations.Heads.Zip(operations.Means))
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"head {head}, mean amplification {mean:0.000}"));
            foreach (var operation in operations[head])
            {
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"  {operation.Amplification,8:0.000}  {Quoted(operation.Text)} -> {string.Join(", ", operation.Targets.Select(t => Quoted(t.Text)))}"));
            }
        }
    }

    // As a JSON string, so that a token that is a line break stays on its line.
    private static string Quoted(string text) => JsonSerializer.Serialize(text, Readable);
}
