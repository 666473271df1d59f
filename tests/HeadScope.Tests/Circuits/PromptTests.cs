namespace HeadScope.Tests;

public class PromptTests
{
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static Tokenizer Tokenizer => Demo.Value.Tokenizer;

    [Fact]
    public void Ioi_prompts_mark_their_roles()
    {
        var set = Ioi.Prompts(48, seed: 3).For(Tokenizer);
        Assert.Equal((48, "IO"), (set.Count, set.RootSource));
        for (var p = 0; p < set.Count; p++)
        {
            var prompt = set.Prompts[p];
            string At(string role) => Tokenizer.TokenText(prompt.Tokens[prompt.PositionOf(role)!.Value]);
            Assert.Equal(Tokenizer.TokenText(prompt.Answer!.Value), At("IO"));
            Assert.Equal(Tokenizer.TokenText(prompt.Distractor!.Value), At("S1"));
            Assert.Equal(At("S1"), At("S2"));
            Assert.NotEqual(At("IO"), At("S1"));
            Assert.True(prompt.PositionOf("S1") < prompt.PositionOf("S2"));
            Assert.Equal(p % 2 == 0, prompt.PositionOf("IO") < prompt.PositionOf("S1"));
            Assert.Equal(" to", At("end"));
            Assert.Equal(prompt.Tokens.Count - 1, prompt.PositionOf("end"));
            Assert.Equal(0, prompt.PositionOf("starts"));
            Assert.Contains(At("punct"), new[] { ".", "," });
            Assert.Equal(prompt.Text!.Contains('.', StringComparison.Ordinal), At("punct") == ".");
            Assert.Contains($"{At("verb")} ", prompt.Text, StringComparison.Ordinal);
            Assert.True(prompt.PositionOf("verb") > prompt.PositionOf("S2"));
            Assert.Equal(prompt.Text, Tokenizer.Decode([.. prompt.Tokens]));
        }
    }

    [Fact]
    public void The_demo_model_finds_the_indirect_object()
    {
        var set = Ioi.Prompts(64, seed: 1).For(Demo.Value);
        var right = set.Prompts.Count(prompt =>
        {
            var logits = ModelUnderTest.LastLogits(Demo.Value, [.. prompt.Tokens]);
            return logits[prompt.Answer!.Value] > logits[prompt.Distractor!.Value];
        });
        Assert.True(right > 55, $"{right} of 64");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void One_order_alone_can_be_asked_for(bool indirectFirst) =>
        Assert.All(
            Ioi.Prompts(10, indirectFirst: indirectFirst).For(Tokenizer).Prompts,
            p => Assert.Equal(indirectFirst, p.PositionOf("IO") < p.PositionOf("S1")));

    [Theory]
    [InlineData("ioi:9")]
    [InlineData("greater-than:9")]
    [InlineData("induction:9")]
    public void The_seed_decides_the_prompts(string task)
    {
        static IEnumerable<string> Texts(PromptSet set) => set.Prompts.Select(p => p.Text!);
        var first = PromptSet.Parse(task, 5).For(Tokenizer);
        Assert.Equal(Texts(first), Texts(PromptSet.Parse(task, 5).For(Tokenizer)));
        Assert.NotEqual(Texts(first), Texts(PromptSet.Parse(task, 6).For(Tokenizer)));
        Assert.Equal((9, task.Split(':')[0]), (first.Count, first.Name));
        Assert.Same(first, first.For(Demo.Value));
        Assert.NotEmpty(Signals.Find(Demo.Value, first).Firings);
    }

    [Fact]
    public void Greater_than_prompts_end_in_a_century_that_a_later_year_completes()
    {
        foreach (var prompt in GreaterThan.Prompts(20).For(Tokenizer).Prompts)
        {
            string At(int position) => Tokenizer.TokenText(prompt.Tokens[position]);
            var (xx, end) = (prompt.PositionOf("XX1")!.Value, prompt.PositionOf("end")!.Value);
            Assert.Equal(At(xx), At(end));
            var tens = int.Parse(At(xx + 1), System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal($"{tens + 1}", Tokenizer.TokenText(prompt.Answer!.Value));
            Assert.Equal($"{tens - 1}", Tokenizer.TokenText(prompt.Distractor!.Value));
        }
    }

    [Fact]
    public void Induction_prompts_repeat_their_row()
    {
        foreach (var prompt in Induction.Prompts(20, period: 8).For(Tokenizer).Prompts)
        {
            int At(string role) => prompt.Tokens[prompt.PositionOf(role)!.Value];
            Assert.Equal(At("A1"), At("end"));
            Assert.Equal(At("A1-1"), At("end-1"));
            Assert.Equal(prompt.Answer, At("B1"));
            Assert.NotEqual(prompt.Answer, prompt.Distractor);
            Assert.Equal(8, prompt.Tokens.Distinct().Count());
            Assert.Contains(prompt.Distractor!.Value, prompt.Tokens);
        }
    }

    [Fact]
    public void A_name_that_splits_is_named()
    {
        var error = Assert.Throws<ArgumentException>(() => Ioi.Prompts(2, names: ["Mary", "Nebuchadnezzar"]).For(Tokenizer));
        Assert.Contains("'Nebuchadnezzar' is not a single token", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Ioi.Prompts(2, names: ["Mary", "Mary"]).For(Tokenizer));
    }

    [Theory]
    [InlineData("ioi:0")]
    [InlineData("ioi:x")]
    [InlineData("ioi:1:2")]
    [InlineData("iou:4")]
    public void Tasks_that_are_none_are_refused(string text) => Assert.Throws<FormatException>(() => PromptSet.Parse(text));

    [Fact]
    public void Prompts_that_are_still_to_be_drawn_say_so()
    {
        var set = Ioi.Prompts(5);
        Assert.Equal((5, "ioi", "IO"), (set.Count, set.Name, set.RootSource));
        Assert.Contains("For(model)", Assert.Throws<InvalidOperationException>(() => set.Prompts).Message, StringComparison.Ordinal);
        Assert.Null((set with { RootSource = null }).For(Tokenizer).RootSource);
    }
}
