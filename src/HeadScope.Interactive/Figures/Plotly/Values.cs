using System.Text.Json;
using System.Text.Json.Serialization;

namespace HeadScope.Notebooks.Plotly;

/// <summary>
/// One data column of a trace: numbers or texts. A number that is not finite is written as null, which Plotly shows as a gap.
/// Text of models and prompts goes through <see cref="PlotlyText.Escape"/> first.
/// </summary>
[JsonConverter(typeof(Converter))]
public sealed class Values
{
    private readonly double[]? numbers;
    private readonly float[]? floats;
    private readonly string[]? texts;

    private Values(double[]? numbers, float[]? floats, string[]? texts)
    {
        this.numbers = numbers;
        this.floats = floats;
        this.texts = texts;
    }

    /// <summary>How many values there are.</summary>
    public int Count => numbers?.Length ?? floats?.Length ?? texts!.Length;

    /// <summary>Whether the values are texts: categories on an axis.</summary>
    public bool IsText => texts is not null;

    /// <summary>Numbers in double precision.</summary>
    /// <param name="values">The numbers.</param>
    public static implicit operator Values(double[] values) => new(values, null, null);

    /// <summary>Numbers in single precision, written with as many digits as they have.</summary>
    /// <param name="values">The numbers.</param>
    public static implicit operator Values(float[] values) => new(null, values, null);

    /// <summary>Whole numbers.</summary>
    /// <param name="values">The numbers.</param>
    public static implicit operator Values(int[] values) => new([.. values.Select(v => (double)v)], null, null);

    /// <summary>One number for all points, as sizes have it.</summary>
    /// <param name="value">The number.</param>
    public static implicit operator Values(double value) => new([value], null, null);

    /// <summary>One text for all points, as colours have it.</summary>
    /// <param name="value">The text.</param>
    public static implicit operator Values(string value) => new(null, null, [value]);

    /// <summary>Texts, already escaped.</summary>
    /// <param name="values">The texts.</param>
    public static implicit operator Values(string[] values) => new(null, null, values);

    /// <summary>A value as a number; for texts its index, which is where Plotly puts the category.</summary>
    /// <param name="index">Which value.</param>
    /// <returns>The number; NaN for a gap.</returns>
    public double Number(int index) => numbers is not null ? numbers[index] : floats is not null ? floats[index] : index;

    /// <summary>A value as text, as Plotly understands it (escaped).</summary>
    /// <param name="index">Which value.</param>
    /// <returns>The text.</returns>
    public string Text(int index) => texts is not null ? texts[index] : PlotlyText.Number(Number(index));

    private sealed class Converter : JsonConverter<Values>
    {
        public override Values Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            throw new NotSupportedException("Figures are written, not read.");

        public override void Write(Utf8JsonWriter writer, Values value, JsonSerializerOptions options)
        {
            writer.WriteStartArray();
            for (var i = 0; i < value.Count; i++)
            {
                if (value.texts is not null)
                {
                    writer.WriteStringValue(value.texts[i]);
                }
                else if (value.floats is not null)
                {
                    Grid.WriteNumber(writer, value.floats[i]);
                }
                else if (double.IsFinite(value.numbers![i]))
                {
                    writer.WriteNumberValue(value.numbers[i]);
                }
                else
                {
                    writer.WriteNullValue();
                }
            }

            writer.WriteEndArray();
        }
    }
}
