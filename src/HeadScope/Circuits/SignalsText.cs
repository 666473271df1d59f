using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace HeadScope;

/// <content>What characterises the heads' signals, and the firings as CSV and JSON.</content>
public sealed partial record Signals
{
    /// <summary>How each head fires, by layer and head; heads that never do are left out.</summary>
    /// <param name="tokens">How many tokens to name for each direction and side.</param>
    /// <returns>The heads.</returns>
    public IReadOnlyList<HeadSignals> ByHead(int tokens = 5) =>
        [.. Firings.GroupBy(f => f.Head).OrderBy(g => g.Key).Select(g => Of(g.Key, [.. g], tokens))];

    /// <summary>The firings as CSV, a line for each below a header.</summary>
    /// <returns>The columns prompt, head, destination, source, destination_role, source_role, destination_token, source_token, pattern,
    /// score, remainder, directions and contributions (several in one field, with spaces between).</returns>
    public string ToCsv() => CsvTable.Write(
        [
            "prompt", "head", "destination", "source", "destination_role", "source_role", "destination_token", "source_token", "pattern",
            "score", "remainder", "directions", "contributions",
        ],
        Firings.Select(f => (object?[])
        [
            f.Prompt,
            f.Head.ToString(),
            f.Destination,
            f.Source,
            Prompts.Prompts[f.Prompt].RoleAt(f.Destination),
            Prompts.Prompts[f.Prompt].RoleAt(f.Source),
            TextAt(f, f.Destination),
            TextAt(f, f.Source),
            f.Pattern,
            f.Signal.Score,
            f.Signal.Remainder,
            string.Join(' ', f.Signal.Directions),
            string.Join(' ', f.Signal.Contributions.Select(c => c.ToString(CultureInfo.InvariantCulture))),
        ]));

    /// <summary>The firings as JSON.</summary>
    /// <returns>An object with model, prompts and <c>firings</c>; each with prompt, head, positions, roles, tokens, pattern, score,
    /// directions, contributions, signs, magnitudes and remainder.</returns>
    public string ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("format", "headscope-signals");
            json.WriteNumber("version", 1);
            json.WriteString("model", Model);
            json.WriteString("prompts", Prompts.Name);
            json.WriteNumber("promptCount", Prompts.Count);
            json.WriteNumber("patternThreshold", Options.PatternThreshold);
            json.WriteStartArray("firings");
            foreach (var firing in Firings)
            {
                Write(json, firing);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private void Write(Utf8JsonWriter json, Firing firing)
    {
        var prompt = Prompts.Prompts[firing.Prompt];
        json.WriteStartObject();
        json.WriteNumber("prompt", firing.Prompt);
        json.WriteNumber("layer", firing.Head.Layer);
        json.WriteNumber("head", firing.Head.Index);
        json.WriteNumber("dest", firing.Destination);
        json.WriteNumber("src", firing.Source);
        json.WriteString("dest_role", prompt.RoleAt(firing.Destination));
        json.WriteString("src_role", prompt.RoleAt(firing.Source));
        json.WriteString("dest_token", TextAt(firing, firing.Destination));
        json.WriteString("src_token", TextAt(firing, firing.Source));
        json.WriteNumber("pattern", firing.Pattern);
        json.WriteNumber("score", firing.Signal.Score);
        json.WriteNumber("remainder", firing.Signal.Remainder);
        Write(json, "directions", firing.Signal.Directions, (j, k) => j.WriteNumberValue(k));
        Write(json, "contributions", firing.Signal.Contributions, (j, c) => j.WriteNumberValue(c));
        Write(json, "signs", firing.Signs, (j, s) => j.WriteNumberValue(s));
        Write(json, "magnitudes", firing.Magnitudes, (j, m) => j.WriteNumberValue(m));
        json.WriteEndObject();
    }

    private static void Write<T>(Utf8JsonWriter json, string name, IReadOnlyList<T> values, Action<Utf8JsonWriter, T> write)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
        {
            write(json, value);
        }

        json.WriteEndArray();
    }

    private HeadSignals Of(Head head, IReadOnlyList<Firing> firings, int tokens)
    {
        var counts = new int[HeadWidth + 1];
        foreach (var firing in firings)
        {
            counts[firing.Signal.Directions.Count]++;
        }

        var uses =
            from firing in firings
            from n in Enumerable.Range(0, firing.Signal.Directions.Count)
            group (Firing: firing, Share: firing.Signal.Contributions[n] / firing.Signal.Score) by firing.Signal.Directions[n] into use
            orderby use.Count() descending, use.Key
            select new DirectionUse(
                use.Key,
                use.Count(),
                (double)use.Count() / firings.Count,
                use.Average(u => u.Share),
                Tokens(use.Select(u => Prompts.Prompts[u.Firing.Prompt].Tokens[u.Firing.Destination]), tokens),
                Tokens(use.Select(u => Prompts.Prompts[u.Firing.Prompt].Tokens[u.Firing.Source]), tokens));
        return new HeadSignals(head, firings.Count, counts, [.. uses]);
    }

    private IReadOnlyList<TokenUse> Tokens(IEnumerable<int> tokens, int count) =>
    [
        .. tokens.GroupBy(t => t).OrderByDescending(g => g.Count()).ThenBy(g => g.Key).Take(count)
            .Select(g => new TokenUse(g.Key, TextOf(g.Key), g.Count())),
    ];

    private string TextAt(Firing firing, int position) => TextOf(Prompts.Prompts[firing.Prompt].Tokens[position]);

    private string TextOf(int token) => TokenTexts.TryGetValue(token, out var text) ? text : token.ToString(CultureInfo.InvariantCulture);
}
