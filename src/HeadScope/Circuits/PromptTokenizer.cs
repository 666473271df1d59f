using System.Reflection;

namespace HeadScope;

/// <summary>A tokenizer, with the questions that drawing prompts asks it, and the words and templates of data/prompts.</summary>
internal sealed class PromptTokenizer(Tokenizer tokenizer)
{
    private const string Before = "and";
    private readonly int[] beginning = tokenizer.Encode("") is [var first, ..] && first == tokenizer.BeginningOfText ? [first] : [];

    /// <summary>Where the text begins: 1 behind a beginning-of-text token, else 0.</summary>
    public int Start => beginning.Length;

    /// <summary>Columns of a file of data/prompts, row by row.</summary>
    public static IReadOnlyList<string[]> Rows(string file, params string[] columns)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream($"HeadScope.Prompts.{file}.csv")!, Encoding.UTF8);
        return CsvFile.Read($"{file}.csv", reader.ReadToEnd(), columns);
    }

    public static string Fill(string template, params IEnumerable<(string Blank, string Word)> words) =>
        words.Aggregate(template, (text, word) => text.Replace(word.Blank, word.Word, StringComparison.Ordinal));

    /// <summary>The tokens of a text, behind the beginning-of-text token where the tokenizer sets one.</summary>
    public int[] Encode(string text) => [.. beginning, .. tokenizer.EncodeOrdinary(text)];

    /// <summary>The text of tokens, without the beginning.</summary>
    public string Decode(int[] tokens) => tokenizer.Decode(tokens.AsSpan(Start));

    public string TextOf(int token) => tokenizer.TokenText(token);

    /// <summary>The token of a word inside a text, behind a space; null when it splits into several.</summary>
    public int? SingleToken(string word) => Pieces(word) is [var only] ? only : null;

    /// <summary>The one token that a text adds behind a prompt, each as the user writes it.</summary>
    /// <exception cref="ArgumentException">It adds another number of tokens, or changes how the prompt is cut.</exception>
    public int Following(string prompt, string text)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(text);
        var (before, both) = (tokenizer.Encode(prompt), tokenizer.Encode(prompt + text));
        Fault.ArgumentIf(
            both.Length != before.Length + 1 || !both.AsSpan().StartsWith(before),
            $"'{text}' is not a single token behind the prompt: {string.Join('|', before.Select(TextOf))} becomes {string.Join('|', both.Select(TextOf))}. "
            + $"Choose a word that is, and write the space before it.");
        return both[^1];
    }

    /// <summary>The words that are single tokens. Words that the caller gave must all be; of the shipped ones the others are left out.</summary>
    /// <exception cref="ArgumentException">A given word splits, or fewer words than needed are left.</exception>
    public IReadOnlyList<string> Words(string what, IReadOnlyList<string>? given, int atLeast)
    {
        foreach (var word in given ?? [])
        {
            Fault.ArgumentIf(
                SingleToken(word) is null,
                $"The {what} '{word}' is not a single token here: it splits into {string.Join(" + ", Pieces(word).Select(id => $"'{TextOf(id)}'"))}. "
                + $"Roles mark single tokens; choose another.");
        }

        var words = given ?? [.. Rows($"{what}s", "word").Select(row => row[0]).Where(word => SingleToken(word) is not null)];
        var distinct = words.Distinct(StringComparer.Ordinal).Count();
        Fault.ArgumentIf(given is not null && distinct < atLeast, $"{distinct} different {what}s are given; at least {atLeast} are needed.");
        Fault.ArgumentIf(
            distinct < atLeast,
            $"Only {distinct} of the shipped {what}s are single tokens of this tokenizer; {atLeast} are needed. Give others in the call.");
        return words;
    }

    private int[] Pieces(string word) => [.. tokenizer.EncodeOrdinary($"{Before} {word}").Skip(tokenizer.EncodeOrdinary(Before).Length)];
}
