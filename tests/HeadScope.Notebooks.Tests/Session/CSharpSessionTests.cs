using HeadScope.Cli;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Tests;

public sealed class CSharpSessionTests : IDisposable
{
    private readonly CSharpSession session = new(NotebookFigures.Extension);
    private readonly RecordedOutput output = new();

    public void Dispose() => session.Dispose();

    [Fact]
    public async Task Cells_see_variables_methods_types_and_usings_of_earlier_cells()
    {
        await Run("using System.Numerics;\nvar x = 20; int Twice(int n) => 2 * n; record Point(int X);");
        Assert.Equal(41, await Value("Twice(x) + new Point(1).X"));
        Assert.Equal(new System.Numerics.Complex(0, 1), await Value("Complex.ImaginaryOne"));
    }

    [Fact]
    public async Task The_last_expression_is_the_value_unless_a_semicolon_follows()
    {
        Assert.Equal(2, await Value("1 + 1"));
        Assert.Null(await Value("int y = 3;"));
        Assert.Equal("a", await Value("// comment\nvar s = \"a\";\ns"));
        Assert.Equal("3", (await Run("y")).Shown!.Data["text/plain"]);
    }

    [Fact]
    public async Task Await_stands_at_the_top_level() =>
        Assert.Equal(5, await Value("await Task.Yield(); var n = await Task.FromResult(5); n"));

    [Fact]
    public async Task A_variable_keeps_the_value_it_had_when_its_cell_failed()
    {
        var failed = await session.RunAsync("var kept = 7; throw new InvalidOperationException(\"no\");", output);
        Assert.Equal("System.InvalidOperationException", failed.Error!.Name);
        Assert.Equal(7, await Value("kept"));
    }

    [Fact]
    public async Task Compiler_errors_show_the_line_with_a_squiggle()
    {
        var error = (await session.RunAsync("var a = 1;\nvar b = a + nothing;", output)).Error!;
        Assert.Equal("CompilationError", error.Name);
        Assert.Contains("(2,13): error CS0103", error.Message, StringComparison.Ordinal);
        var lines = error.Traceback.Select(WithoutColours).ToList();
        var line = lines.IndexOf("  var b = a + nothing;");
        Assert.True(line > 0);
        Assert.Equal("              ~~~~~~~", lines[line + 1]);
        Assert.Contains("line 2", lines[line - 1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stacks_hold_only_frames_of_cells_with_their_lines()
    {
        await Run("int Half(int n)\n{\n    return 10 / n;\n}");
        var error = (await session.RunAsync("var list = new[] { 1, 0 };\nlist.Select(Half).ToList()", output)).Error!;
        Assert.Equal("System.DivideByZeroException", error.Name);
        var lines = error.Traceback.Select(WithoutColours).Skip(1).ToList();
        Assert.Equal(["  at Half in cell 1, line 3: return 10 / n;", "  at cell 2, line 2: list.Select(Half).ToList()"], lines);
    }

    [Fact]
    public async Task Console_reaches_the_output_of_the_cell_also_from_its_threads()
    {
        await Run("Console.Write(\"a\"); Console.Error.WriteLine(\"e\");");
        await Run("var thread = new Thread(() => Console.WriteLine(\"b\")); thread.Start(); thread.Join(); await Task.Run(() => Console.WriteLine(\"c\"));");
        Assert.Equal("ab\nc\n", output.Text);
        Assert.Equal("e\n", output.Errors);
    }

    [Fact]
    public async Task What_a_task_writes_later_belongs_to_the_cell_that_started_it()
    {
        await Run("var go = new TaskCompletionSource(); var late = Task.Run(async () => { await go.Task; Console.Write(\"late\"); });");
        var second = new RecordedOutput();
        var result = await session.RunAsync("go.SetResult(); await late; Console.Write(\"second\");", second);
        Assert.Null(result.Error);
        Assert.Equal("second", second.Text);
        Assert.Equal("late", output.Text);
    }

    [Fact]
    public async Task Input_is_asked_for()
    {
        output.Answers.Enqueue("Ada");
        output.Answers.Enqueue("36");
        Assert.Equal("Ada 36", await Value("var name = GetInput(\"Name? \"); name + \" \" + Console.ReadLine()"));
        Assert.Equal("Name? ", output.Text);
    }

    [Fact]
    public async Task Display_shows_updates_and_chooses_forms()
    {
        await Run("var shown = display(HTML(\"<b>1</b>\")); shown.Update(2); \"x\".Display();");
        Assert.Equal("<b>1</b>", output.Displays[0].Data.Data["text/html"]);
        Assert.Equal(output.Displays[0].Id, Assert.Single(output.Updates).Id);
        Assert.Equal("2", output.Updates[0].Data.Data["text/plain"]);
        Assert.Equal(["text/plain"], output.Displays[1].Data.Data.Keys);
        await Run("Charts.Bars([(\"a\", 1, 0)], \"title\", \"value\").Display();");
        Assert.Contains(ChartOutput.MimeType, output.Displays[2].Data.Data.Keys);
    }

    [Fact]
    public async Task A_registered_formatter_is_used()
    {
        await Run("record Stone(int Grams); Formatter.Register<Stone>(s => $\"<i>{s.Grams} g</i>\", \"text/html\");");
        Assert.Equal("<i>5 g</i>", (await Run("new Stone(5)")).Shown!.Data["text/html"]);
    }

    [Theory]
    [InlineData("new Thread(() => throw new InvalidOperationException(\"stray\")).Start();")]
    [InlineData("async void Stray() { await Task.Yield(); throw new InvalidOperationException(\"stray\"); }\nStray();")]
    [InlineData("ThreadPool.QueueUserWorkItem(_ => throw new InvalidOperationException(\"stray\"));")]
    public async Task An_exception_that_nobody_can_catch_is_told_and_the_session_goes_on(string code)
    {
        await Run("var before = 1;\n" + code);
        for (var i = 0; i < 500 && !output.Errors.EndsWith('\n'); i++)
        {
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        Assert.StartsWith("On a thread that the cell started:", output.Errors, StringComparison.Ordinal);
        Assert.Contains("stray", output.Errors, StringComparison.Ordinal);
        Assert.Contains("cell 1, line 2", output.Errors, StringComparison.Ordinal);
        Assert.Equal(1, await Value("before"));
    }

    [Theory]
    [InlineData("(", ")")]
    [InlineData("[", "]")]
    [InlineData("{", "}")]
    [InlineData("List<", ">")]
    [InlineData("$\"{", "}\"")]
    public async Task Brackets_nested_deeper_than_the_compiler_can_go_are_refused(string open, string close)
    {
        var deep = string.Concat(Enumerable.Repeat(open, 100_000));
        foreach (var code in new[] { deep, $"1;\nvar x = {deep}1{string.Concat(Enumerable.Repeat(close, 100_000))};" })
        {
            Assert.Contains("more than 500 brackets", (await session.RunAsync(code, output)).Error!.Message, StringComparison.Ordinal);
            Assert.Throws<NotSupportedException>(() => session.Complete(code, code.Length));
            Assert.Throws<NotSupportedException>(() => session.Inspect(code, code.Length));
            Assert.Throws<NotSupportedException>(() => CSharpSession.IsComplete(code));
        }

        // As deep as is allowed, the parser lives whatever it says.
        var most = string.Concat(Enumerable.Repeat(open, 500));
        CSharpSession.IsComplete(most);
        CSharpSession.IsComplete($"var x = {most}1{string.Concat(Enumerable.Repeat(close, 500))};");
        Assert.Equal(2, await Value("1 + 1"));
    }

    [Theory]
    [InlineData("while (true) { }")]
    [InlineData("try { while (true) { } } catch (Exception) { }")]
    [InlineData("Thread.Sleep(Timeout.Infinite);")]
    [InlineData("await Task.Delay(Timeout.Infinite, cancellationToken);")]
    [InlineData("await Task.Delay(Timeout.Infinite);")]
    public async Task An_interrupt_ends_the_cell_and_the_session_goes_on(string code)
    {
        await Run("var before = 1;");
        using var interrupt = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
        var result = await session.RunAsync(code, output, progress: null, interrupt.Token);
        Assert.Equal("Interrupted", result.Error?.Name);
        Assert.Equal(1, await Value("before"));
    }

    [Fact]
    public async Task Long_calls_see_the_cells_token_and_progress()
    {
        const string Cell = "var map = HeadMap.Score(Model.Load(\"demo\"), Relations.All); map.Relations.Count";
        var reports = new List<WorkProgress>();
        Assert.IsType<int>((await session.RunAsync(Cell, output, new Immediate(reports.Add), CancellationToken.None)).Value);
        Assert.NotEmpty(reports);

        // The first report comes from within the call, which takes the token from the cell too.
        using var interrupt = new CancellationTokenSource();
        var result = await session.RunAsync(Cell, output, new Immediate(_ => interrupt.Cancel()), interrupt.Token);
        Assert.Equal("Interrupted", result.Error?.Name);
    }

    [Fact]
    public async Task Cells_that_declare_nothing_leave_nothing_and_a_new_variable_frees_the_old_one()
    {
        await Run("var weak = new System.WeakReference(null);");
        await Run("var big = new byte[1000]; weak.Target = big; 0");
        await Run("var big = new byte[2000];");
        Assert.Equal(false, await Value("GC.Collect(); GC.WaitForPendingFinalizers(); GC.Collect(); weak.IsAlive"));
        Assert.Equal(2000, await Value("big.Length"));
    }

    [Fact]
    public async Task A_shadowed_variable_that_a_method_uses_keeps_its_value()
    {
        await Run("var text = \"old\"; string Read() => text;");
        await Run("var text = \"new\";");
        Assert.Equal("old new", await Value("Read() + \" \" + text"));
    }

    [Fact]
    public async Task A_file_and_an_assembly_can_be_loaded()
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            var script = Path.Combine(folder, "more.csx");
            await File.WriteAllTextAsync(script, "int Answer() => 42;", TestContext.Current.CancellationToken);
            await Run($"#load \"{script}\"");
            Assert.Equal(42, await Value("Answer()"));
            var relative = Path.GetRelativePath(Environment.CurrentDirectory, script).Replace('\\', '/');
            await File.WriteAllTextAsync(script, "int Other() => 43;", TestContext.Current.CancellationToken);
            await Run($"#load \"{relative}\"");
            Assert.Equal(43, await Value("Other()"));
            await Run($"#r \"{typeof(FsCheck.Fluent.Prop).Assembly.Location}\"");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task HeadScopes_own_packages_are_the_running_ones()
    {
        Assert.Equal("3.5", (await Run("#r \"nuget: HeadScope, 0.1.0\"\nnew Head(3, 5)")).Shown!.Data["text/plain"]);
        Assert.Contains("running version", output.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_variable_that_a_cell_only_uses_stays_for_later_cells()
    {
        Assert.Equal(3L, await Value("// first\nusing var stream = new MemoryStream([1, 2, 3]);\nstream.Length"));
        await Run("using MemoryStream other = new([1]), more = new([1, 2]); void Read() { using var inner = new MemoryStream(); inner.WriteByte(1); }");
        await Run("var before = 1;\nusing var late = new MemoryStream([1]);\nusing List<int>.Enumerator each = new List<int>().GetEnumerator();\nawait using var later = new MemoryStream();");
        Assert.Equal(1L, await Value("before + late.Length + later.Length - 1"));
        Assert.Equal(6L, await Value("Read(); stream.Length + other.Length + more.Length"));
        await Run("using System.Numerics; using static System.Math; using Number = System.Int32;");
        Assert.Equal(2, await Value("Number n = Max(1, 2); n"));
        Assert.Contains("CS", (await session.RunAsync("using System.Numerics\nvar x = 1;", output)).Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Commands_of_notebooks_do_what_they_say()
    {
        Assert.Equal(2, await Value("#!csharp\nvar a = 1;\n#!time\na + 1"));
        Assert.Matches("^Wall time: [0-9,]+\\.[0-9] ms\n$", output.Text);
        Assert.Contains(".NET 10", (await Run("#!about")).Shown!.Data["text/plain"], StringComparison.Ordinal);
        var shown = (await Run("var b = 2;\nb * 2\n#!markdown\n# It's a title\n#!csharp\nb * 3\n#!html\n<b>bold</b>")).Shown!;
        Assert.Equal("<b>bold</b>", shown.Data["text/html"]);
        Assert.Equal(["4", "# It's a title", "6"], output.Displays.Select(d => d.Data.Data["text/plain"]));
        Assert.Equal("# It's a title", output.Displays[1].Data.Data["text/markdown"]);
        Assert.Equal("#!fsharp", await Value("@\"\n#!fsharp\".Trim()"));
        var error = (await session.RunAsync("#!time\n#!csharp\n\nnothing", output)).Error!;
        Assert.Contains("(4,1): error CS0103", error.Message, StringComparison.Ordinal);
        Assert.Contains("WriteLine", Names("#!time\nConsole.WriteL|"));
        Assert.Equal(Completeness.Complete, CSharpSession.IsComplete("#!time\n1 + 1"));
    }

    [Theory]
    [InlineData("#!fsharp\n1+1", "#!fsharp")]
    [InlineData("1 + 1\n#!share --from javascript x", "#!share")]
    [InlineData("#!nosuch", "#!nosuch")]
    [InlineData("#!markdown\ntext\n#!pwsh\nls", "#!pwsh")]
    [InlineData("#!/usr/bin/env dotnet\n1", "#!/usr/bin/env")]
    public async Task A_command_that_is_not_known_is_refused(string code, string command)
    {
        var error = (await session.RunAsync("Console.Write(1);\n" + code, output)).Error!;
        Assert.StartsWith(command + ": of .NET Interactive's commands this kernel knows #!about, ", error.Message, StringComparison.Ordinal);
        Assert.Equal("", output.Text);
    }

    [Fact]
    public async Task Files_are_imported_as_cells()
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string File(string name, string text)
            {
                System.IO.File.WriteAllText(Path.Combine(folder, name), text);
                return Path.Combine(folder, name);
            }

            var notebook = File("a.ipynb", """
                {"nbformat": 4, "cells": [
                  {"cell_type": "markdown", "source": "nothing"},
                  {"cell_type": "code", "source": ["var one = 1;\n", "one"]},
                  {"cell_type": "code", "source": "int Two() => one + 1; Two()"}]}
                """);
            Assert.Equal(2, await Value($"#!import {notebook}"));
            Assert.Equal("1", Assert.Single(output.Displays).Data.Data["text/plain"]);
            Assert.Equal(5, await Value($"#!import \"{File("b.csx", "var three = Two() + one;")}\"\nthree + 2"));
            Assert.Equal(4, await Value($"#!import {File("c.cs", "public static class Four { public static int Value => 4; }")}\nFour.Value"));
            Assert.Equal(6, await Value($"#!import {File("d.dib", "#!meta\n\n{\"kernelInfo\":{}}\n\n#!csharp\n\nvar x = 5;\n\n#!csharp\n\nvar six = x + 1;\n")}\nsix"));
            var error = (await session.RunAsync($"#!import {File("e.ipynb", """{"nbformat": 4, "cells": [{"cell_type": "code", "source": "var y = 1;"}, {"cell_type": "code", "source": "\nnothing"}]}""")}", output)).Error!;
            Assert.Contains("e.ipynb, cell 2, line 2", string.Join('\n', error.Traceback), StringComparison.Ordinal);
            Assert.Equal(1, await Value("y"));
            Assert.Contains("imports itself", (await session.RunAsync($"#!import {File("f.csx", $"#!import {Path.Combine(folder, "f.csx")}")}", output)).Error!.Message, StringComparison.Ordinal);
            Assert.Contains("is not there", (await session.RunAsync("#!import nowhere.csx", output)).Error!.Message, StringComparison.Ordinal);
            Assert.Contains(".ipynb, .cs, .csx or .dib", (await session.RunAsync("#!import data.json", output)).Error!.Message, StringComparison.Ordinal);
            Assert.Contains("expected #!import FILE", (await session.RunAsync("#!import", output)).Error!.Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("int Down(int n) => Down(n + 1) + 1; Down(0)")]
    [InlineData("int Down(int n) { return Down(n + 1) + 1; } Down(0)")]
    [InlineData("class Deep { public int Value => Value + 1; } new Deep().Value")]
    [InlineData("class Deep { public int Value { get => Value + 1; } } new Deep().Value")]
    [InlineData("class Deep { public int this[int i] => this[i + 1] + 1; } new Deep()[0]")]
    [InlineData("class Deep { public static implicit operator int(Deep deep) => (int)deep + 1; } (int)new Deep()")]
    [InlineData("Func<int, int> down = null; down = n => { return down(n + 1) + 1; }; down(0)")]
    public async Task A_function_that_calls_itself_without_end_fails_and_the_session_goes_on(string code)
    {
        Assert.Equal("System.InsufficientExecutionStackException", (await session.RunAsync(code, output)).Error!.Name);
        Assert.Equal(2, await Value("1 + 1"));
    }

    [Fact]
    public async Task Charts_tables_and_tensors_of_others_show_themselves()
    {
        var chart = (await Run("Plotly.NET.CSharp.Chart.Line<int, int, string>([1, 2], [3, 4])")).Shown!.Data;
        Assert.Contains(ChartOutput.MimeType, chart.Keys);
        var table = (await Run("new Microsoft.Data.Analysis.DataFrame(new Microsoft.Data.Analysis.Int32DataFrameColumn(\"n\", [1, 2]))")).Shown!.Data;
        Assert.Contains("<table", table["text/html"], StringComparison.Ordinal);
        var tensor = (await Run("torch.zeros(1000, 1000)")).Shown!.Data;
        Assert.StartsWith("Float32 [1000, 1000]", tensor["text/plain"], StringComparison.Ordinal);
        Assert.All(tensor.Values, text => Assert.InRange(text.Length, 1, 2000));
    }

    [Theory]
    [InlineData("#i \"somewhere\"")]
    [InlineData("#i \"nuget:\"")]
    [InlineData("#i nuget:x")]
    public async Task A_source_of_packages_that_is_none_is_said_to_be_one(string code) =>
        Assert.Contains("expected #i \"nuget:", (await session.RunAsync(code, output)).Error!.Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("#r \"nuget: \"")]
    [InlineData("#r \"nuget: A, 1, 2\"")]
    [InlineData("#r \"nuget: A\\\" Version, 1\"")]
    [InlineData("#r \"nuget: ../x, 1\"")]
    public async Task A_malformed_package_line_is_said_to_be_one(string code)
    {
        var error = (await session.RunAsync(code, output)).Error;
        Assert.NotNull(error);
        Assert.DoesNotContain("NullReference", error.Name, StringComparison.Ordinal);

        // While it is being typed it is no reason to know nothing of the rest.
        Assert.Contains("WriteLine", Names(code + "\nConsole.WriteL|"));
        Assert.Equal(Completeness.Complete, CSharpSession.IsComplete(code + "\n1"));
    }

    [Fact]
    public async Task Completion_knows_members_variables_arguments_and_initializers()
    {
        await Run("var tokens = new List<int> { 1 }; class Options { public int Heads { get; set; } }");
        Assert.Contains("Where", Names("tokens.Wh|"));
        Assert.Contains("Count", Names("tokens.|"));
        Assert.DoesNotContain("IsNullOrEmpty", Names("\"a\".|"));
        Assert.Contains("IsNullOrEmpty", Names("string.Is|"));
        Assert.Equal("tokens", Names("var n = tok|").First());
        Assert.Contains("Generic", Names("using System.Collections.|"));
        Assert.Contains("Heads", Names("new Options { He|"));
        Assert.Contains("comparer:", Names("tokens.OrderBy(x => x, com|"));
        Assert.Contains("foreach", Names("fore|"));
        Assert.Empty(Names("\"in a string tok|"));
        Assert.Empty(Names("// in a comment tok|"));
        var replaced = session.Complete("tokens.Whe + 1", 9);
        Assert.Equal((7, 10), (replaced.Start, replaced.End));
    }

    [Fact]
    public async Task Inspection_shows_signatures_and_documentation()
    {
        await Run("var head = new Head(1, 2);");
        Assert.Contains("Head head", session.Inspect("head", 2)!.Signatures[0], StringComparison.Ordinal);
        var call = session.Inspect("Head.Parse(", 11)!;
        Assert.Contains("string text", call.Signatures[0], StringComparison.Ordinal);
        Assert.Contains("Reads a head written as", call.Documentation, StringComparison.Ordinal);
        Assert.True(session.Inspect("Math.Max(", 9)!.Signatures.Count > 5);
        Assert.Null(session.Inspect("   ", 1));
    }

    [Theory]
    [InlineData("1 + 1", "Complete")]
    [InlineData("var x = 1;", "Complete")]
    [InlineData("if (true) {", "Incomplete")]
    [InlineData("Math.Max(1,", "Incomplete")]
    [InlineData("int x = ;", "Invalid")]
    [InlineData("", "Complete")]
    public void Whether_a_cell_is_whole(string code, string expected) => Assert.Equal(expected, CSharpSession.IsComplete(code).ToString());

    private IReadOnlyList<string> Names(string marked)
    {
        var cursor = marked.IndexOf('|', StringComparison.Ordinal);
        return [.. session.Complete(marked.Remove(cursor, 1), cursor).Items.Select(c => c.Text)];
    }

    private async Task<CellResult> Run(string code)
    {
        var result = await session.RunAsync(code, output);
        Assert.True(result.Succeeded, result.Error is null ? "" : string.Join('\n', result.Error.Traceback));
        return result;
    }

    private async Task<object?> Value(string code) => (await Run(code)).Value;

    private static string WithoutColours(string line) => System.Text.RegularExpressions.Regex.Replace(line, "\e\\[[0-9;]*m", "");

    private sealed class Immediate(Action<WorkProgress> report) : IProgress<WorkProgress>
    {
        public void Report(WorkProgress value) => report(value);
    }
}
