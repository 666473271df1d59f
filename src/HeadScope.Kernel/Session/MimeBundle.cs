using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Formatting;

namespace HeadScope.Notebooks.Session;

/// <summary>One value in every form in which a notebook may show it; the viewer takes the richest that it knows.</summary>
/// <param name="Data">The forms by mime type: <c>text/plain</c>, <c>text/html</c>, <c>application/vnd.plotly.v1+json</c>, ...</param>
public sealed record MimeBundle(IReadOnlyDictionary<string, string> Data)
{
    /// <summary>Formats a value by the formatters registered for its type, always with plain text among the forms.</summary>
    /// <param name="value">What to show.</param>
    /// <param name="mimeTypes">The forms wanted; by default those that <see cref="Formatter"/> prefers for the type.</param>
    public static MimeBundle Of(object? value, params IEnumerable<string> mimeTypes)
    {
        ArgumentNullException.ThrowIfNull(mimeTypes);
        if (value is MimeBundle bundle)
        {
            return bundle;
        }

        var wanted = mimeTypes.ToList();
        if (wanted.Count == 0)
        {
            wanted.AddRange(Formatter.GetPreferredMimeTypesFor(value?.GetType() ?? typeof(object)));
        }

        var data = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var mimeType in wanted.Append("text/plain").Distinct(StringComparer.Ordinal))
        {
            data[mimeType] = value.ToDisplayString(mimeType);
        }

        return new MimeBundle(data);
    }

    /// <summary>Plain text as a bundle.</summary>
    /// <param name="text">The text.</param>
    public static MimeBundle PlainText(string text) => new(new Dictionary<string, string>(StringComparer.Ordinal) { ["text/plain"] = text });

    /// <summary>The bundle as the messaging protocol and notebook files hold it: JSON forms as JSON, the rest as text.</summary>
    public JsonObject ToJson()
    {
        var json = new JsonObject();
        foreach (var (mimeType, text) in Data)
        {
            json[mimeType] = IsJson(mimeType) ? Parsed(text) : JsonValue.Create(text);
        }

        return json;
    }

    private static bool IsJson(string mimeType) =>
        mimeType is "application/json" || mimeType.EndsWith("+json", StringComparison.Ordinal);

    private static JsonNode? Parsed(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return JsonValue.Create(text);
        }
    }
}
