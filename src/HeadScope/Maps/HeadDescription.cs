using Microsoft.Extensions.AI;

namespace HeadScope;

/// <summary>
/// What a head does, in words, with what the words rest on: simple regularities between the tokens it amplifies and the tokens it maps them
/// to, and relations it implements, each measured. Patterns that hold for few tokens are not named; none is an answer.
/// </summary>
/// <param name="Head">The head.</param>
/// <param name="Patterns">The regularities found, strongest first: which (<c>same token</c>, <c>suffix added</c>,
/// <c>relation country_to_capital</c>, …), for how many source tokens (or pairs of the relation) it holds, of how many, and some of the
/// pairs.</param>
/// <param name="Operations">The salient operations they were sought in.</param>
public sealed record HeadDescription(
    Head Head,
    IReadOnlyList<(string Name, int Matches, int Of, IReadOnlyList<(string Source, string Target)> Evidence)> Patterns,
    SalientOperations Operations)
{
    private const int Evidence = 8;

    private const string Task = """
        You see what one attention head of a language model does to the words that it amplifies most. Each line is a word (or a part of one),
        then the five words that the head promotes when it reads it, strongest first. Quotes show where spaces are.
        Say what the first words have in common, and which rule leads from them to the promoted words: a relation of meaning, of grammar,
        of spelling, of topic. Many heads follow no rule that can be seen; then say so instead of inventing one.
        Answer with one JSON object and nothing else:
        {"inputs": "one sentence about the first words", "rule": "one sentence about the rule", "clear": true or false}
        """;

    /// <summary>The description in one line.</summary>
    public string Summary => Patterns.Count == 0
        ? $"Head {Head}: no simple pattern in its {Operations[Head].Count} most amplified tokens."
        : $"Head {Head}: {string.Join("; ", Patterns.Select(Text))}.";

    /// <summary>Describes one head.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="head">The head.</param>
    /// <param name="map">The model's head map, for relations; null to score the shipped relations for this head's sake.</param>
    /// <param name="minimumShare">A pattern is named when it holds for at least this share of the source tokens, or of a relation's pairs.</param>
    /// <param name="progress">Is told how far the work is.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="ArgumentException">The model has no such head, or the map is of another model.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static HeadDescription Of(
        Model model, Head head, HeadMap? map = null, double minimumShare = 0.3, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        _ = model.Tokenizer;
        var operations = SalientOperations.Of(model, [head], progress: progress, cancellationToken: cancellationToken);
        map ??= HeadMap.Score(model, Relations.All, new HeadMapOptions { MinimumPairs = 10 }, progress, cancellationToken);
        return Of(operations, head, map, minimumShare);
    }

    /// <summary>Describes a head from its salient operations and, for relations, the head map of the same model.</summary>
    /// <param name="operations">The salient operations.</param>
    /// <param name="head">The head, one of theirs.</param>
    /// <param name="map">The head map; null when relations do not matter.</param>
    /// <param name="minimumShare">A pattern is named when it holds for at least this share of the source tokens, or of a relation's pairs.</param>
    /// <exception cref="ArgumentException">The head is not among the operations', or the map is of another model.</exception>
    public static HeadDescription Of(SalientOperations operations, Head head, HeadMap? map = null, double minimumShare = 0.3)
    {
        ArgumentNullException.ThrowIfNull(operations);
        Fault.ArgumentIf(map is not null && map.Model != operations.Model, $"The head map is of {map?.Model}; the operations are of {operations.Model}.");

        // A rule holds for a source token when it holds for one of its targets.
        var sources = operations[head];
        var found = WordRules.All.Select(rule => (rule.Name, Matches: sources
            .SelectMany(o => o.Targets.Where(t => rule.Holds(new(o.Token, o.Text, t.Token, t.Text))).Select(t => (Source: o.Text, Target: t.Text)).Take(1)).ToArray()))
            .Where(p => p.Matches.Length > 0 && p.Matches.Length >= minimumShare * sources.Count)
            .Select(p => (p.Name, Matches: p.Matches.Length, Of: sources.Count, (IReadOnlyList<(string, string)>)[.. p.Matches.Take(Evidence)]));
        var relations =
            from relation in map?.Relations ?? []
            from suppression in (bool[])[false, true]
            let score = relation.Of(head, suppression)
            where score.Hits > 0 && score.Score >= minimumShare
            select (
                Name: $"{(suppression ? "suppression of" : "relation")} {relation.Name}", Matches: score.Hits, Of: score.Pairs,
                (IReadOnlyList<(string, string)>)[.. relation.Examples(head, suppression).Take(Evidence)]);
        return new(head, [.. found.Concat(relations).OrderByDescending(p => p.Matches / (double)p.Of)], operations);
    }

    /// <summary>
    /// Asks a chat model what a head's salient operations have in common, through any
    /// <see href="https://learn.microsoft.com/dotnet/ai/">Microsoft.Extensions.AI</see> client (arXiv 2412.11965, section 5.2). The answer
    /// is the chat model's.
    /// </summary>
    /// <param name="client">The chat model.</param>
    /// <param name="operations">The salient operations it is shown.</param>
    /// <param name="head">The head, one of theirs.</param>
    /// <param name="options">Options of the chat model; null for its defaults.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>What the amplified tokens have in common, which rule leads from them to the promoted ones, whether the chat model found the
    /// rule clear, and which model answered; null when it did not say.</returns>
    /// <exception cref="FormatException">The chat model did not answer with the JSON that was asked for; the message quotes it.</exception>
    public static async Task<(string Inputs, string Rule, bool IsClear, string? ChatModel)> AskAsync(
        IChatClient client, SalientOperations operations, Head head, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentNullException.ThrowIfNull(operations);
        var question = string.Concat(operations[head].Select(o => $"\"{o.Text}\": {string.Join(", ", o.Targets.Select(t => $"\"{t.Text}\""))}\n"));
        var response = await client.GetResponseAsync([new(ChatRole.System, Task), new(ChatRole.User, question)], options, cancellationToken);

        // The first JSON object in the answer, whatever stands around.
        var answer = response.Text;
        var (begin, end) = (answer.IndexOf('{', StringComparison.Ordinal), answer.LastIndexOf('}'));
        try
        {
            if (begin < 0 || end < begin)
            {
                throw new JsonException("there is no JSON object in it");
            }

            using var json = JsonDocument.Parse(answer.AsMemory(begin, end + 1 - begin));
            string Field(string name) => json.RootElement.GetProperty(name).GetString() ?? throw new JsonException($"'{name}' is null");
            return (Field("inputs"), Field("rule"), json.RootElement.GetProperty("clear").GetBoolean(), response.ModelId);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException($"The chat model's answer cannot be read ({e.Message}): '{(answer.Length > 200 ? answer[..200] + "…" : answer)}'", e);
        }
    }

    /// <summary>Descriptions as JSON, evidence included.</summary>
    /// <param name="descriptions">The descriptions, of heads of one model.</param>
    /// <returns>An object with model, and in <c>heads</c> for each head, summary, patterns and operations.</returns>
    public static string ToJson(IReadOnlyList<HeadDescription> descriptions)
    {
        ArgumentNullException.ThrowIfNull(descriptions);
        return ResultJson.Write(
            "headscope-descriptions",
            new
            {
                model = descriptions.Count > 0 ? descriptions[0].Operations.Model : "",
                heads = descriptions.Select(d => new
                {
                    head = d.Head, summary = d.Summary,
                    patterns = d.Patterns.Select(p => new
                    {
                        name = p.Name, strength = p.Matches / (double)p.Of, matches = p.Matches, of = p.Of, evidence = p.Evidence,
                    }),
                    operations = d.Operations[d.Head].Select(SalientOperations.Told),
                }),
            },
            indented: true);
    }

    /// <summary>This description as JSON.</summary>
    /// <returns>As <see cref="ToJson(IReadOnlyList{HeadDescription})"/> with one head.</returns>
    public string ToJson() => ToJson([this]);

    /// <inheritdoc/>
    public override string ToString() => Summary;

    private static string Text((string Name, int Matches, int Of, IReadOnlyList<(string Source, string Target)> Evidence) pattern) => string.Create(
        CultureInfo.InvariantCulture,
        $"{pattern.Name} ({pattern.Matches} of {pattern.Of}): {string.Join(", ", pattern.Evidence.Take(4).Select(e => $"'{e.Source}' → '{e.Target}'"))}");
}
