namespace HeadScope;

/// <summary>Indirect object identification: <c>When Mary and John went to the store, John gave a ring to</c> asks for Mary. Names, places, objects
/// and templates are HeadScope's own; data/prompts says what the roles mark.</summary>
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
        bool? indirectFirst = null) => new(Name, count, "IO", seed, (tokens, random) =>
    {
        var (people, rooms, things) = (tokens.Words("name", names, 2), tokens.Words("place", places, 1), tokens.Words("object", objects, 1));
        var templates = PromptTokenizer.Rows("ioi", "template", "verb").Where(t => tokens.SingleToken(t[1]) is not null).ToArray();
        Fault.ArgumentIf(templates.Length == 0, $"The verb of no IOI template is a single token of this tokenizer.");
        random.Shuffle(templates);
        return Enumerable.Range(0, count).Select(p =>
        {
            var isIndirectFirst = indirectFirst ?? p % 2 == 0;
            var template = templates[(indirectFirst is null ? p / 2 : p) % templates.Length];
            var indirect = random.Of(people);
            var subject = random.Of(people, name => name != indirect);
            var (first, second) = isIndirectFirst ? (indirect, subject) : (subject, indirect);
            var text = PromptTokenizer.Fill(
                template[0], ("{A}", first), ("{B}", second), ("{S}", subject), ("{place}", random.Of(rooms)), ("{object}", random.Of(things)));
            return Mark(tokens, text, indirect, subject, template[1]);
        });
    });

    private static CircuitPrompt Mark(PromptTokenizer tokens, string text, string indirect, string subject, string verb)
    {
        var (ids, answer, distractor) = (tokens.Encode(text), tokens.SingleToken(indirect)!.Value, tokens.SingleToken(subject)!.Value);
        var (io, s1, s2, end) = (Array.IndexOf(ids, answer), Array.IndexOf(ids, distractor), Array.LastIndexOf(ids, distractor), ids.Length - 1);
        Fault.ArgumentIf(
            ids.Count(id => id == answer) != 1 || ids.Count(id => id == distractor) != 2,
            $"In '{text}' the name {indirect} must stand once and {subject} twice as a token; choose names that are no other words.");
        var punctuation = text.Contains('.', StringComparison.Ordinal) ? "." : ",";
        return new(
            ids,
            [
                new("IO", io), new("IO-1", io - 1), new("IO+1", io + 1), new("S1", s1), new("S1-1", s1 - 1), new("S1+1", s1 + 1),
                new("S2", s2), new("S2-1", s2 - 1), new("S2+1", s2 + 1), new("end", end), new("end-1", end - 1), new("starts", tokens.Start),
                new("punct", Array.FindLastIndex(ids, id => tokens.TextOf(id).Trim() == punctuation)),
                new("verb", Array.LastIndexOf(ids, tokens.SingleToken(verb)!.Value)),
            ],
            answer,
            distractor,
            text);
    }
}

/// <summary>Induction: a row of different words begins again and stops, <c>river stone horse stamp river stone</c>; the answer is the word that came
/// next the first time.</summary>
public static class Induction
{
    internal const string Name = "induction";

    /// <summary>Induction prompts, to be drawn for the tokenizer of the model that reads them.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="period">How many different words a row has, 4 or more.</param>
    /// <returns>The prompts, to be drawn. The distractor of a prompt is another word of its row.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no prompts, or the row is too short.</exception>
    public static PromptSet Prompts(int count, int seed = 0, int period = 10)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(period, 4);
        return new(Name, count, "B1", seed, (tokens, random) =>
        {
            var words = tokens.Words("word", null, period).ToArray();
            return Enumerable.Range(0, count).Select(_ =>
            {
                random.Shuffle(words);
                int[] row = [.. words.Take(period).Select(word => tokens.SingleToken(word)!.Value)];
                var last = random.Next(1, period - 1);
                var other = random.Of(row, word => word != row[last] && word != row[last + 1]);
                int[] ids = [.. tokens.Encode(""), .. row, .. row[..(last + 1)]];
                var (first, end) = (tokens.Start + last, ids.Length - 1);
                return new CircuitPrompt(
                    ids,
                    [
                        new("starts", tokens.Start), new("A1-1", first - 1), new("A1", first), new("B1", first + 1), new("end-1", end - 1), new("end", end),
                    ],
                    row[last + 1],
                    other,
                    tokens.Decode(ids));
            });
        });
    }
}

/// <summary>Greater-than: <c>The war lasted from the year 1732 to the year 17</c> asks for a later year. The answer is the first token that writes
/// the year ten later, the distractor the first token of the year ten earlier, so that tokenizers with one token for two digits and those with one
/// for each serve alike.</summary>
public static class GreaterThan
{
    internal const string Name = "greater-than";
    private const int Step = 10, TriesEach = 200;

    /// <summary>Greater-than prompts, to be drawn for the tokenizer of the model that reads them.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>The prompts, to be drawn.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no prompts.</exception>
    public static PromptSet Prompts(int count, int seed = 0) => new(Name, count, "YY", seed, (tokens, random) =>
    {
        var (events, templates) = (tokens.Words("event", null, 1), PromptTokenizer.Rows("greater_than", "template"));
        var prompts = Enumerable.Range(0, TriesEach * count).Select(_ =>
        {
            var (century, year) = (random.Next(11, 20), random.Next(Step + 2, 100 - Step));
            return Mark(tokens, random.Of(templates)[0], random.Of(events), century, year);
        }).OfType<CircuitPrompt>().Take(count).ToArray();
        Fault.ArgumentIf(
            prompts.Length < count,
            $"Only {prompts.Length} of {TriesEach * count} drawn years split into a century and a year with this tokenizer; {count} are needed.");
        return prompts;
    });

    // Null where the tokenizer does not cut between century and year.
    private static CircuitPrompt? Mark(PromptTokenizer tokens, string template, string theEvent, int century, int year)
    {
        var text = PromptTokenizer.Fill(template, ("{event}", theEvent), ("{century}", Digits(century)), ("{year}", Digits(year)));
        var ids = tokens.Encode(text);
        var firstCentury = tokens.Encode(text[..(text.IndexOf(Digits(century), StringComparison.Ordinal) + 2)]);
        var (xx, end) = (firstCentury.Length - 1, ids.Length - 1);
        return ids.AsSpan().StartsWith(firstCentury)
            && FirstTokenOf(year + Step) is { } answer
            && FirstTokenOf(year - Step) is { } distractor
            && answer != distractor
            ? new(
                ids,
                [
                    new("starts", tokens.Start), new("event", Array.IndexOf(ids, tokens.SingleToken(theEvent)!.Value)),
                    new("XX1", xx), new("YY", xx + 1), new("YY+1", xx + 2), new("end-1", end - 1), new("end", end),
                ],
                answer,
                distractor,
                text)
            : null;

        int? FirstTokenOf(int later)
        {
            var longer = tokens.Encode(text + Digits(later));
            return longer.Length > ids.Length && longer.AsSpan().StartsWith(ids) ? longer[ids.Length] : null;
        }
    }

    private static string Digits(int number) => number.ToString("00", CultureInfo.InvariantCulture);
}
