using System.Text.Encodings.Web;
using System.Text.Json;

namespace HeadScope;

/// <summary>How results are written as JSON: indented, and words of other scripts as they are.</summary>
internal static class JsonText
{
    public static JsonSerializerOptions Indented { get; } = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
