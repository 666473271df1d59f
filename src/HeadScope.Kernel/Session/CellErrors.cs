using System.Diagnostics;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;

namespace HeadScope.Notebooks.Session;

/// <summary>Words failures of cells: the line of the cell with a squiggle under it, and of a stack only the cells' own frames.</summary>
internal static partial class CellErrors
{
    private const int LongestTrace = 20;
    private const string Red = "\e[31m";
    private const string Bold = "\e[1m";
    private const string Dim = "\e[2m";
    private const string Plain = "\e[0m";

    public static CellError OfCompilation(IReadOnlyList<Diagnostic> errors, CellSources sources)
    {
        var lines = new List<string>();
        foreach (var error in errors)
        {
            var span = error.Location.GetMappedLineSpan();
            lines.Add(FormattableString.Invariant($"{Red}{Bold}error {error.Id}{Plain}{Red}: {error.GetMessage()}{Plain}"));
            if (!error.Location.IsInSource)
            {
                continue;
            }

            var start = span.StartLinePosition;
            var text = sources.Line(span.Path, start.Line + 1) ?? LineOf(error.Location);
            var end = span.EndLinePosition.Line == start.Line ? span.EndLinePosition.Character : text.Length;
            var before = text[..Math.Min(start.Character, text.Length)];
            var blank = string.Concat(before.Select(c => c == '\t' ? '\t' : ' '));
            lines.Add(FormattableString.Invariant($"{Dim}{span.Path}, line {start.Line + 1}:{Plain}"));
            lines.Add($"  {text}");
            lines.Add($"  {blank}{Red}{new string('~', Math.Max(1, end - start.Character))}{Plain}");
        }

        return new CellError("CompilationError", string.Join('\n', errors.Select(Short)), lines);
    }

    public static CellError OfException(Exception exception, CellSources sources)
    {
        // A single failure of a parallel or waited-for task is the failure itself.
        while (exception is AggregateException { InnerExceptions.Count: 1 } or System.Reflection.TargetInvocationException { InnerException: not null })
        {
            exception = exception.InnerException!;
        }

        var lines = new List<string>();
        if (IsOfLibtorch(exception) && LibTorch.Fault is { } fault)
        {
            // TorchSharp itself says a page that ends with what it guesses.
            lines.Add($"{Red}{Bold}{typeof(DllNotFoundException).FullName}{Plain}{Red}: {fault}{Plain}");
            AddFrames(exception, sources, lines);
            return new CellError(typeof(DllNotFoundException).FullName!, fault, lines);
        }

        Describe(exception, sources, lines, "");
        return new CellError(exception.GetType().FullName!, exception.Message, lines);
    }

    public static CellError Interrupted(Exception? exception, CellSources sources)
    {
        var lines = new List<string> { $"{Red}{Bold}Interrupted{Plain}{Red}: the cell was stopped.{Plain}" };
        if (exception is not null)
        {
            AddFrames(exception, sources, lines);
        }

        return new CellError("Interrupted", "The cell was stopped.", lines);
    }

    public static CellError LeftRunning()
    {
        const string Message = "The cell did not stop; it goes on in the background. Restart the kernel to end it.";
        return new CellError("Interrupted", Message, [$"{Red}{Bold}Interrupted{Plain}{Red}: {Message}{Plain}"]);
    }

    private static bool IsOfLibtorch(Exception? exception) =>
        exception is not null && (exception is TypeInitializationException { TypeName: "TorchSharp.torch" } || IsOfLibtorch(exception.InnerException));

    private static void Describe(Exception exception, CellSources sources, List<string> lines, string prefix)
    {
        lines.Add($"{prefix}{Red}{Bold}{exception.GetType().FullName}{Plain}{Red}: {exception.Message}{Plain}");
        AddFrames(exception, sources, lines);
        if (exception is AggregateException aggregate)
        {
            foreach (var inner in aggregate.InnerExceptions.Take(5))
            {
                Describe(inner, sources, lines, "one of: ");
            }
        }
        else if (exception.InnerException is { } inner)
        {
            Describe(inner, sources, lines, "because of: ");
        }
    }

    private static void AddFrames(Exception exception, CellSources sources, List<string> lines)
    {
        // A hundred thousand calls of the same function: to look them all up takes longer than anybody waits.
        if (exception is InsufficientExecutionStackException)
        {
            return;
        }

        var frames = new StackTrace(exception, fNeedFileInfo: true).GetFrames();
        if (frames.FirstOrDefault(f => f.GetMethod() is not null) is { } thrower && !IsOfCell(thrower) && NameOf(thrower) is { } where)
        {
            lines.Add($"{Dim}thrown in {where}{Plain}");
        }

        var own = frames.Where(IsOfCell).ToList();
        foreach (var frame in own.Take(LongestTrace))
        {
            var file = frame.GetFileName();
            var number = frame.GetFileLineNumber();
            var name = CellMethod(frame);
            var place = number > 0 ? FormattableString.Invariant($"{file}, line {number}") : file ?? "a cell";
            var text = sources.Line(file, number)?.Trim();
            lines.Add($"  at {(name is null ? "" : name + " in ")}{place}{(text is null ? "" : $": {Dim}{text}{Plain}")}");
        }

        if (own.Count > LongestTrace)
        {
            lines.Add(FormattableString.Invariant($"  ... {own.Count - LongestTrace} more"));
        }
    }

    // Roslyn names the assemblies of scripts so.
    private static bool IsOfCell(StackFrame frame) =>
        frame.GetMethod()?.Module.Assembly.GetName().Name?.StartsWith("\u211B*", StringComparison.Ordinal) == true;

    private static string? NameOf(StackFrame frame)
    {
        var method = frame.GetMethod()!;
        var type = method.DeclaringType;
        var name = method.Name;
        while (type is not null && type.Name.StartsWith('<'))
        {
            // The state machine of an async method or the class of a lambda: name the method that it was written in.
            name = Written().Match(type.Name) is { Success: true } match && match.Groups["name"].Length > 0 ? match.Groups["name"].Value : name;
            type = type.DeclaringType;
        }

        return type is null ? null : $"{type.FullName}.{(Written().Match(name) is { Success: true } m ? m.Groups["name"].Value : name)}";
    }

    /// <summary>The method of a cell that a frame is in; null for the cell's own top level.</summary>
    private static string? CellMethod(StackFrame frame)
    {
        var method = frame.GetMethod()!;
        var name = method.Name is "MoveNext" ? method.DeclaringType!.Name : method.Name;
        if (LocalFunction().Match(name) is { Success: true } local)
        {
            return local.Groups["name"].Value;
        }

        if (name.Contains(">b__", StringComparison.Ordinal))
        {
            return "a lambda";
        }

        if (name.Contains("<Initialize>", StringComparison.Ordinal) || name.Contains("<Factory>", StringComparison.Ordinal))
        {
            return null;
        }

        var simple = Written().Match(name) is { Success: true } written ? written.Groups["name"].Value : name;
        var type = method.DeclaringType!;
        while (type.IsNested && type.Name.StartsWith('<'))
        {
            type = type.DeclaringType!;
        }

        return type.Name.StartsWith("Submission#", StringComparison.Ordinal) ? simple : $"{type.Name}.{simple}";
    }

    private static string LineOf(Location location)
    {
        var text = location.SourceTree!.GetText();
        return text.Lines.GetLineFromPosition(location.SourceSpan.Start).ToString();
    }

    private static string Short(Diagnostic error)
    {
        var start = error.Location.GetMappedLineSpan().StartLinePosition;
        return FormattableString.Invariant($"({start.Line + 1},{start.Character + 1}): error {error.Id}: {error.GetMessage()}");
    }

    [GeneratedRegex("^<(?<name>[^<>|]*)>", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Written();

    [GeneratedRegex(@"g__(?<name>[^|]+)\|", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex LocalFunction();
}
