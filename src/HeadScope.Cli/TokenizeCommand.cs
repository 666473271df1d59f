using System.CommandLine;
using System.Text.Json;

namespace HeadScope.Cli;

/// <summary><c>headscope tokenize</c>: texts in, token ids out.</summary>
internal static class TokenizeCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var text = new Option<string?>("--text") { Description = "The text.", HelpName = "text" };
        var lines = new Option<string?>("--lines")
        {
            Description = "A file with one JSON string a line; prints one array a line. - reads standard input.",
            HelpName = "x.jsonl",
        };
        var plain = new Option<bool>("--no-special-tokens") { Description = "Do not add the special tokens that the tokenizer adds by itself." };
        var verb = new Verb("tokenize", "Prints the token ids of a text as a JSON array. A folder needs to hold no more than a tokenizer.")
        {
            Examples =
            [
                ("headscope tokenize --text \"The capital city of France is called\"", "The ids of one text with the demo model's tokenizer."),
                ("headscope tokenize --model gpt2 --lines texts.jsonl", "The ids of many texts, one JSON string a line in, one array a line out."),
            ],
        };
        verb.Add(model);
        verb.Add(text);
        verb.Add(lines);
        verb.Add(plain);
        verb.Does((parsed, cancellation) =>
        {
            var (one, many) = (parsed.GetValue(text), parsed.GetValue(lines));
            if ((one is null) == (many is null))
            {
                throw new UsageException("Give either --text or --lines.");
            }

            var tokenizer = TerminalProgress.Show(progress => Tokenizer.Load(parsed.GetValue(model)!, progress, cancellation));
            var output = parsed.InvocationConfiguration.Output;
            var special = !parsed.GetValue(plain);
            if (one is not null)
            {
                output.WriteLine(JsonSerializer.Serialize(tokenizer.Encode(one, special)));
                return;
            }

            using var reader = many == "-" ? Console.In : File.OpenText(many!);
            for (var number = 1; reader.ReadLine() is { } line; number++)
            {
                cancellation.ThrowIfCancellationRequested();
                output.WriteLine(JsonSerializer.Serialize(tokenizer.Encode(Text(line, many!, number), special)));
            }

            output.Flush();
        });
        return verb;
    }

    private static string Text(string line, string file, int number)
    {
        try
        {
            return JsonSerializer.Deserialize<string>(line) ?? throw new JsonException("null");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"{file}, line {number}: expected a JSON string such as \"Hello\", found {(line.Length > 60 ? line[..60] + "…" : line)}", exception);
        }
    }
}
