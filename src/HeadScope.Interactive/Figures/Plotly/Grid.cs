using static TorchSharp.torch;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace HeadScope.Notebooks.Plotly;

/// <summary>The numbers of a heat map, row by row; a number that is not finite is a gap.</summary>
[JsonConverter(typeof(Converter))]
public sealed class Grid
{
    private readonly float[] values;

    /// <summary>Makes a grid from its numbers.</summary>
    /// <param name="rows">The number of rows.</param>
    /// <param name="columns">The number of columns.</param>
    /// <param name="values">The numbers, row by row.</param>
    /// <exception cref="ArgumentException">There are not <paramref name="rows"/> times <paramref name="columns"/> numbers.</exception>
    public Grid(int rows, int columns, float[] values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Length != rows * columns)
        {
            throw new ArgumentException($"{values.Length} numbers do not make {rows} rows of {columns}.", nameof(values));
        }

        Rows = rows;
        Columns = columns;
        this.values = values;
    }

    /// <summary>The number of rows.</summary>
    public int Rows { get; }

    /// <summary>The number of columns.</summary>
    public int Columns { get; }

    /// <summary>One number.</summary>
    /// <param name="row">Its row.</param>
    /// <param name="column">Its column.</param>
    public float this[int row, int column] => values[(row * Columns) + column];

    /// <summary>The smallest and the largest finite number; (0, 0) when there is none.</summary>
    public (float Low, float High) Extent
    {
        get
        {
            var finite = values.Where(float.IsFinite).ToArray();
            return finite.Length == 0 ? (0, 0) : (finite.Min(), finite.Max());
        }
    }

    /// <summary>The numbers of a matrix.</summary>
    /// <param name="matrix">A tensor of shape [row, column].</param>
    /// <returns>The grid.</returns>
    /// <exception cref="ArgumentException">The tensor has not two dimensions.</exception>
    public static Grid Of(Tensor matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        return matrix.ndim == 2
            ? new Grid((int)matrix.shape[0], (int)matrix.shape[1], Numbers(matrix))
            : throw new ArgumentException($"A heat map shows a matrix; expected 2 dimensions, found {matrix.ndim}.", nameof(matrix));
    }

    /// <summary>The numbers of a tensor, row-major.</summary>
    internal static float[] Numbers(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        return tensor.detach().cpu().to(float32).contiguous().data<float>().ToArray();
    }

    internal static void WriteNumber(Utf8JsonWriter writer, float value)
    {
        if (float.IsFinite(value))
        {
            writer.WriteNumberValue(value);
        }
        else
        {
            writer.WriteNullValue();
        }
    }

    private sealed class Converter : JsonConverter<Grid>
    {
        public override Grid Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            throw new NotSupportedException("Figures are written, not read.");

        public override void Write(Utf8JsonWriter writer, Grid value, JsonSerializerOptions options)
        {
            writer.WriteStartArray();
            for (var row = 0; row < value.Rows; row++)
            {
                writer.WriteStartArray();
                for (var column = 0; column < value.Columns; column++)
                {
                    WriteNumber(writer, value[row, column]);
                }

                writer.WriteEndArray();
            }

            writer.WriteEndArray();
        }
    }
}
