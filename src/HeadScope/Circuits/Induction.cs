namespace HeadScope;

/// <summary>
/// Induction: a row of different words begins again and stops, <c>river stone horse stamp river stone</c>; the answer is the word that
/// came next the first time.
/// </summary>
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
        return new(Name, count, tokens => Draw(tokens, count, seed, period)) { RootSource = "B1" };
    }

    private static PromptSet Draw(PromptTokenizer tokens, int count, int seed, int period)
    {
        var words = tokens.SingleTokens("word", null, period).ToArray();
        var random = new Random(seed);
        var prompts = new CircuitPrompt[count];
        for (var p = 0; p < count; p++)
        {
            random.Shuffle(words);
            int[] row = [.. words.Take(period).Select(word => tokens.SingleToken(word)!.Value)];
            var last = random.Next(1, period - 1);
            int[] ids = [.. tokens.Encode(""), .. row, .. row[..(last + 1)]];
            int other;
            do
            {
                other = random.Next(period);
            }
            while (other == last || other == last + 1);

            var (first, end) = (tokens.Start + last, ids.Length - 1);
            KeyValuePair<string, int>[] roles =
            [
                new("starts", tokens.Start), new("A1-1", first - 1), new("A1", first), new("B1", first + 1), new("end-1", end - 1), new("end", end),
            ];
            prompts[p] = new CircuitPrompt(ids, roles, row[last + 1], row[other], tokens.Decode(ids));
        }

        return new PromptSet(Name, prompts);
    }
}
