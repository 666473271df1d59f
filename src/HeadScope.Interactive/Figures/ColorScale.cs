using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace HeadScope;

/// <summary>
/// Colours for numbers. Each scale is ordered by lightness, so that it reads in grey print and with any colour vision, and has
/// a variant for dark pages on which the uninteresting end is as dark as the page.
/// </summary>
[JsonConverter(typeof(Converter))]
public sealed class ColorScale
{
    private readonly (byte R, byte G, byte B)[] light;
    private readonly (byte R, byte G, byte B)[] dark;

    private ColorScale(string[] light, string[] dark)
        : this([.. light.Select(Rgb)], [.. dark.Select(Rgb)])
    {
    }

    private ColorScale((byte R, byte G, byte B)[] light, (byte R, byte G, byte B)[] dark)
    {
        this.light = light;
        this.dark = dark;
    }

    /// <summary>From nothing (the page) to much (deep blue): scores between 0 and 1, attention.</summary>
    public static ColorScale Sequential { get; } = new(
        ["#f7f9fc", "#d3e2f2", "#9fc3e2", "#5f9bcc", "#2c6fae", "#12457f", "#0a2550"],
        ["#161b22", "#17304d", "#1b4f80", "#2a75b3", "#559dd6", "#98c6ec", "#e8f4ff"]);

    /// <summary>From negative (orange) over nothing (the page) to positive (blue).</summary>
    public static ColorScale Diverging { get; } = new(
        ["#7f3b08", "#c2660c", "#f2a85a", "#f7f7f7", "#86b8dd", "#2c6fae", "#0b2f5c"],
        ["#ffd9ad", "#f09a3e", "#94530f", "#161b22", "#1d5386", "#4c97d3", "#c9e4fb"]);

    /// <summary>The colour at a place of the scale.</summary>
    /// <param name="place">0 for the first colour, 1 for the last; what lies outside is cut off.</param>
    /// <returns>The colour, as for light pages unless <see cref="In"/> chose otherwise.</returns>
    public (byte R, byte G, byte B) At(double place)
    {
        var position = Math.Clamp(double.IsNaN(place) ? 0 : place, 0, 1) * (light.Length - 1);
        var stop = Math.Min((int)position, light.Length - 2);
        var part = position - stop;
        var (from, to) = (light[stop], light[stop + 1]);
        return (Mix(from.R, to.R), Mix(from.G, to.G), Mix(from.B, to.B));

        byte Mix(byte a, byte b) => (byte)Math.Round(a + ((b - a) * part));
    }

    /// <summary>The colour at a place of the scale as <c>#rrggbb</c>.</summary>
    /// <param name="place">0 for the first colour, 1 for the last.</param>
    /// <returns>The colour.</returns>
    public string Hex(double place)
    {
        var (r, g, b) = At(place);
        return $"#{r:x2}{g:x2}{b:x2}";
    }

    /// <summary>Black or white, whichever can be read on a colour of this scale.</summary>
    /// <param name="place">The place of the colour.</param>
    /// <returns>The colour of the text.</returns>
    public string InkOn(double place)
    {
        var (r, g, b) = At(place);
        return ((0.299 * r) + (0.587 * g) + (0.114 * b)) > 140 ? "#1a1d21" : "#ffffff";
    }

    /// <summary>The scale for the pages of a style.</summary>
    internal ColorScale In(FigureStyle style) => style.IsDark ? new ColorScale(dark, dark) : this;

    private static (byte R, byte G, byte B) Rgb(string hex)
    {
        var value = int.Parse(hex.AsSpan(1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return ((byte)(value >> 16), (byte)(value >> 8), (byte)value);
    }

    private sealed class Converter : JsonConverter<ColorScale>
    {
        public override ColorScale Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            throw new NotSupportedException("Figures are written, not read.");

        public override void Write(Utf8JsonWriter writer, ColorScale value, JsonSerializerOptions options)
        {
            writer.WriteStartArray();
            for (var i = 0; i < value.light.Length; i++)
            {
                var place = Math.Round((double)i / (value.light.Length - 1), 6);
                writer.WriteStartArray();
                writer.WriteNumberValue(place);
                writer.WriteStringValue(value.Hex((double)i / (value.light.Length - 1)));
                writer.WriteEndArray();
            }

            writer.WriteEndArray();
        }
    }
}
