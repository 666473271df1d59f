namespace HeadScope;

/// <summary>
/// Indirect object identification: <c>When Mary and John went to the store, John gave a ring to</c> asks for Mary. Names, places, objects
/// and templates are HeadScope's own; data/prompts says what the roles mark.
/// </summary>
public static class Ioi
{
    internal const string Name = "ioi";

    /// <summary>IOI prompts, to be drawn for the tokenizer of the model that reads them.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="names">Own names, each a single token of the model's tokenizer; null for the shipped ones.</param>
    /// <param name="places">Own places; null for the shipped ones.</param>
    /// <param name="objects">Own objects; null for the shipped ones.</param>
    /// <param name="indirectFirst">Whether the indirect object is named first (ABBA: <c>When Mary and John …, John gave … to</c>) or the subject
    /// (BABA); null for both in turn.</param>
    /// <returns>The prompts, to be drawn. The answer of each is the indirect object, its distractor the subject.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no prompts.</exception>
    public static PromptSet Prompts(
        int count,
        int seed = 0,
        IReadOnlyList<string>? names = null,
        IReadOnlyList<string>? places = null,
        IReadOnlyList<string>? objects = null,
        bool? indirectFirst = null) => new(
            Name,
            count,
            tokens => Draw(
                tokens, count, seed, tokens.SingleTokens("name", names, 2), tokens.SingleTokens("place", places, 1), tokens.SingleTokens("object", objects, 1), indirectFirst))
        { RootSource = "IO" };

    private static PromptSet Draw(
        PromptTokenizer tokens,
        int count,
        int seed,
        IReadOnlyList<string> names,
        IReadOnlyList<string> places,
        IReadOnlyList<string> objects,
        bool? order)
    {
        var random = new Random(seed);
        var templates = PromptTokenizer.Rows("ioi", "template", "verb").Where(t => tokens.SingleToken(t[1]) is not null).ToArray();
        if (templates.Length == 0)
        {
            throw new ArgumentException("The verb of no IOI template is a single token of this tokenizer.");
        }

        random.Shuffle(templates);
        var prompts = new CircuitPrompt[count];
        for (var p = 0; p < count; p++)
        {
            var indirectFirst = order ?? p % 2 == 0;
            var template = templates[(order is null ? p / 2 : p) % templates.Length];
            var indirect = Pick(names, random);
            string subject;
            do
            {
                subject = Pick(names, random);
            }
            while (string.Equals(subject, indirect, StringComparison.Ordinal));

            var text = template[0]
                .Replace("{A}", indirectFirst ? indirect : subject, StringComparison.Ordinal)
                .Replace("{B}", indirectFirst ? subject : indirect, StringComparison.Ordinal)
                .Replace("{S}", subject, StringComparison.Ordinal)
                .Replace("{place}", Pick(places, random), StringComparison.Ordinal)
                .Replace("{object}", Pick(objects, random), StringComparison.Ordinal);
            prompts[p] = Mark(text, indirect, subject, template[1], tokens);
        }

        return new PromptSet(Name, prompts);
    }

    private static CircuitPrompt Mark(string text, string indirect, string subject, string verb, PromptTokenizer tokens)
    {
        var ids = tokens.Encode(text);
        var (answer, distractor) = (tokens.SingleToken(indirect)!.Value, tokens.SingleToken(subject)!.Value);
        var (io, s1, s2) = (Array.IndexOf(ids, answer), Array.IndexOf(ids, distractor), Array.LastIndexOf(ids, distractor));
        if (ids.Count(id => id == answer) != 1 || ids.Count(id => id == distractor) != 2)
        {
            throw new ArgumentException(
                $"In '{text}' the name {indirect} must stand once and {subject} twice as a token; choose names that are no other words.");
        }

        var punctuation = text.Contains('.', StringComparison.Ordinal) ? "." : ",";
        var end = ids.Length - 1;
        KeyValuePair<string, int>[] roles =
        [
            new("IO", io), new("IO-1", io - 1), new("IO+1", io + 1),
            new("S1", s1), new("S1-1", s1 - 1), new("S1+1", s1 + 1),
            new("S2", s2), new("S2-1", s2 - 1), new("S2+1", s2 + 1),
            new("end", end), new("end-1", end - 1), new("starts", tokens.Start),
            new("punct", Array.FindLastIndex(ids, id => string.Equals(tokens.TextOf(id).Trim(), punctuation, StringComparison.Ordinal))),
            new("verb", Array.LastIndexOf(ids, tokens.SingleToken(verb)!.Value)),
        ];
        return new CircuitPrompt(ids, roles, answer, distractor, text);
    }

    private static string Pick(IReadOnlyList<string> words, Random random) => words[random.Next(words.Count)];
}
