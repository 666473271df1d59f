using System.Globalization;
using System.Net;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>A tensor in a few words: its shape, how its numbers are spread, and the first of them.</summary>
internal static class TensorSummary
{
    private const int Shown = 8;

    /// <summary>As plain text, one line.</summary>
    public static string Text<T>(Tensor<T> tensor)
        where T : struct
    {
        var (shape, facts, first) = Facts(tensor);
        return $"Tensor<{typeof(T).Name}> {shape}: {string.Join(", ", facts.Select(fact => $"{fact.Name} {fact.Value}"))}; {first}";
    }

    /// <summary>As HTML.</summary>
    public static string Html<T>(Tensor<T> tensor)
        where T : struct
    {
        var (shape, facts, first) = Facts(tensor);
        return $"<div><b>Tensor&lt;{typeof(T).Name}&gt; {shape}</b>"
            + HtmlTable.Of([.. facts.Select(fact => fact.Name)], [[.. facts.Select(fact => fact.Value)]])
            + $"<code>{WebUtility.HtmlEncode(first)}</code></div>";
    }

    private static (string Shape, IReadOnlyList<(string Name, string Value)> Facts, string First) Facts<T>(Tensor<T> tensor)
        where T : struct
    {
        var values = new T[checked((int)tensor.FlattenedLength)];
        tensor.FlattenTo(values);
        var shape = $"[{string.Join(", ", tensor.Lengths.ToArray().Select(length => length.ToString(CultureInfo.InvariantCulture)))}]";
        var (low, high, sum, squares, finite) = (double.PositiveInfinity, double.NegativeInfinity, 0.0, 0.0, 0L);
        foreach (var value in values)
        {
            var number = Convert.ToDouble(value, CultureInfo.InvariantCulture);
            if (double.IsFinite(number))
            {
                (low, high, sum, squares) = (Math.Min(low, number), Math.Max(high, number), sum + number, squares + (number * number));
                finite++;
            }
        }

        var mean = finite > 0 ? sum / finite : double.NaN;
        var deviation = finite > 0 ? Math.Sqrt(Math.Max(0, (squares / finite) - (mean * mean))) : double.NaN;
        List<(string, string)> facts =
        [
            ("numbers", values.Length.ToString("#,0", CultureInfo.InvariantCulture)),
            ("smallest", N(finite > 0 ? low : double.NaN)),
            ("largest", N(finite > 0 ? high : double.NaN)),
            ("mean", N(mean)),
            ("standard deviation", N(deviation)),
        ];
        if (finite < values.Length)
        {
            facts.Add(("not finite", (values.Length - finite).ToString("#,0", CultureInfo.InvariantCulture)));
        }

        var first = string.Join(", ", values.Take(Shown).Select(value => N(Convert.ToDouble(value, CultureInfo.InvariantCulture)))) + (values.Length > Shown ? ", …" : "");
        return (shape, facts, first);
    }

    private static string N(double value) => value.ToString("G4", CultureInfo.InvariantCulture);
}
