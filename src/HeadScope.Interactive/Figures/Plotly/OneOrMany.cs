using System.Text.Json;
using System.Text.Json.Serialization;

namespace HeadScope.Notebooks.Plotly;

/// <summary>Writes a single value as itself and several as an array, as plotly.js wants colours and sizes.</summary>
internal sealed class OneOrMany : JsonConverter<Values>
{
    public override Values Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw new NotSupportedException("Figures are written, not read.");

    public override void Write(Utf8JsonWriter writer, Values value, JsonSerializerOptions options)
    {
        if (value.Count != 1)
        {
            JsonSerializer.Serialize(writer, value, options);
        }
        else if (value.IsText)
        {
            writer.WriteStringValue(value.Text(0));
        }
        else
        {
            writer.WriteNumberValue(value.Number(0));
        }
    }
}
