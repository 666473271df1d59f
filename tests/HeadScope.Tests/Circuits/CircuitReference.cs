using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>The two reference folders that trace whole prompt sets.</summary>
internal sealed class CircuitReference
{
    private CircuitReference(string folder, Model model, PromptSet prompts)
    {
        Folder = folder;
        Model = model;
        Prompts = prompts;
    }

    public string Folder { get; }

    public Model Model { get; }

    public PromptSet Prompts { get; }

    public static CircuitReference Load(string name)
    {
        var folder = TestData.Shared("reference", "circuits", name);
        var model = Model.Load(string.Equals(name, "tiny", StringComparison.Ordinal) ? folder : "demo");
        var json = Json(folder, "prompts.json");
        var rows = json.GetProperty("tokens").EnumerateArray()
            .Select(row => row.EnumerateArray().Select(t => t.GetInt32()).ToArray()).ToList();
        var roles = json.GetProperty("roles").EnumerateObject()
            .Select(r => (r.Name, Positions: r.Value.EnumerateArray().Select(p => p.GetInt32()).ToArray())).ToList();
        var answers = json.GetProperty("io_token").EnumerateArray().Select(t => t.GetInt32()).ToArray();
        var distractors = json.GetProperty("s_token").EnumerateArray().Select(t => t.GetInt32()).ToArray();
        CircuitPrompt[] prompts =
        [
            .. rows.Select((tokens, p) =>
            {
                KeyValuePair<string, int>[] own = [.. roles.Select(r => new KeyValuePair<string, int>(r.Name, r.Positions[p]))];
                var end = own.First(r => r.Key == "end").Value;
                return new CircuitPrompt([.. tokens.Take(end + 1)], own, answers[p], distractors[p]);
            }),
        ];
        return new(folder, model, new PromptSet(name, prompts));
    }

    public JsonElement Json(string file) => Json(Folder, file);

    private static JsonElement Json(string folder, string file)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, file)));
        return document.RootElement.Clone();
    }
}
