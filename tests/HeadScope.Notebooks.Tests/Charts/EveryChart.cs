using Plotly.NET;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>Every kind of chart, for the tests that hold all of them to the same.</summary>
internal static class EveryChart
{
    private const string Attack = HostileText.Mixed;

    private static readonly string[] Prompt = ["When", " Mary", " and", " John", " went", " to", " the", " restaurant", ",", " John", " gave", " a", " drink", " to"];

    /// <summary>Those that are made for a model of so many layers and heads.</summary>
    public static readonly Dictionary<string, Func<int, int, GenericChart>> OfShape = new(StringComparer.Ordinal)
    {
        ["grid of heads"] = (layers, heads) => Charts.HeadGrid(Random(layers, heads), "Direct effects", "direct effect on the logit difference"),
        ["head map of one relation"] = (layers, heads) => Charts.HeadMap(RandomMaps.Of(layers, heads), "country_to_capital", threshold: 0.2),
        ["one head"] = (layers, heads) => Charts.HeadMap(RandomMaps.Of(layers, heads), new Head(layers - 1, heads - 1)),
        ["two maps"] = (layers, heads) => Charts.HeadMaps(RandomMaps.Of(12, 12, "gpt2"), RandomMaps.Of(layers, heads), "country_to_capital"),
        ["relation scores"] = (layers, heads) => Charts.RelationScores(RandomMaps.Of(layers, heads).Relations[0]),
        ["relation comparison"] = (layers, heads) => Charts.RelationComparison(RandomMaps.Of(layers, heads)),
        ["comparison of models"] = (layers, heads) => Charts.Comparison(RandomMaps.Of(12, 12, "gpt2"), RandomMaps.Of(layers, heads)),
        ["circuit"] = (layers, heads) => Charts.Circuit(RandomCircuits.Of(layers, heads), 60),
        ["signal directions"] = (layers, heads) => Charts.SignalDirections(RandomCircuits.SignalsOf(layers, heads)),
        ["signal table"] = (layers, heads) => Charts.SignalTable(RandomCircuits.SignalsOf(layers, heads)),
        ["upstream"] = (layers, heads) => Charts.Upstream(RandomCircuits.UpstreamOf(layers, heads)),
        ["interventions"] = (layers, heads) => Charts.Interventions(RandomCircuits.InterventionOf(layers, heads)),
        ["activation patching"] = (layers, heads) => Charts.ActivationPatching(new(
            "demo", Prompt, [.. Prompt.Select((word, i) => i == 9 ? " Mary" : word)], " Mary", " John", 3, -2, Random(layers, Prompt.Length), Random(layers, heads), null, null)),
        ["logit lens"] = (layers, _) => Charts.LogitLens(new(
            "demo", Prompt, Prompt, Random(layers, Prompt.Length), Random(layers, Prompt.Length).sigmoid(), ones(layers, Prompt.Length), zeros(layers, Prompt.Length, 1, int64),
            Random(layers, Prompt.Length, 1), new Dictionary<int, string> { [0] = " a" })),
    };

    /// <summary>Those of results of the demo model, or of small ones by hand.</summary>
    public static readonly Dictionary<string, Func<GenericChart>> OfDemo = new(StringComparer.Ordinal)
    {
        ["head map"] = () => Charts.HeadMap(DemoResults.Map),
        ["head map with a threshold"] = () => Charts.HeadMap(DemoResults.Map, 0.1),
        ["suppression of one relation"] = () => Charts.HeadMap(DemoResults.Map, "country_to_capital", suppression: true),
        ["relation scores of the demo"] = () => Charts.RelationScores(DemoResults.Map["name_copying"]),
        ["one head of the demo"] = () => Charts.HeadMap(DemoResults.Map, new Head(0, 5)),
        ["relation comparison of the demo"] = () => Charts.RelationComparison(DemoResults.Map),
        ["comparison with itself"] = () => Charts.Comparison(DemoResults.Map, DemoResults.Map),
        ["dynamic and static"] = () => Charts.DynamicStatic(DemoResults.Dynamic),
        ["ablation"] = () => Charts.Ablation(DemoResults.Ablation),
        ["salient operations"] = () => Charts.SalientOperations(DemoResults.Operations),
        ["suppressed tokens"] = () => Charts.SalientOperations(DemoResults.Operations, new Head(1, 3), rows: 4, targets: 2, suppressed: true),
        ["distribution"] = () => Charts.Distribution([1, 2, 2, 3, float.NaN], "Numbers", "number", 5),
        ["circuit of the demo"] = () => Charts.Circuit(DemoResults.Circuit),
        ["singular values"] = () => Charts.SingularValues(DemoResults.Omega, RandomCircuits.SignalsOf(4, 8).Firings[0]),
        ["signal contributions"] = () => Charts.SignalContributions(RandomCircuits.SignalsOf(4, 8).Firings[0]),
        ["attention pattern"] = () => Charts.AttentionPattern(softmax(Random(14, 14), 1).tril(), Prompt, "Head 3.5"),
        ["attention heads"] = () => Charts.AttentionHeads(softmax(Random(8, 14, 14), 2).tril(), Prompt, 3),
        ["coloured text"] = () => Charts.ColoredText(Prompt, [.. Prompt.Select((_, i) => (float)Math.Sin(i))], "A text", "sine", marked: 3),
        ["z-pattern"] = () => Charts.ZPattern(DemoResults.ZPattern),
        ["activations"] = () => Charts.Activations(DemoResults.ZPattern),
        ["top activations"] = () => Charts.TopActivations([.. Enumerable.Repeat((DemoResults.ZPattern, 9), 12)]),
        ["origin"] = () => Charts.HeadOrigin(DemoResults.LorsaHead),
        ["dashboard"] = () => Charts.Dashboard(DemoResults.LorsaHead),
        ["training"] = () => Charts.TrainingCurves(DemoResults.Lorsa.Training!, [(64, 0.2), (512, 0.9)]),
    };

    /// <summary>Those with texts that try to be code.</summary>
    public static readonly Dictionary<string, Func<GenericChart>> Hostile = new(StringComparer.Ordinal)
    {
        ["hostile head map"] = () => Charts.HeadMap(DemoResults.HostileMap),
        ["hostile head"] = () => Charts.HeadMap(DemoResults.HostileMap, new Head(0, 5)),
        ["hostile maps"] = () => Charts.HeadMaps(DemoResults.Map, DemoResults.HostileMap, "name_copying"),
        ["hostile relation comparison"] = () => Charts.RelationComparison(DemoResults.HostileMap),
        ["hostile comparison of models"] = () => Charts.Comparison(DemoResults.HostileMap, DemoResults.HostileMap),
        ["hostile bars"] = () => Charts.Bars([("a", 1, 0.2), (Attack, -0.5, 0), ("c", double.NaN, double.NaN)], Attack, Attack),
        ["hostile distribution"] = () => Charts.Distribution([1, 2, 2, 3, float.NaN], Attack, Attack, 5),
        ["hostile grid of heads"] = () => Charts.HeadGrid(Random(4, 8), Attack, Attack),
        ["hostile ablation"] = () => Charts.Ablation(DemoResults.Ablation with { Model = Attack, Relation = Attack }),
        ["empty circuit"] = () => Charts.Circuit(DemoResults.Circuit with { Edges = [], EmptyReason = Attack }),
        ["hostile circuit"] = () => Charts.Circuit(RandomCircuits.Of(4, 8, "a", Attack, "end") with { Model = Attack, PromptSet = Attack }),
        ["hostile signal directions"] = () => Charts.SignalDirections(RandomCircuits.SignalsOf(4, 8) with { Model = Attack }),
        ["hostile signal table"] = () => Charts.SignalTable(RandomCircuits.SignalsOf(4, 8, Attack, "<b>", "$x$", "\"), \"") with { Model = Attack }),
        ["hostile upstream"] = () => Charts.Upstream(RandomCircuits.UpstreamOf(2, 2, Attack)),
        ["hostile interventions"] = () => Charts.Interventions(RandomCircuits.InterventionOf(4, 8) with { Model = Attack, Edges = [.. Enumerable.Repeat(new CircuitEdge(Attack, new(3, 0), SignalSide.Source, Attack, "end"), 8)] }),
        ["hostile patching"] = () => Charts.ActivationPatching(DemoResults.Patching(outputs: false)),
        ["hostile patching with outputs"] = () => Charts.ActivationPatching(DemoResults.Patching(outputs: true)),
        ["hostile lens"] = () => Charts.LogitLens(DemoResults.Lens()),
        ["hostile lens of ranks"] = () => Charts.LogitLens(DemoResults.Lens(), ranks: true, positions: 2..),
        ["hostile attention pattern"] = () => Charts.AttentionPattern(eye(4), ["When", " Mary", " and", Attack], Attack),
        ["hostile attention heads"] = () => Charts.AttentionHeads(eye(4).expand(3, 4, 4), ["When", " Mary", " and", Attack], 0, Attack),
        ["hostile text"] = () => Charts.ColoredText(HostileText.Tokens, [.. HostileText.Tokens.Select((_, i) => (i % 5) - 1.5f)], Attack, Attack, columns: 120),
    };

    /// <summary>All of them by name.</summary>
    public static readonly Dictionary<string, Func<GenericChart>> All = OfShape.Select(kind => KeyValuePair.Create<string, Func<GenericChart>>(kind.Key, () => kind.Value(4, 8)))
        .Concat(OfDemo).Concat(Hostile).ToDictionary(StringComparer.Ordinal);

    private static Tensor Random(params long[] shape)
    {
        using var generator = new Generator(7, CPU);
        return randn(shape, generator: generator);
    }
}
