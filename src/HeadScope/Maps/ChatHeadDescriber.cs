using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;

namespace HeadScope;

/// <summary>
/// Describes heads by asking a chat model what its salient operations have in common, through any
/// <see href="https://learn.microsoft.com/dotnet/ai/">Microsoft.Extensions.AI</see> client (arXiv 2412.11965, section 5.2). The answer is
/// the chat model's; the operations it was shown come with it.
/// </summary>
/// <param name="client">The chat model.</param>
public sealed class ChatHeadDescriber(IChatClient client)
{
    private const string Task = """
        You see what one attention head of a language model does to the words that it amplifies most. Each line is a word (or a part of one),
        then the five words that the head promotes when it reads it, strongest first. Quotes show where spaces are.
        Say what the first words have in common, and which rule leads from them to the promoted words: a relation of meaning, of grammar,
        of spelling, of topic. Many heads follow no rule that can be seen; then say so instead of inventing one.
        Answer with one JSON object and nothing else:
        {"inputs": "one sentence about the first words", "rule": "one sentence about the rule", "clear": true or false}
        """;

    /// <summary>Asks about a head.</summary>
    /// <param name="operations">Its salient operations.</param>
    /// <param name="options">Options of the chat model; null for its defaults.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>The answer.</returns>
    /// <exception cref="FormatException">The chat model did not answer with the JSON that was asked for; the message quotes it.</exception>
    public async Task<ChatHeadDescription> DescribeAsync(
        HeadOperations operations, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(operations);
        ChatMessage[] messages = [new(ChatRole.System, Task), new(ChatRole.User, Question(operations))];
        var response = await client.GetResponseAsync(messages, options, cancellationToken);
        return Parse(operations, response.Text, response.ModelId);
    }

    /// <summary>The operations as the chat model sees them.</summary>
    internal static string Question(HeadOperations operations)
    {
        var text = new StringBuilder();
        foreach (var operation in operations.Operations)
        {
            text.Append(CultureInfo.InvariantCulture, $"\"{operation.Text}\": {string.Join(", ", operation.Targets.Select(t => $"\"{t.Text}\""))}\n");
        }

        return text.ToString();
    }

    /// <summary>Reads an answer: the first JSON object in it, whatever stands around.</summary>
    /// <exception cref="FormatException">There is none, or it lacks a field.</exception>
    internal static ChatHeadDescription Parse(HeadOperations operations, string answer, string? model)
    {
        var (begin, end) = (answer.IndexOf('{', StringComparison.Ordinal), answer.LastIndexOf('}'));
        try
        {
            if (begin < 0 || end < begin)
            {
                throw new JsonException("there is no JSON object in it");
            }

            using var json = JsonDocument.Parse(answer.AsMemory(begin, end + 1 - begin));
            return new ChatHeadDescription(
                operations.Head,
                Text(json, "inputs"),
                Text(json, "rule"),
                json.RootElement.GetProperty("clear").GetBoolean(),
                model,
                operations);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException($"The chat model's answer cannot be read ({e.Message}): '{(answer.Length > 200 ? answer[..200] + "…" : answer)}'", e);
        }
    }

    private static string Text(JsonDocument json, string name) =>
        json.RootElement.GetProperty(name).GetString() ?? throw new JsonException($"'{name}' is null");
}
