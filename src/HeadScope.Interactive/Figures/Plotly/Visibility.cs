using System.Text.Json;
using System.Text.Json.Serialization;

namespace HeadScope.Notebooks.Plotly;

/// <summary>
/// Writes a trace that is not seen as <c>legendonly</c>: plotly.js does not look at the attributes of a trace whose visible is false,
/// and <c>Plotly.validate</c> then takes all of them for mistakes.
/// </summary>
internal sealed class Visibility : JsonConverter<bool?>
{
    public override bool? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw new NotSupportedException("Figures are written, not read.");

    public override void Write(Utf8JsonWriter writer, bool? value, JsonSerializerOptions options) =>
        JsonSerializer.Serialize<object>(writer, value!.Value ? true : "legendonly", options);
}
