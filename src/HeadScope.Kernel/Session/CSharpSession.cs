using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.Scripting;
using Microsoft.CodeAnalysis.Scripting.Hosting;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// Runs the cells of a notebook one after another as C# scripts that see each other's variables, methods, types and usings.
/// </summary>
/// <remarks>
/// A cell that declares nothing leaves no trace in the chain of scripts, so that a session of any number of such cells stays as fast as
/// at its start; and a variable that a later cell declares anew lets go of its old value, unless a method or a lambda may still use it.
/// </remarks>
internal sealed class CSharpSession : IDisposable
{
    // An interrupt asks through the cancellation token first. Then the cell's loops and functions refuse to go on, and what waits is woken;
    // what does not end by that is left.
    private static readonly TimeSpan TimeToListen = TimeSpan.FromMilliseconds(350);
    private static readonly TimeSpan TimeToStop = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan TimeToWake = TimeSpan.FromMilliseconds(400);
    private const int StackBytes = 16 << 20;

    private readonly SemaphoreSlim turn = new(1, 1);
    private readonly InteractiveAssemblyLoader loader = new();
    private readonly CellSources sources = new();
    private readonly PackageReferences packages;
    private readonly ShadowedVariables shadowed = new();
    private readonly List<MetadataReference> newReferences = [];
    private readonly ScriptOptions options;
    private Script<object> last;
    private ScriptState<object>? state;
    private int cells;

    /// <summary>Starts a session with the namespaces of HeadScope and the usual ones of .NET imported.</summary>
    /// <param name="extensions">What the host adds: formatters, and the namespaces of what is shown.</param>
    public CSharpSession(params IReadOnlyList<SessionExtension> extensions)
    {
        ArgumentNullException.ThrowIfNull(extensions);
        ConsoleStreams.Install();
        StrayExceptions.Install();
        DisplayDefaults.Register();
        foreach (var extension in extensions)
        {
            extension.Register();
        }

        packages = new PackageReferences(loader);
        var first = SessionDefaults.Options(extensions);
        last = CSharpScript.Create<object>("", first, assemblyLoader: loader);

        // Later scripts inherit both; given again they would be kept again, and memory would grow with the square of the number of cells.
        options = first.WithImports().WithReferences(newReferences);
    }

    /// <summary>
    /// Begins to ready the compiler and libtorch on other threads, for a program that is about to make a session. Nothing has to wait for it.
    /// </summary>
    public static void Prepare()
    {
        CompilerStart.Begin();
        ThreadPool.UnsafeQueueUserWorkItem(_ => LibTorch.Prepare(), null);
    }

    /// <summary>
    /// Compiles and runs something small, so that the first real cell finds the compiler ready. Takes about a second; cells that come
    /// meanwhile wait for their turn.
    /// </summary>
    public async Task WarmUpAsync()
    {
        await turn.WaitAsync();
        try
        {
            await Task.Run(async () =>
            {
                var script = last.ContinueWith<object>(
                    "Enumerable.Range(0, 2).Select(i => $\"{i}\").ToList()", options.WithFilePath("start"));
                script.Compile();
                state ??= await last.RunAsync();
                await script.RunFromAsync(state, _ => true);
            });
        }
        finally
        {
            turn.Release();
        }
    }

    /// <summary>Runs one cell. Several calls at once run one after another.</summary>
    /// <param name="code">C#, with top-level await, <c>#r "nuget: Id, Version"</c>, <c>#i "nuget: source"</c>, <c>#r "file.dll"</c> and
    /// <c>#load "file.csx"</c>; and the commands <c>#!about</c>, <c>#!time</c>, <c>#!import</c>, <c>#!csharp</c>, <c>#!markdown</c>, <c>#!html</c>.</param>
    /// <param name="output">Where its output goes. The value of its last expression is not sent there but returned.</param>
    /// <param name="progress">Where its long calls report to that are given no progress of their own; null for nowhere.</param>
    /// <param name="interrupt">Interrupts the cell: within a second the call returns, whatever the cell is doing.</param>
    /// <returns>The value or the error; failures of the cell are returned, not thrown.</returns>
    public async Task<CellResult> RunAsync(
        string code, CellOutput output, IProgress<WorkProgress>? progress = null, CancellationToken interrupt = default)
    {
        ArgumentNullException.ThrowIfNull(code);
        ArgumentNullException.ThrowIfNull(output);
        await turn.WaitAsync(CancellationToken.None);
        try
        {
            var done = new TaskCompletionSource<CellResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            var left = new TaskCompletionSource<CellResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            var thread = new Thread(() => done.SetResult(RunHere(code, output, progress, interrupt)), StackBytes)
            {
                IsBackground = true,
                Name = "notebook cell",
            };
            thread.Start();
            using var asked = interrupt.Register(() => Background(() => Stop(thread, done.Task, left)));
            return await await Task.WhenAny(done.Task, left.Task);
        }
        finally
        {
            turn.Release();
        }
    }

    /// <summary>What may be typed at a place in a cell.</summary>
    /// <param name="code">The cell so far.</param>
    /// <param name="cursor">The place, counted in UTF-16 units.</param>
    /// <param name="cancellationToken">Stops the search.</param>
    /// <exception cref="NotSupportedException">The cell is nested too deeply.</exception>
    public Completions Complete(string code, int cursor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(code);
        return OnDeepStack(() => CompletionSearch.Find(Compile(code, out var tree), tree, Math.Clamp(cursor, 0, code.Length), cancellationToken));
    }

    /// <summary>What is known about the name at a place in a cell, or about the method whose arguments are being typed there.</summary>
    /// <param name="code">The cell so far.</param>
    /// <param name="cursor">The place, counted in UTF-16 units.</param>
    /// <param name="cancellationToken">Stops the search.</param>
    /// <exception cref="NotSupportedException">The cell is nested too deeply.</exception>
    /// <returns>Null when there is no name.</returns>
    public SymbolDescription? Inspect(string code, int cursor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(code);
        return OnDeepStack(() => SymbolDescription.Find(Compile(code, out var tree), tree, Math.Clamp(cursor, 0, code.Length), cancellationToken));
    }

    /// <summary>Whether a cell is whole, as a console asks before it runs what was typed.</summary>
    /// <param name="code">The cell so far.</param>
    /// <exception cref="NotSupportedException">The cell is nested too deeply.</exception>
    public static Completeness IsComplete(string code)
    {
        ArgumentNullException.ThrowIfNull(code);
        return OnDeepStack(() =>
        {
            var tree = CSharpSyntaxTree.ParseText(CellText.CSharpOf(code), SessionDefaults.Parsing);
            return !SyntaxFactory.IsCompleteSubmission(tree) ? Completeness.Incomplete
                : tree.GetDiagnostics().Any(d => d.Severity == DiagnosticSeverity.Error) ? Completeness.Invalid
                : Completeness.Complete;
        });
    }

    /// <summary>Ends the session. A cell that still runs is not stopped.</summary>
    public void Dispose()
    {
        loader.Dispose();
        turn.Dispose();
    }

    // The parser's depth must not depend on who asks.
    private static T OnDeepStack<T>(Func<T> ask)
    {
        var asked = new Task<T>(ask);
        new Thread(asked.RunSynchronously, StackBytes) { IsBackground = true, Name = "compiler" }.Start();
        return asked.GetAwaiter().GetResult();
    }

    private Compilation Compile(string code, out SyntaxTree tree)
    {
        var compilation = last.ContinueWith<object>(CellText.CSharpOf(code), options).GetCompilation();
        tree = compilation.SyntaxTrees.First();
        return compilation;
    }

    // On a thread of its own: a cell may keep all threads of the pool busy.
    private static void Background(Action action) => new Thread(() => action()) { IsBackground = true, Name = "interrupt of a cell" }.Start();

    private static void Stop(Thread thread, Task<CellResult> done, TaskCompletionSource<CellResult> left)
    {
        if (done.Wait(TimeToListen))
        {
            return;
        }

        CellInterrupt.Begin();
        if (!done.Wait(TimeToStop))
        {
            thread.Interrupt();
            if (!done.Wait(TimeToWake))
            {
                left.TrySetResult(CellResult.Failed(CellErrors.LeftRunning()));
                done.Wait();
            }
        }

        CellInterrupt.End();
    }

    private CellResult RunHere(string code, CellOutput output, IProgress<WorkProgress>? progress, CancellationToken interrupt)
    {
        new CellContext(output, sources, interrupt).Enter();
        using var surroundings = AmbientWork.Enter(progress, interrupt);
        var name = FormattableString.Invariant($"cell {++cells}");
        try
        {
            interrupt.ThrowIfCancellationRequested();
            return RunCell(code, name, output, interrupt);
        }
        catch (Exception exception) when (interrupt.IsCancellationRequested && exception is OperationCanceledException or ThreadInterruptedException)
        {
            return CellResult.Failed(CellErrors.Interrupted(null, sources));
        }
        catch (Exception exception)
        {
            return CellResult.Failed(CellErrors.OfException(exception, sources));
        }
    }

    // Also the cells of a file that is imported, and the extension of a package.
    private CellResult RunCell(string code, string name, CellOutput output, CancellationToken interrupt, int depth = 0)
    {
        var began = Stopwatch.GetTimestamp();
        var cell = CellText.Of(code);
        sources.Add(name, code);
        if (cell.Packages.Count + cell.Sources.Count > 0)
        {
            var (references, extensions) = packages.Add(cell.Packages, cell.Sources, output, interrupt);
            newReferences.AddRange(references);
            foreach (var (id, file) in extensions)
            {
                Extend(id, file, output, interrupt, depth);
            }
        }

        var result = InTurn(cell.Parts, output, part => part.Kind switch
        {
            CellPartKind.CSharp => RunCSharp(part.Text, name, interrupt),
            CellPartKind.Import => RunFile(part.Text, output, interrupt, depth),
            CellPartKind.Markdown => Showing("text/markdown", part.Text.Trim()),
            CellPartKind.Html => Showing("text/html", part.Text.Trim()),
            _ => Showing("text/plain", About()),
        });
        if (cell.IsTimed)
        {
            output.Write(OutputStream.Out, string.Create(CultureInfo.InvariantCulture, $"Wall time: {Stopwatch.GetElapsedTime(began).TotalMilliseconds:N1} ms\n"));
        }

        return result;
    }

    // A package whose extension fails is still a library.
    private void Extend(string id, string file, CellOutput output, CancellationToken interrupt, int depth)
    {
        string? fault;
        try
        {
            fault = RunFile(file, output, interrupt, depth).Error?.Message;
        }
        catch (Exception exception) when (exception is not (OperationCanceledException or ThreadInterruptedException))
        {
            fault = exception.Message;
        }

        if (fault is not null)
        {
            output.Write(OutputStream.Error, $"{id}: its extension for notebooks did not run: {fault}\n");
        }
    }

    private CellResult RunFile(string file, CellOutput output, CancellationToken interrupt, int depth)
    {
        const int Deepest = 16;
        if (depth == Deepest)
        {
            throw new NotSupportedException($"#!import {file}: files that import each other go deeper than {Deepest}; one of them imports itself.");
        }

        return InTurn(CellImport.Read(file), output, cell => RunCell(cell.Code, cell.Name, output, interrupt, depth + 1));
    }

    // Up to the first that fails. The value of the last is the result; those of others are shown.
    private static CellResult InTurn<T>(IEnumerable<T> pieces, CellOutput output, Func<T, CellResult> run)
    {
        var result = new CellResult(null, null, null);
        foreach (var piece in pieces)
        {
            if (result.Shown is { } shown)
            {
                output.Display(shown, null);
            }

            result = run(piece);
            if (!result.Succeeded)
            {
                break;
            }
        }

        return result;
    }

    private CellResult RunCSharp(string text, string name, CancellationToken interrupt)
    {
        var script = Script(InterruptPoints.Insert(text), name);
        var errors = Errors(script, interrupt);
        if (errors.Count > 0)
        {
            // Worded as the cell stands; and should only the inserted checks be wrong, it runs without them.
            script = Script(text, name);
            errors = Errors(script, interrupt);
        }

        return errors.Count > 0
            ? CellResult.Failed(CellErrors.OfCompilation(errors, sources))
            : Execute(script, interrupt);
    }

    private static CellResult Showing(string mimeType, string text)
    {
        var data = new Dictionary<string, string>(StringComparer.Ordinal) { [mimeType] = text, ["text/plain"] = text };
        return new CellResult(text, new MimeBundle(data), null);
    }

    private static string About() => string.Join(
        Environment.NewLine,
        $"HeadScope {typeof(CSharpSession).Assembly.GetName().Version!.ToString(3)}, kernel \"C# (HeadScope)\"",
        $"C# {LanguageVersion.Latest.MapSpecifiedToEffectiveVersion().ToDisplayString()} on {RuntimeInformation.FrameworkDescription}",
        $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}, {Parallelism.Threads} threads");

    private Script<object> Script(string text, string name) =>
        last.ContinueWith<object>(text, options.WithFilePath(name).WithReferences(newReferences));

    private static List<Diagnostic> Errors(Script<object> script, CancellationToken cancellationToken) =>
        [.. script.Compile(cancellationToken).Where(d => d.Severity == DiagnosticSeverity.Error)];

    private CellResult Execute(Script<object> script, CancellationToken interrupt)
    {
        state ??= last.RunAsync().GetAwaiter().GetResult();
        ScriptState<object> ended;
        try
        {
            ended = script.RunFromAsync(state, _ => true, CancellationToken.None).GetAwaiter().GetResult();
        }
        catch (ThreadInterruptedException)
        {
            return CellResult.Failed(CellErrors.LeftRunning());
        }

        Keep(script, ended);
        return ended.Exception switch
        {
            null when CellContext.Required.WasStopped => CellResult.Failed(CellErrors.Interrupted(null, sources)),
            null => new CellResult(ended.ReturnValue, ended.ReturnValue is { } value ? MimeBundle.Of(value) : null, null),
            { } exception when interrupt.IsCancellationRequested && IsCancellation(exception) =>
                CellResult.Failed(CellErrors.Interrupted(exception, sources)),
            { } exception => CellResult.Failed(CellErrors.OfException(exception, sources)),
        };
    }

    private void Keep(Script<object> script, ScriptState<object> ended)
    {
        var compilation = script.GetCompilation();
        if (Declares(compilation) || newReferences.Count > 0)
        {
            shadowed.Release(compilation, state!, ended);
            newReferences.Clear();
            last = script;
            state = ended;
        }
    }

    private static bool Declares(Compilation compilation) =>
        compilation.ScriptClass!.GetMembers().Any(member => !member.IsImplicitlyDeclared)
        || compilation.SyntaxTrees.Any(tree =>
        {
            var root = (Microsoft.CodeAnalysis.CSharp.Syntax.CompilationUnitSyntax)tree.GetRoot();
            return root.ContainsDirectives || root.Usings.Count > 0 || root.Externs.Count > 0;
        });

    private static bool IsCancellation(Exception exception) => exception switch
    {
        OperationCanceledException or ThreadInterruptedException => true,
        AggregateException aggregate => aggregate.InnerExceptions.All(IsCancellation),
        _ => false,
    };
}
