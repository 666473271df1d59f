using System.Net;
using TorchSharp;
using Microsoft.Data.Analysis;
using Microsoft.DotNet.Interactive.Formatting;
using Plotly.NET;

namespace HeadScope;

/// <summary>
/// How HeadScope's results show themselves as the last expression of a cell, through the formatters that .NET Interactive and HeadScope's own
/// kernel share. Another look is one <c>Formatter.Register</c> away: what is registered last wins.
/// </summary>
public static class HeadScopeFormatters
{
    private const string Html = "text/html";

    private const string Plain = "text/plain";

    private static int registered;

    /// <summary>Registers the formatters of all results; the second and later calls do nothing.</summary>
    public static void Register()
    {
        if (Interlocked.Exchange(ref registered, 1) == 1)
        {
            return;
        }

        // A cell may make tensors before it uses anything of HeadScope.
        LibTorch.Prepare();
        ShowsCharts();
        Charted<HeadMap>(map => Charts.HeadMap(map));
        Charted<RelationScores>(scores => Charts.RelationScores(scores));
        Charted<DynamicScores>(scores => Charts.DynamicStatic(scores));
        Charted<HeadAblation>(Charts.Ablation);
        Charted<Intervention>(result => Charts.Interventions(result));
        Charted<Circuit>(circuit => Charts.Circuit(circuit));
        Charted<Omega>(omega => Charts.SingularValues(omega));
        Charted<Firing>(Charts.SignalContributions);
        Charted<Upstream>(upstream => Charts.Upstream(upstream));
        Charted<ActivationPatching>(Charts.ActivationPatching);
        Charted<LogitLens>(lens => Charts.LogitLens(lens));
        Charted<LorsaHead>(head => Charts.Dashboard(head));
        Charted<LorsaTrainingReport>(report => Charts.TrainingCurves(report));

        Writes<TokenView>(view => view.ToHtml(), view => view.Caption);
        Writes<ZPattern>(pattern => TokenView.Of(pattern).ToHtml(), pattern => TokenView.Of(pattern).Caption);
        Writes<SalientOperations>(Operations, operations => operations.ToString());
        Writes<HeadDescription>(Description, description => description.Summary);
        Writes<DynamicMap>(Correlations, map => map.ToString());
        Writes<Model>(Card, model => model.ToString() ?? model.Name);
        Writes<ForwardPass>(Activations, pass => $"{pass.Lengths.Count} sequences, {pass.Activations.Count} activations");
        Writes<Relation>(relation => $"<b>{Text(relation.Name)}</b>{HtmlTable.Of(relation.Pairs.Select(pair => new { pair.Source, pair.Target }))}", relation => relation.ToString());
        Writes<DataFrame>(HtmlTable.Of, HtmlTable.Plain);
        Writes<IEnumerable<LorsaHead>>(
            heads => HtmlTable.Of(heads.Select(head => new { head = head.Index, head.QkHead, head.Score, head.ActiveTokens })),
            heads => string.Join(Environment.NewLine, heads.Select(head => FormattableString.Invariant($"Lorsa head {head.Index} (QK {head.QkHead}): {head.Score:f3}"))));
        Writes<torch.Tensor>(TensorSummary.Html, TensorSummary.Text);

        Lists<CircuitEdge>();
        Lists<HeadScore>();
        Lists<Relation>();
    }

    /// <summary>Any chart of Plotly.NET, the user's own too. It is one of GenericChart's cases: what is registered for these is closer than what
    /// Plotly.NET.Interactive registers for GenericChart, which needs a network, whichever of both comes first.</summary>
    internal static void ShowsCharts()
    {
        foreach (var type in typeof(GenericChart).GetNestedTypes().Where(type => type.IsSubclassOf(typeof(GenericChart))).Append(typeof(GenericChart)))
        {
            Charted(type, chart => (GenericChart)chart);
        }
    }

    /// <summary>A result that shows itself as a chart.</summary>
    private static void Charted<T>(Func<T, GenericChart> chart)
        where T : notnull => Charted(typeof(T), value => chart((T)value));

    private static void Charted(Type type, Func<object, GenericChart> chart)
    {
        Formatter.Register(type, (value, writer) => writer.Write(ChartOutput.Json(chart(value))), ChartOutput.MimeType);
        Formatter.Register(type, (value, writer) => writer.Write(ChartOutput.CellOutput(chart(value))), Html);
        Formatter.Register(type, (value, writer) => writer.Write(ChartOutput.Caption(chart(value))), Plain);
        Formatter.SetPreferredMimeTypesFor(type, ChartOutput.MimeType, Html);
    }

    /// <summary>A result that shows itself as text.</summary>
    private static void Writes<T>(Func<T, string> html, Func<T, string> plain)
        where T : notnull
    {
        Formatter.Register(html, Html);
        Formatter.Register(plain, Plain);
        Formatter.SetPreferredMimeTypesFor(typeof(T), Html);
    }

    /// <summary>Lists of records that show themselves as tables that can be sorted.</summary>
    private static void Lists<T>() => Writes<IEnumerable<T>>(HtmlTable.Of, rows => string.Join(Environment.NewLine, rows));

    private static string Card(Model model) =>
        $"<div style=\"border:1px solid #8884;border-radius:6px;padding:.6em 1em;display:inline-block\"><b>{Text(model.Name)}</b><table>"
        + string.Concat(ModelFacts.Of(model).Skip(1).Select(fact => $"<tr><td style=\"text-align:left\">{Text(fact.Name)}</td><td style=\"text-align:left\">{Text(fact.Value)}</td></tr>"))
        + "</table></div>";

    private static string Description(HeadDescription description) =>
        $"<p>{Text(description.Summary)}</p>" + HtmlTable.Of(description.Patterns.Select(pattern => new
        {
            pattern = pattern.Name, strength = pattern.Matches / (double)pattern.Of, holdsFor = pattern.Matches, pattern.Of,
            evidence = string.Join(", ", pattern.Evidence.Select(pair => $"{pair.Source} → {pair.Target}")),
        }));

    private static string Operations(SalientOperations operations) => string.Concat(operations.Heads.Select(head =>
        $"<b>What head {head} of {Text(operations.Model)} does</b>" + HtmlTable.Of(operations[head].Select(operation => new
        {
            source = PlotlyText.Named(operation.Text, operation.Token), operation.Amplification,
            mappedTo = string.Join("  ", operation.Targets.Select(target => PlotlyText.Named(target.Text, target.Token))),
            suppressed = string.Join("  ", operation.Suppressed.Select(target => PlotlyText.Named(target.Text, target.Token))),
        }))));

    private static string Correlations(DynamicMap map) => HtmlTable.Of(map.Relations.Select(relation =>
    {
        var (without, with) = (relation.Correlate(context: false), relation.Correlate(context: true));
        return new { relation = relation.Relation, relation.Static.Category, rWithoutContext = without.R, pWithoutContext = without.PValue, rWithContext = with.R, pWithContext = with.PValue, n = with.Count };
    }));

    private static string Activations(ForwardPass pass) => HtmlTable.Of(
        pass.Activations.Append(new("logits", pass.Logits!)).Where(activation => activation.Value is not null).Select(activation => new { name = activation.Key, shape = $"[{string.Join(", ", activation.Value.shape)}]" }));

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
