using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace HeadScope.Notebooks.Kernel;

/// <summary>The cells that were run in this session, for a console's arrow keys and search.</summary>
internal sealed class KernelHistory
{
    private const int Kept = 10_000;
    private readonly Queue<(int Line, string Input, string? Output)> entries = new();

    public void Add(int line, string input, string? output)
    {
        entries.Enqueue((line, input, output));
        if (entries.Count > Kept)
        {
            entries.Dequeue();
        }
    }

    /// <summary>Answers a <c>history_request</c>.</summary>
    /// <param name="request">Its content.</param>
    /// <returns>The value of <c>history</c>: [session, line, input] or [session, line, [input, output]].</returns>
    public JsonArray Find(JsonObject request)
    {
        var count = Math.Max(0, Number(request["n"]) ?? Kept);
        var found = (string?)request["hist_access_type"] switch
        {
            "range" => entries.Where(e => e.Line >= (Number(request["start"]) ?? 0) && e.Line < (Number(request["stop"]) ?? int.MaxValue)),
            "search" => Distinct(Matching((string?)request["pattern"] ?? "*"), (bool?)request["unique"] ?? false).TakeLast(count),
            _ => entries.TakeLast(count),
        };
        var withOutput = (bool?)request["output"] ?? false;
        return new JsonArray([.. found.Select(e => (JsonNode)new JsonArray(
            1, e.Line, withOutput ? new JsonArray(e.Input, e.Output) : JsonValue.Create(e.Input)))]);
    }

    private static int? Number(JsonNode? node) => node is JsonValue value && value.TryGetValue<int>(out var number) ? number : null;

    private static IEnumerable<(int Line, string Input, string? Output)> Distinct(
        IEnumerable<(int Line, string Input, string? Output)> found, bool unique) =>
        unique ? found.Reverse().DistinctBy(e => e.Input, StringComparer.Ordinal).Reverse() : found;

    // The pattern is a glob: * and ?.
    private IEnumerable<(int Line, string Input, string? Output)> Matching(string glob)
    {
        var pattern = Regex.Escape(glob).Replace("\\*", ".*", StringComparison.Ordinal).Replace("\\?", ".", StringComparison.Ordinal);
        var regex = new Regex($"\\A{pattern}\\z", RegexOptions.Singleline | RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        return entries.Where(e => regex.IsMatch(e.Input));
    }
}
