using System.Globalization;

namespace HeadScope;

/// <summary>
/// Greater-than: <c>The war lasted from the year 1732 to the year 17</c> asks for a later year. The answer is the first token that writes
/// the year ten later, the distractor the first token of the year ten earlier, so that tokenizers with one token for two digits and those
/// with one for each serve alike.
/// </summary>
public static class GreaterThan
{
    internal const string Name = "greater-than";
    private const int Step = 10;

    /// <summary>Greater-than prompts, to be drawn for the tokenizer of the model that reads them.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>The prompts, to be drawn.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no prompts.</exception>
    public static PromptSet Prompts(int count, int seed = 0) =>
        new(Name, count, tokens => Draw(tokens, count, seed)) { RootSource = "YY" };

    private static PromptSet Draw(PromptTokenizer tokens, int count, int seed)
    {
        var events = tokens.SingleTokens("event", null, 1);
        var templates = PromptTokenizer.Rows("greater_than", "template");
        var random = new Random(seed);
        var prompts = new List<CircuitPrompt>(count);
        const int triesEach = 200;
        for (var tries = 0; prompts.Count < count; tries++)
        {
            if (tries == triesEach * count)
            {
                throw new ArgumentException(
                    $"Only {prompts.Count} of {tries} drawn years split into a century and a year with this tokenizer; {count} are needed.");
            }

            var century = random.Next(11, 20);
            var year = random.Next(Step + 2, 100 - Step);
            var template = templates[random.Next(templates.Count)][0];
            if (Mark(template, events[random.Next(events.Count)], century, year, tokens) is { } prompt)
            {
                prompts.Add(prompt);
            }
        }

        return new PromptSet(Name, prompts);
    }

    // Null where the tokenizer does not cut between century and year.
    private static CircuitPrompt? Mark(string template, string theEvent, int century, int year, PromptTokenizer tokens)
    {
        var text = template
            .Replace("{event}", theEvent, StringComparison.Ordinal)
            .Replace("{century}", Digits(century), StringComparison.Ordinal)
            .Replace("{year}", Digits(year), StringComparison.Ordinal);
        var ids = tokens.Encode(text);
        var firstCentury = tokens.Encode(text[..(text.IndexOf(Digits(century), StringComparison.Ordinal) + 2)]);
        var xx = firstCentury.Length - 1;
        if (!ids.AsSpan().StartsWith(firstCentury)
            || FirstTokenBehind(text, ids, year + Step, tokens) is not { } answer
            || FirstTokenBehind(text, ids, year - Step, tokens) is not { } distractor
            || answer == distractor)
        {
            return null;
        }

        var end = ids.Length - 1;
        KeyValuePair<string, int>[] roles =
        [
            new("starts", tokens.Start), new("event", Array.IndexOf(ids, tokens.SingleToken(theEvent)!.Value)),
            new("XX1", xx), new("YY", xx + 1), new("YY+1", xx + 2), new("end-1", end - 1), new("end", end),
        ];
        return new CircuitPrompt(ids, roles, answer, distractor, text);
    }

    private static int? FirstTokenBehind(string text, int[] ids, int year, PromptTokenizer tokens)
    {
        var longer = tokens.Encode(text + Digits(year));
        return longer.Length > ids.Length && longer.AsSpan().StartsWith(ids) ? longer[ids.Length] : null;
    }

    private static string Digits(int number) => number.ToString("00", CultureInfo.InvariantCulture);
}
