using HeadScope.Cli;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Tests;

public sealed class InterruptTests : IDisposable
{
    private readonly CSharpSession session = new(NotebookFigures.Extension);
    private readonly RecordedOutput output = new();

    public void Dispose() => session.Dispose();

    [Theory]
    [InlineData("while (true) { }")]
    [InlineData("while (true) Console.Write(\"\"); // comment")]
    [InlineData("do ; while (true);")]
    [InlineData("for (;;) if (DateTime.Now.Year > 1) Math.Abs(1); else Math.Abs(2);")]
    [InlineData("again: Math.Abs(1); goto again;")]
    [InlineData("while (true) { try { throw new InvalidOperationException(); } catch (Exception) { } }")]
    [InlineData("int F(int n) => n <= 1 ? 1 : F(n - 1) + F(n - 2);\nF(80)")]
    [InlineData("class Deep { public static long Of(int n) { return n <= 1 ? 1 : Of(n - 1) + Of(n - 2); } }\nDeep.Of(80)")]
    [InlineData("Parallel.For(0, int.MaxValue, i => { Thread.SpinWait(100); });")]
    [InlineData("Task.Run(() => { while (true) { } }).Wait();")]
    [InlineData("while (true) System.Text.Json.JsonSerializer.Serialize(new int[100]);")]
    [InlineData("Thread.Sleep(Timeout.Infinite);")]
    [InlineData("lock (new object()) { new ManualResetEventSlim().Wait(); }")]
    public async Task Code_that_looks_at_no_token_is_stopped_and_the_session_goes_on(string code)
    {
        await Run("var kept = 6;");
        using var interrupt = new CancellationTokenSource(300);
        var result = await session.RunAsync(code, output, progress: null, interrupt.Token);
        Assert.Equal("Interrupted", result.Error?.Name);
        Assert.Contains("was stopped", result.Error!.Message, StringComparison.Ordinal);
        Assert.Equal(42, (await Run("var product = 0; for (var i = 0; i < 7; i++) product += kept;\nproduct")).Value);
    }

    [Fact]
    public async Task Code_of_a_cell_that_listens_ends_as_it_likes()
    {
        using var interrupt = new CancellationTokenSource();
        var running = session.RunAsync(
            "Console.Write(\"begun\"); try { await Task.Delay(-1, cancellationToken); } catch (OperationCanceledException) { for (var i = 0; i < 3; i++) Console.Write(i); }\n5",
            output, progress: null, interrupt.Token);
        while (output.Text.Length == 0)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        await interrupt.CancelAsync();
        Assert.Equal(5, (await running).Value);
        Assert.Equal("begun012", output.Text);
    }

    [Fact]
    public async Task Tasks_of_other_cells_are_not_stopped()
    {
        await Run("var stop = false; var ticks = 0L; var ticking = Task.Run(() => { while (!Volatile.Read(ref stop)) { ticks++; Thread.Sleep(1); } return \"done\"; });");
        using var interrupt = new CancellationTokenSource(100);
        await session.RunAsync("while (true) { }", output, progress: null, interrupt.Token);
        Assert.Equal("done", (await Run("stop = true; await ticking")).Value);
    }

    [Theory]
    [InlineData("void Say() => Console.Write(1); Say(); 1")]
    [InlineData("async Task Later() => await Task.Yield(); await Later(); 1")]
    [InlineData("async Task<int> One() => await Task.FromResult(1); await One()")]
    [InlineData("int Fail() => throw new InvalidOperationException(); 1")]
    [InlineData("int[] numbers = [1]; ref int First() => ref numbers[0]; First()")]
    [InlineData("record Pair(int A) { public int Twice => 2 * A; public int Half { get => A / 2; init => A = 2 * value; } public static Pair operator +(Pair a, Pair b) => new(a.A + b.A); }\n(new Pair(1) + new Pair(0)).A")]
    [InlineData("System.Linq.Expressions.Expression<Func<int, int>> tree = x => x; tree.Compile()(1)")]
    [InlineData("IEnumerable<int> Count() { for (var i = 1; ; i++) yield return i; }\nCount().First()")]
    [InlineData("List<int> Empty() => []; Empty().Count + 1")]
    [InlineData("foreach (var (a, b) in new[] { (1, 2) }) if (a > b) continue; else break;\n1")]
    [InlineData("interface IShape { int Sides(); }\nabstract class Shape : IShape { public abstract int Sides(); }\nclass Line : Shape { public override int Sides() => 1; ~Line() { } }\nnew Line().Sides()")]
    public async Task The_inserted_checks_change_no_meaning(string code) => Assert.Equal(1, (await Run(code)).Value);

    [Fact]
    public async Task Errors_stand_where_they_are_in_the_cell()
    {
        var wrong = (await session.RunAsync("while (true) Nothing(1);", output)).Error!;
        Assert.Contains("(1,14)", wrong.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(wrong.Traceback, line => line.Contains("CellInterrupt", StringComparison.Ordinal));
        var thrown = (await session.RunAsync("int Fail()\n  => throw new Exception(\"no\");\n\nFail()", output)).Error!;
        Assert.Contains(thrown.Traceback, line => line.Contains("line 2", StringComparison.Ordinal));
        Assert.DoesNotContain(thrown.Traceback, line => line.Contains("CellInterrupt", StringComparison.Ordinal));
    }

    private async Task<CellResult> Run(string code)
    {
        var result = await session.RunAsync(code, output);
        Assert.True(result.Succeeded, result.Error is null ? "" : string.Join('\n', result.Error.Traceback));
        return result;
    }
}
