using System.Globalization;

namespace HeadScope.Tests;

/// <summary>Prompts and options that cannot be traced, and traces that find nothing.</summary>
public class TracerInputTests
{
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static readonly Lazy<PromptSet> Prompts = new(() => Ioi.Prompts(3).For(Demo.Value));

    [Fact]
    public void Prompts_of_unequal_roles_are_refused()
    {
        var first = Prompts.Value.Prompts[0];
        var fewer = first with { Roles = [.. first.Roles.Skip(1)] };
        Refused(new("mixed", [first, fewer]), "so all prompts need the same");
    }

    [Fact]
    public void A_prompt_beyond_the_context_is_refused()
    {
        var first = Prompts.Value.Prompts[0];
        var tokens = Enumerable.Repeat(first.Tokens[0], Demo.Value.Config.ContextLength + 1).ToArray();
        Refused(new("long", [first with { Tokens = tokens }]), $"the model reads 1 to {Demo.Value.Config.ContextLength}");
    }

    [Fact]
    public void Unknown_tokens_empty_sets_and_roles_outside_are_refused()
    {
        var first = Prompts.Value.Prompts[0];
        Refused(new("none", []), "is empty");
        Refused(new("odd", [first with { Tokens = [.. first.Tokens.SkipLast(1), 1_000_000] }]), "holds token 1000000");
        Refused(new("outside", [first with { Roles = [.. first.Roles.Skip(1), new("IO", 99)] }]), "stands at 99");
    }

    [Fact]
    public void Answers_that_the_model_does_not_know_are_refused()
    {
        var first = Prompts.Value.Prompts[0];
        Refused(new("answer", [first with { Answer = Demo.Value.Config.VocabularySize }]), "as answer or distractor");
        Refused(new("distractor", [first with { Distractor = -1 }]), "expects token -1");
        Assert.Throws<ArgumentException>(() => Circuit.DirectEffects(Demo.Value, new("none", [])));
    }

    [Fact]
    public void A_root_that_is_named_twice_counts_once()
    {
        var once = Circuit.Trace(Demo.Value, Prompts.Value, TraceOptions.Published with { Roots = [new(3, 0)] });
        var twice = Circuit.Trace(Demo.Value, Prompts.Value, TraceOptions.Published with { Roots = [new(3, 0), new(3, 0)] });
        Assert.NotEmpty(once.Edges);
        Assert.Equal(once.ToJson(), twice.ToJson());
    }

    [Fact]
    public void Traces_without_roots_or_pruned_of_all_edges_say_so()
    {
        var none = Circuit.Trace(Demo.Value, Prompts.Value, new() { Roots = [] });
        Assert.StartsWith("There are no roots", none.EmptyReason, StringComparison.Ordinal);
        Assert.Equal(none.EmptyReason, none.Prune(1).EmptyReason);
        var trace = Circuit.Trace(Demo.Value, Prompts.Value);
        Assert.Null(trace.Prune(double.NegativeInfinity).EmptyReason);
        var pruned = trace.Prune(0.5, 1000);
        Assert.Empty(pruned.Edges);
        Assert.Equal($"None of the {trace.Edges.Count} edges has a weight of 0.5 and a count of 1000 or more.", pruned.ToString());
    }

    [Fact]
    public void Unknown_roots_and_roles_are_refused()
    {
        Refused(Prompts.Value, "Root 99.0", new() { Roots = [new(99, 0)] });
        Refused(Prompts.Value, "Root 0.1", new() { Roots = [new(0, 1)] });
        Refused(Prompts.Value, "no role nobody", new() { RootSource = "nobody" });
        var unanswered = Prompts.Value with { Prompts = [.. Prompts.Value.Prompts.Select(p => p with { Answer = null })] };
        Refused(unanswered, "name the roots");
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    public void Settings_that_are_no_numbers_are_refused(double setting)
    {
        Refused(Prompts.Value, "pattern threshold is", new() { PatternThreshold = setting });
        Refused(Prompts.Value, "upstream share is", new() { UpstreamShare = setting });
        Assert.Throws<ArgumentException>(() => Signals.Find(Demo.Value, Prompts.Value, setting));
        CircuitEdge[] edges = [new("0.1", new(3, 1), SignalSide.Source, "IO", "end")];
        Assert.Throws<ArgumentException>(() => Intervention.Run(Demo.Value, Prompts.Value, edges, factor: setting));
        Assert.Throws<ArgumentException>(() => Intervention.Run(Demo.Value, Prompts.Value, edges, patternThreshold: setting));
    }

    [Fact]
    public void Missing_prompts_roles_and_another_model_are_refused()
    {
        Assert.Throws<ArgumentNullException>(() => new PromptSet("none", null!));
        Assert.Throws<ArgumentException>(() => new PromptSet("none", [null!]));
        Assert.Throws<ArgumentException>(() => new PromptSet("none", [new(null!, [])]));
        Assert.Throws<ArgumentException>(() => new PromptSet("none", [new([1], null!)]));
        Assert.Throws<ArgumentNullException>(() => Circuit.Trace(Demo.Value, Prompts.Value, new() { RootDestination = null! }));
        using var other = TinyModels.Load("rotary");
        Assert.Contains("directions", Assert.Throws<ArgumentException>(() => Signals.Find(Demo.Value, Prompts.Value).LowRank(other)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_trace_without_edges_is_an_answer_with_its_reason()
    {
        var trace = Circuit.Trace(Demo.Value, Prompts.Value, new() { PatternThreshold = 1.1 });
        Assert.Empty(trace.Edges);
        Assert.StartsWith("No root fires at end → IO", trace.EmptyReason, StringComparison.Ordinal);
        Assert.Equal(trace.EmptyReason, trace.ToString());
        Assert.Contains($"\"emptyReason\":\"{trace.EmptyReason}\"", trace.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_decimal_comma_changes_no_result()
    {
        var expected = Circuit.Trace(Demo.Value, Prompts.Value, new() { PatternThreshold = 1.1 }).ToJson();
        var before = CultureInfo.CurrentCulture;
        var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        comma.NumberFormat.NumberDecimalSeparator = ",";
        try
        {
            CultureInfo.CurrentCulture = comma;
            Assert.Equal(expected, Circuit.Trace(Demo.Value, Prompts.Value, new() { PatternThreshold = 1.1 }).ToJson());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private static void Refused(PromptSet prompts, string message, TraceOptions? options = null) => Assert.Contains(
        message, Assert.Throws<ArgumentException>(() => Circuit.Trace(Demo.Value, prompts, options)).Message, StringComparison.Ordinal);
}
