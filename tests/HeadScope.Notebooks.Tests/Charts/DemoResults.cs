using System.Text.Json;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>Results of the demo model and small ones by hand, each made once for all tests of charts.</summary>
internal static class DemoResults
{
    private static readonly string[] PatchedTokens = ["When", " Anna", HostileText.Script, HostileText.Bidi, "<b>gave</b>", "\n"];

    private static readonly Lazy<Model> Demo = new(() => HeadScope.Model.Load("demo"));

    private static readonly Lazy<HeadMap> Scored = new(() => HeadMap.Score(Model, [Relations.CountryToCapital, Relations.NameCopying]));

    // What a file may say about itself: a model, a relation and a word that try to be code.
    private static readonly Lazy<HeadMap> Hostile = new(() => HeadMap.FromJson(Map.ToJson()
        .Replace("\"demo\"", JsonSerializer.Serialize(HostileText.Mixed), StringComparison.Ordinal).Replace("\"country_to_capital\"", JsonSerializer.Serialize(HostileText.Mixed), StringComparison.Ordinal)
        .Replace("\"Italy\"", JsonSerializer.Serialize(HostileText.Mixed), StringComparison.Ordinal)));

    private static readonly Lazy<DynamicScores> Scores = new(() => DynamicMap.Score(Model, [Relations.CountryToCapital])["country_to_capital"]);

    private static readonly Lazy<SalientOperations> Salient = new(() => SalientOperations.Of(Model, [new Head(0, 5), new Head(1, 3)]));

    private static readonly Lazy<Circuit> Traced = new(() => HeadScope.Circuit.Trace(Model, Ioi.Prompts(4), new() { Roots = [new(3, 0), new(3, 1), new(3, 2)] }));

    private static readonly Lazy<Omega> Decomposed = new(() => HeadScope.Omega.Of(HeadScope.Circuit.Fold(Model), new(3, 0)));

    private static readonly Lazy<Lorsa> Trained = new(() => HeadScope.Lorsa.Train(
        Model, 1, new[] { string.Join(' ', Enumerable.Repeat("When Mary and John went to the store, John gave a drink to Mary.", 60)) },
        new LorsaTrainingOptions { Heads = 64, TopK = 4, ContextLength = 32, BatchSequences = 2, Tokens = 512, HeldOutSequences = 2, ReportEvery = 1, EvaluateEvery = 2 }));

    private static readonly Lazy<LorsaHead> Third = new(() => Lorsa.Head(3));

    public static Model Model => Demo.Value;

    public static HeadMap Map => Scored.Value;

    public static HeadMap HostileMap => Hostile.Value;

    public static DynamicScores Dynamic => Scores.Value;

    public static SalientOperations Operations => Salient.Value;

    public static Circuit Circuit => Traced.Value;

    public static Omega Omega => Decomposed.Value;

    public static Lorsa Lorsa => Trained.Value;

    public static LorsaHead LorsaHead => Third.Value;

    public static ZPattern ZPattern => LorsaHead.ZPattern("When Mary and John went to the store, John gave a drink to");

    public static HeadAblation Ablation { get; } = new(
        "demo", "country_to_capital", "The capital of <X> is", Mean: true, 30, [new Head(0, 5), new Head(0, 4)], [1, 0.6f, 0.2f],
        [([new Head(1, 5), new Head(3, 4)], [1, 0.95f, 0.9f]), ([new Head(1, 2), new Head(2, 4)], [1, 0.99f, 0.97f])],
        [(HostileText.Mixed, "x", 0, 0.9f, [0.9f, 0.85f, 0.88f]), ("other", "y", 0.5f, float.NaN, null)]);

    /// <summary>What patches recover of three layers, four heads and six tokens, some of which are hostile.</summary>
    public static ActivationPatching Patching(bool outputs)
    {
        var heads = linspace(0, 0.5, 12, float64).reshape(3, 4);
        heads[2, 3] = -0.9;
        Tensor Map(double end) => linspace(-0.2, end, 18, float64).reshape(3, 6);
        return new(
            "demo", PatchedTokens, [.. PatchedTokens.Select(token => token == " Anna" ? " Peter" : token)], " Anna", " Peter", 3, -2, Map(1), heads, outputs ? Map(0.7) : null, outputs ? Map(0.3) : null);
    }

    /// <summary>Predictions after three layers at the same tokens; one of the predicted ones is long.</summary>
    public static LogitLens Lens()
    {
        var texts = new[] { " a", HostileText.Script, HostileText.Bidi, "<b>gave</b>", "\n", new string('w', 90) };
        var ranks = arange(1, 19, int64).reshape(3, 6);
        ranks[0, 5] = 100;
        return new(
            "demo", PatchedTokens, PatchedTokens, zeros(3, 6), linspace(0, 1, 18).reshape(3, 6), ranks, arange(36, dtype: int64).remainder(6).reshape(3, 6, 2), linspace(1, 0, 36).reshape(3, 6, 2),
            texts.Index().ToDictionary(text => text.Index, text => text.Item));
    }
}
