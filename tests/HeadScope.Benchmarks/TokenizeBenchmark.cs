using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>Encoding English text against the Hugging Face tokenizers library, each on one core.</summary>
internal static class TokenizeBenchmark
{
    /// <summary>Runs it; arguments are a tokenizer.json and a text file.</summary>
    public static void Run(string[] arguments)
    {
        if (arguments is not [var json, var textPath])
        {
            throw new ArgumentException("Give a tokenizer.json and a text file in UTF-8, without spaces in their paths.", nameof(arguments));
        }

        var text = File.ReadAllText(textPath);
        var tokenizer = Tokenizer.FromJson(json);
        using var peer = Peer.Start("tokenize.js");
        var megabytes = new FileInfo(textPath).Length / 1e6;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{megabytes:0.00} MB; peer: {peer.Description}\n"));
        Console.WriteLine(Comparison.TableHead("tokenizers"));
        Report("encode", () => tokenizer.Encode(text));
        Report("load_and_encode", () => Tokenizer.FromJson(json).Encode(text));

        void Report(string work, Action ours)
        {
            var comparison = Comparison.Measure(work.Replace('_', ' '), ours, peer, $"{work} {json} {textPath}", blocks: 5);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{comparison} {megabytes / comparison.Ours:0.0} MB/s against {megabytes / comparison.Theirs:0.0} MB/s |"));
        }
    }
}
