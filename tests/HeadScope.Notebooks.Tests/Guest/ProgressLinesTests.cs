namespace HeadScope.Notebooks.Tests;

/// <summary>Progress where nothing can be drawn over.</summary>
public sealed class ProgressLinesTests
{
    private readonly List<string> lines = [];
    private readonly Clock clock = new();
    private readonly ProgressLines progress;

    public ProgressLinesTests() => progress = new(lines.Add, clock);

    [Fact]
    public void A_long_call_says_a_line_every_thirty_seconds()
    {
        for (var done = 0; done <= 70; done++, clock.Seconds++)
        {
            progress.Report(new("scoring", done, 70, "heads", done == 60 ? "0.5" : null));
        }

        Assert.Equal(["scoring: 30 of 70 heads, 30.0 s, 1/s, 40.0 s left", "scoring: 60 of 70 heads, 1 min 0 s, 1/s, 10.0 s left, 0.5"], lines);
    }

    [Fact]
    public void Calls_that_follow_each_other_count_their_own_time()
    {
        for (var call = 0; call < 5; call++)
        {
            // The third is broken off in the middle.
            for (var done = 0; done <= (call == 2 ? 10 : 20); done++, clock.Seconds++)
            {
                progress.Report(new("scoring", done, 20, "heads"));
            }
        }

        Assert.Empty(lines);
    }

    [Fact]
    public void Work_of_unknown_length_says_how_much_is_done()
    {
        progress.Report(new("reading", 0, 0, "tokens"));
        clock.Seconds = 3700;
        progress.Report(new("reading", 7400, 0, "tokens"));
        Assert.Equal(["reading: 7,400 tokens, 61 min 40 s, 2/s"], lines);
    }

    private sealed class Clock : TimeProvider
    {
        public long Seconds { get; set; }

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Seconds;
    }
}
