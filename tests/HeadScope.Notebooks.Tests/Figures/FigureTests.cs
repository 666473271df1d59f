using TorchSharp;
using System.Text.Json;
using System.Xml.Linq;
using HeadScope.Notebooks.Plotly;
using HeadScope.Notebooks.Static;

namespace HeadScope.Notebooks.Tests;

[Collection(InBrowser.Name)]
public class FigureTests(PlotlyBrowser plotly)
{
    private const string Attack = "<script>alert(1)</script>";

    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static readonly Lazy<PromptSet> Sentences = new(() => new PromptSet("ioi", [.. new[] { ("Mary", "John"), ("Tom", "Anna"), ("Peter", "Sarah"), ("Lucy", "James") }.Select(pair =>
    {
        var (io, subject) = pair;
        var tokens = Demo.Value.Tokenizer.Encode($"When {io} and {subject} went to the store, {subject} gave a drink to");
        int Token(string name) => Demo.Value.Tokenizer.Encode($" {name}")[0];
        return new CircuitPrompt(
            tokens,
            new Dictionary<string, int>(StringComparer.Ordinal)
            {
                ["IO"] = Array.IndexOf(tokens, Token(io)),
                ["S1"] = Array.IndexOf(tokens, Token(subject)),
                ["S1+1"] = Array.IndexOf(tokens, Token(subject)) + 1,
                ["S2"] = Array.LastIndexOf(tokens, Token(subject)),
                ["end"] = tokens.Length - 1,
            }.ToArray(),
            Token(io),
            Token(subject));
    })]));

    private static readonly Lazy<Circuit> Trace = new(() => Circuit.Trace(Demo.Value, Sentences.Value));

    private static readonly Lazy<Signals> FoundSignals = new(() => Signals.Find(Demo.Value, Sentences.Value));

    private static readonly Lazy<Intervention> Intervened = new(() =>
        Intervention.Run(Demo.Value, Sentences.Value, Trace.Value.Top(2)));

    private static readonly Lazy<Firing> Fired = new(() => FoundSignals.Value.Firings[0]);


    public static TheoryData<string> Names => [.. Examples().Keys];

    /// <summary>A figure of every kind, from small data, with texts that try to be code.</summary>
    private static Dictionary<string, Figure> Examples()
    {
        var tokens = new[] { "<|endoftext|>", " When", " Mary", Attack, "$x^2$", " %{x} &amp; \"'", "\n", " gave" };
        return new Dictionary<string, Figure>(StringComparer.Ordinal)
        {
            ["every trace"] = EveryTrace(),
            ["bars"] = Figures.Bars([("a", 1, 0.2), (Attack, -0.5, 0), ("c", 0.1, 0)], Attack, Attack),
            ["one bar"] = Figures.Bars([("a", 1, 0)], "one", "value"),
            ["table"] = Figures.Table(["source", Attack], [["a", Attack], ["b", new string('w', 200)]], Attack, [1, 3]),
            ["graph"] = Figures.Graph(
                [new GraphNode("a", "0.1", 0, 0), new GraphNode("b", Attack, 1, 1, 1, Attack), new GraphNode("c", "2.3", 2, 2)],
                [new GraphEdge("a", "b", 0.5), new GraphEdge("b", "c", -2, 1, Attack)],
                Attack, ["previous token", "other"], ["destination", "source"]),
            ["interventions"] = Figures.Interventions(Intervened.Value),
            ["circuit"] = Figures.Circuit(Trace.Value),
            ["signal directions"] = Figures.SignalDirections(FoundSignals.Value),
            ["signal table"] = Figures.SignalTable(FoundSignals.Value, heads: 5),
            ["empty circuit"] = Figures.Circuit(Trace.Value with { Edges = [], EmptyReason = Attack }),
            ["singular values"] = Figures.SingularValues(Omega.Of(Circuit.Fold(Demo.Value), Fired.Value.Head), Fired.Value),
            ["signal contributions"] = Figures.SignalContributions(Fired.Value),
            ["upstream"] = Figures.Upstream(new Upstream(
                Fired.Value, SignalSide.Source, 1.5, ["embedding", .. Enumerable.Range(1, 29).Select(i => i == 4 ? Attack : $"{i / 8}.{i % 8}")],
                torch.tensor(Enumerable.Range(0, 30).Select(i => Math.Sin(i)).ToArray()), torch.zeros(4, 8, 1, torch.float64))),
            ["a number for each head"] = Figures.HeadGrid(Circuit.DirectEffects(Demo.Value, Sentences.Value, 4), Attack, "logits"),
        };
    }

    private static Figure EveryTrace() => new(
        [
            new Bar { X = new[] { "a", "b" }, Y = new[] { 1.0, 2 }, Text = ["<b>1</b>", "2"], TextPosition = "outside", Name = "bars", ErrorY = new ErrorBars { Array = new[] { 0.1, 0.2 } } },
            new Scatter { Mode = "lines+markers", X = new[] { 1.0, 10 }, Y = new[] { 3f, float.NaN }, XAxis = "x2", YAxis = "y2", Name = "line", Line = new Line { Dash = "dot" } },
            new Histogram { X = new[] { 1f, 2, 2, 3 }, XBins = new Bins(0, 4, 1), XAxis = "x3", YAxis = "y3", Marker = new Marker { Color = "#0072b2" } },
            new Scatter
            {
                Mode = "markers+text", X = new[] { 1, 2 }, Y = new[] { 1, 2 }, Text = ["p", "q"], TextPosition = "top center", XAxis = "x4", YAxis = "y4",
                Marker = new Marker { Color = new[] { 0.0, 1 }, Size = new[] { 5, 9 }, ColorScale = ColorScale.Diverging, CMin = -1, CMax = 1, ShowScale = true, ColorBar = new ColorBar { Title = "c" } },
            },
        ],
        new Layout
        {
            Title = "all",
            BarMode = "group",
            Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
            {
                ["x"] = new() { Domain = [0, 0.4] },
                ["y"] = new() { Domain = [0.6, 1], Title = "n" },
                ["x2"] = new() { Domain = [0.6, 1], Type = "log", Anchor = "y2" },
                ["y2"] = new() { Domain = [0.6, 1], Anchor = "x2" },
                ["x3"] = new() { Domain = [0, 0.4], Anchor = "y3" },
                ["y3"] = new() { Domain = [0, 0.4], Anchor = "x3" },
                ["x4"] = new() { Domain = [0.6, 1], Anchor = "y4" },
                ["y4"] = new() { Domain = [0, 0.4], Anchor = "x4" },
            },
            Annotations = [new Annotation { X = 1.5, Y = 1.5, XRef = "x4", YRef = "y4", Ax = 1, Ay = 1, AxRef = "x4", AyRef = "y4", ShowArrow = true, ArrowHead = 2, Text = "here" }],
            Shapes = [new Shape { Type = "line", X0 = 0, X1 = 1, Y0 = 0.5, Y1 = 0.5, XRef = "paper", YRef = "paper", Line = new Line { Dash = "dash" } }],
        },
        "One of each.");

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Plotly_finds_no_fault(string name)
    {
        var figure = Examples()[name];
        await plotly.AcceptsAsync(figure);
        await plotly.AcceptsAsync(figure.With(FigureStyle.Dark));
        await plotly.AcceptsAsync(figure.With(FigureStyle.OneColumn));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_drawing_without_a_browser_is_sound_and_inside_the_page(string name)
    {
        foreach (var style in new[] { FigureStyle.Light, FigureStyle.Dark, FigureStyle.OneColumn, FigureStyle.TwoColumns })
        {
            var svg = XElement.Parse(StaticFigure.Draw(Examples()[name].With(style)));
            var width = (double)svg.Attribute("width")!;
            var height = (double)svg.Attribute("height")!;
            Assert.NotEmpty(svg.Descendants().Where(e => e.Name.LocalName is "rect" or "path" or "circle" or "text").Skip(1));
            foreach (var text in svg.Descendants().Where(e => e.Name.LocalName == "text"))
            {
                Assert.InRange((double)text.Attribute("x")!, 0, width);
                Assert.InRange((double)text.Attribute("y")!, 0, height);
            }

            Assert.DoesNotContain("NaN", svg.ToString(), StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void No_text_of_a_figure_can_end_a_script_or_become_an_element(string name)
    {
        var figure = Examples()[name];
        using var json = JsonDocument.Parse(figure.ToJson());
        Assert.DoesNotContain("<", figure.ToJson(), StringComparison.Ordinal);
        Assert.DoesNotContain(Attack, HtmlPage.Of(Attack, [figure]), StringComparison.OrdinalIgnoreCase);
        Assert.Equal(JsonValueKind.Array, json.RootElement.GetProperty("data").ValueKind);
    }

    [Fact]
    public async Task A_page_of_all_figures_can_be_looked_at()
    {
        // Set this variable to a folder to look at what the figures look like, drawn by plotly.js and without it.
        var folder = Environment.GetEnvironmentVariable("HEADSCOPE_SHOW_FIGURES");
        Assert.SkipWhen(string.IsNullOrEmpty(folder), "HEADSCOPE_SHOW_FIGURES names no folder.");
        PlotlyBrowser.Require();
        await File.WriteAllTextAsync(Path.Combine(folder!, "still.html"), string.Concat(Examples().Values.Select(figure => StaticFigure.Draw(figure))), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(Path.Combine(folder!, "plotly.html"), HtmlPage.Of("All figures", [.. Examples().Values], PlotlyScript.Find()), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(Path.Combine(folder!, "dark.html"), HtmlPage.Of("All figures", [.. Examples().Values.Select(figure => figure.With(FigureStyle.Dark))], PlotlyScript.Find()), TestContext.Current.CancellationToken);
    }

    [Fact]
    public void Colours_of_numbers_grow_darker_on_light_pages_and_lighter_on_dark_ones()
    {
        static double Lightness((byte R, byte G, byte B) c) => (0.2126 * c.R) + (0.7152 * c.G) + (0.0722 * c.B);
        var light = Enumerable.Range(0, 21).Select(i => Lightness(ColorScale.Sequential.At(i / 20.0))).ToArray();
        var dark = Enumerable.Range(0, 21).Select(i => Lightness(ColorScale.Sequential.In(FigureStyle.Dark).At(i / 20.0))).ToArray();
        Assert.Equal(light.OrderDescending(), light);
        Assert.Equal(dark.Order(), dark);
    }
}
