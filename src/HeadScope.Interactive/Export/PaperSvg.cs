using System.Globalization;
using System.Xml.Linq;
using HeadScope.Notebooks.Plotly;
using HeadScope.Notebooks.Static;

namespace HeadScope;

/// <summary>
/// Makes the SVG of plotly.js fit for a paper: its size in millimetres, and heat maps, which plotly.js paints as pictures of screen
/// resolution, as rectangles, so that they are sharp at any size.
/// </summary>
internal static class PaperSvg
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    /// <summary>Changes the SVG of a figure.</summary>
    /// <param name="drawn">The SVG that plotly.js made.</param>
    /// <param name="figure">The figure, for the numbers of its heat maps.</param>
    /// <param name="width">The width in pixels.</param>
    /// <param name="height">The height in pixels.</param>
    /// <param name="unit">The unit that the file states its size in.</param>
    /// <returns>The SVG.</returns>
    public static string From(string drawn, Figure figure, double width, double height, LengthUnit unit)
    {
        var root = XElement.Parse(drawn, LoadOptions.PreserveWhitespace);
        var (perUnit, name) = unit == LengthUnit.Millimetres ? (FigureStyle.PixelsPerMillimetre, "mm") : (1, "px");
        root.SetAttributeValue("viewBox", string.Create(CultureInfo.InvariantCulture, $"0 0 {width} {height}"));
        root.SetAttributeValue("width", string.Create(CultureInfo.InvariantCulture, $"{Math.Round(width / perUnit, 3)}{name}"));
        root.SetAttributeValue("height", string.Create(CultureInfo.InvariantCulture, $"{Math.Round(height / perUnit, 3)}{name}"));

        var maps = figure.Styled().Traces.OfType<HeatMap>().Where(map => map.Visible ?? true).ToList();
        var pictures = root.Descendants(Svg + "g").Where(g => (string?)g.Attribute("class") == "hm")
            .Select(g => g.Element(Svg + "image")).OfType<XElement>().ToList();
        if (maps.Count == pictures.Count)
        {
            for (var i = 0; i < maps.Count; i++)
            {
                pictures[i].ReplaceWith(Cells(maps[i], pictures[i], figure));
            }
        }

        return root.ToString(SaveOptions.DisableFormatting);
    }

    private static XElement Cells(HeatMap map, XElement picture, Figure figure)
    {
        double Of(string attribute) => double.Parse(picture.Attribute(attribute)!.Value, CultureInfo.InvariantCulture);
        var (left, top, width, height) = (Of("x"), Of("y"), Of("width"), Of("height"));
        var (w, h) = (width / map.Z.Columns, height / map.Z.Rows);
        var downwards = Reversed(figure.Layout.AxisOf(map.YAxis, "y"));
        var (low, high) = (map.ZMin ?? map.Z.Extent.Low, map.ZMax ?? map.Z.Extent.High);
        var scale = map.ColorScale ?? ColorScale.Sequential.In(figure.Style);
        var cells = new XElement(Svg + "g", new XAttribute("shape-rendering", "crispEdges"));
        for (var row = 0; row < map.Z.Rows; row++)
        {
            for (var column = 0; column < map.Z.Columns; column++)
            {
                var value = map.Z[row, column];
                if (float.IsFinite(value))
                {
                    cells.Add(new XElement(
                        Svg + "rect",
                        new XAttribute("x", SvgText.N(left + (column * w) + ((map.XGap ?? 0) / 2))),
                        new XAttribute("y", SvgText.N(top + ((downwards ? row : map.Z.Rows - 1 - row) * h) + ((map.YGap ?? 0) / 2))),
                        new XAttribute("width", SvgText.N(Math.Max(0, w - (map.XGap ?? 0)))),
                        new XAttribute("height", SvgText.N(Math.Max(0, h - (map.YGap ?? 0)))),
                        new XAttribute("fill", scale.Hex(high > low ? (value - low) / (high - low) : 0.5))));
                }
            }
        }

        return cells;
    }

    private static bool Reversed(Axis axis) => axis.AutoRange == "reversed" || axis.Range is [var first, var last] && first > last;
}
