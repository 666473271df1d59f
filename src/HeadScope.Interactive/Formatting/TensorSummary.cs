using System.Globalization;
using System.Net;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>A tensor in a few words: its dtype and shape, how its numbers are spread, and the first of them.</summary>
internal static class TensorSummary
{
    private const int Shown = 8;

    /// <summary>As plain text, one line.</summary>
    public static string Text(Tensor tensor)
    {
        var (title, facts, first) = Facts(tensor);
        return $"{title}: {string.Join(", ", facts.Select(fact => $"{fact.Name} {fact.Value}"))}; {first}";
    }

    /// <summary>As HTML.</summary>
    public static string Html(Tensor tensor)
    {
        var (title, facts, first) = Facts(tensor);
        return $"<div><b>{WebUtility.HtmlEncode(title)}</b>"
            + HtmlTable.Of([.. facts.Select(fact => fact.Name)], [[.. facts.Select(fact => fact.Value)]])
            + $"<code>{WebUtility.HtmlEncode(first)}</code></div>";
    }

    private static (string Title, IReadOnlyList<(string Name, string Value)> Facts, string First) Facts(Tensor tensor)
    {
        if (tensor.IsInvalid)
        {
            return ("Tensor, disposed", [], "");
        }

        var title = $"{tensor.dtype} [{string.Join(", ", tensor.shape)}]{(tensor.device.type == TorchSharp.DeviceType.CPU ? "" : $" on {tensor.device}")}";
        using var scope = NewDisposeScope();
        var numbers = tensor.is_complex() ? tensor.abs() : tensor;
        var values = numbers.detach().cpu().to(float64).flatten();
        var finite = values[values.isfinite()];
        var count = finite.numel();
        List<(string, string)> facts = [("numbers", PlotlyText.Count(values.numel()))];
        if (count > 0)
        {
            facts.Add(("smallest", N(finite.min().item<double>())));
            facts.Add(("largest", N(finite.max().item<double>())));
            facts.Add(("mean", N(finite.mean().item<double>())));
            facts.Add(("standard deviation", N(finite.std(unbiased: false).item<double>())));
        }

        if (count < values.numel())
        {
            facts.Add(("not finite", PlotlyText.Count(values.numel() - count)));
        }

        var shown = values.narrow(0, 0, Math.Min(Shown, values.numel())).Copied<double>();
        return (title, facts, string.Join(", ", shown.Select(N)) + (values.numel() > Shown ? ", …" : ""));
    }

    private static string N(double value) => value.ToString("G4", CultureInfo.InvariantCulture);
}
