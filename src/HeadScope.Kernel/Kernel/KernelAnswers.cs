using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Kernel;

/// <summary>Answers to the requests that only ask: what may be typed, what a name is, whether a cell is whole, what the kernel is.</summary>
internal static class KernelAnswers
{
    /// <summary>Answers a <c>complete_request</c>.</summary>
    public static JsonObject Complete(CSharpSession session, JsonObject content)
    {
        var code = (string?)content["code"] ?? "";
        var found = session.Complete(code, TextPosition.ToUnits(code, (int?)content["cursor_pos"] ?? code.Length));
        var start = TextPosition.ToCodePoints(code, found.Start);
        var end = TextPosition.ToCodePoints(code, found.End);
        return new JsonObject
        {
            ["status"] = "ok",
            ["matches"] = new JsonArray([.. found.Items.Select(item => (JsonNode)item.Text)]),
            ["cursor_start"] = start,
            ["cursor_end"] = end,
            ["metadata"] = new JsonObject
            {
                ["_jupyter_types_experimental"] = new JsonArray([.. found.Items.Select(item => (JsonNode)new JsonObject
                {
                    ["start"] = start,
                    ["end"] = end,
                    ["text"] = item.Text,
                    ["type"] = item.Kind,
                    ["signature"] = item.Signature,
                })]),
            },
        };
    }

    /// <summary>Answers an <c>inspect_request</c>.</summary>
    public static JsonObject Inspect(CSharpSession session, JsonObject content)
    {
        var code = (string?)content["code"] ?? "";
        var found = session.Inspect(code, TextPosition.ToUnits(code, (int?)content["cursor_pos"] ?? code.Length));
        return new JsonObject
        {
            ["status"] = "ok",
            ["found"] = found is not null,
            ["data"] = found is null ? [] : new JsonObject { ["text/plain"] = found.ToString() },
            ["metadata"] = new JsonObject(),
        };
    }

    /// <summary>Answers an <c>is_complete_request</c>.</summary>
    public static JsonObject IsComplete(JsonObject content) => CSharpSession.IsComplete((string?)content["code"] ?? "") switch
    {
        Completeness.Complete => new JsonObject { ["status"] = "complete" },
        Completeness.Incomplete => new JsonObject { ["status"] = "incomplete", ["indent"] = "    " },
        _ => new JsonObject { ["status"] = "invalid" },
    };

    /// <summary>Answers a <c>kernel_info_request</c>.</summary>
    public static JsonObject KernelInfo()
    {
        var version = typeof(JupyterKernel).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
        return new JsonObject
        {
            ["status"] = "ok",
            ["protocol_version"] = JupyterMessage.ProtocolVersion,
            ["implementation"] = "headscope",
            ["implementation_version"] = version,
            ["language_info"] = LanguageInfo(),
            ["banner"] = $"HeadScope {version}: what attention heads do, in C# on {RuntimeInformation.FrameworkDescription}",
            ["help_links"] = new JsonArray(
                new JsonObject { ["text"] = "C#", ["url"] = "https://learn.microsoft.com/dotnet/csharp/" },
                new JsonObject { ["text"] = ".NET API", ["url"] = "https://learn.microsoft.com/dotnet/api/" }),
            ["debugger"] = false,
        };
    }

    /// <summary>How notebooks name the language, for highlighting and conversion.</summary>
    public static JsonObject LanguageInfo() => new()
    {
        ["name"] = "C#",
        ["version"] = "14.0",
        ["mimetype"] = "text/x-csharp",
        ["file_extension"] = ".cs",
        ["pygments_lexer"] = "csharp",
        ["codemirror_mode"] = "text/x-csharp",
    };
}
