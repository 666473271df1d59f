using System.Text.Json.Nodes;

namespace HeadScope.Notebooks.Running;

/// <summary>The form of nbformat 4, as far as running, showing and writing a notebook rely on it.</summary>
internal static class NotebookForm
{
    private static readonly string[] CellTypes = ["code", "markdown", "raw"];
    private static readonly string[] OutputTypes = ["stream", "display_data", "execute_result", "error"];

    /// <summary>Refuses what is not of that form.</summary>
    /// <param name="root">The document.</param>
    /// <param name="name">How to call it in errors.</param>
    /// <exception cref="InvalidDataException">It is not; the message names the place.</exception>
    public static void Check(JsonObject root, string name)
    {
        if (root["nbformat"] is not JsonValue format || !format.TryGetValue<int>(out var version) || version != 4)
        {
            throw new InvalidDataException(
                $"{name}: nbformat is {root["nbformat"]?.ToJsonString() ?? "missing"}; expected 4. Open and save it in Jupyter to convert it.");
        }

        Expect(root["nbformat_minor"] is null or JsonValue && IsWhole(root["nbformat_minor"]), "nbformat_minor", "a whole number");
        Expect(root["metadata"] is null or JsonObject, "metadata", "an object");
        Expect(root["cells"] is JsonArray, "cells", "an array");
        foreach (var (node, i) in ((JsonArray)root["cells"]!).Select((cell, i) => (cell, i)))
        {
            var at = FormattableString.Invariant($"cells[{i}]");
            Expect(node is JsonObject, at, "an object");
            CheckCell((JsonObject)node!, at);
        }

        void CheckCell(JsonObject cell, string at)
        {
            Expect(CellTypes.Contains(Text(cell["cell_type"]), StringComparer.Ordinal), $"{at}.cell_type", "code, markdown or raw");
            Expect(IsText(cell["source"]), $"{at}.source", "a text or a list of texts");
            Expect(cell["id"] is null || Text(cell["id"]) is not null, $"{at}.id", "a text");
            Expect(cell["metadata"] is null or JsonObject, $"{at}.metadata", "an object");
            Expect(cell["metadata"]?["tags"] is null or JsonArray, $"{at}.metadata.tags", "an array");
            Expect(cell["attachments"] is null || (cell["attachments"] is JsonObject files && files.All(f => f.Value is JsonObject)), $"{at}.attachments", "an object of objects");
            Expect(cell["execution_count"] is null || IsWhole(cell["execution_count"]), $"{at}.execution_count", "a whole number");
            Expect(cell["outputs"] is null or JsonArray, $"{at}.outputs", "an array");
            foreach (var (node, i) in (cell["outputs"] as JsonArray ?? []).Select((output, i) => (output, i)))
            {
                var there = FormattableString.Invariant($"{at}.outputs[{i}]");
                Expect(node is JsonObject, there, "an object");
                var output = (JsonObject)node!;
                Expect(OutputTypes.Contains(Text(output["output_type"]), StringComparer.Ordinal), $"{there}.output_type", string.Join(", ", OutputTypes));
                Expect(output["text"] is null || IsText(output["text"]), $"{there}.text", "a text or a list of texts");
                Expect(output["traceback"] is null or JsonArray && IsText(output["traceback"] ?? ""), $"{there}.traceback", "a list of texts");
                Expect(
                    output["data"] is null || (output["data"] is JsonObject data && data.All(form => MimeIsJson(form.Key) || IsText(form.Value))),
                    $"{there}.data",
                    "an object whose forms are texts, lists of texts or JSON");
            }
        }

        void Expect(bool right, string place, string expected)
        {
            if (!right)
            {
                throw new InvalidDataException($"{name}: {place} is missing or of another kind; expected {expected}.");
            }
        }
    }

    private static bool MimeIsJson(string mimeType) => mimeType is "application/json" || mimeType.EndsWith("+json", StringComparison.Ordinal);

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static bool IsWhole(JsonNode? node) => node is null || (node is JsonValue value && value.TryGetValue<int>(out _));

    private static bool IsText(JsonNode? node) => Text(node) is not null || (node is JsonArray lines && lines.All(line => Text(line) is not null));
}
