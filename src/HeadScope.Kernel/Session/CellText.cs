using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// A cell as it was typed, taken apart into what is C# and what only notebooks know: packages, their sources, and the commands that begin with
/// <c>#!</c>. What is not C# is blanked out at the same length, so that lines and places stay.
/// </summary>
internal sealed partial class CellText
{
    private const string Known = "#!about, #!time, #!import FILE, #!csharp, #!markdown and #!html";

    private readonly char[] view;
    private readonly bool strict;

    private CellText(string code, bool strict)
    {
        view = code.ToCharArray();
        this.strict = strict;
        CellNesting.Check(code);
        if (code.Contains("#!", StringComparison.Ordinal))
        {
            Split(code);
        }
        else
        {
            Parts.Add(new CellPart(CellPartKind.CSharp, code, 0));
        }

        if (code.Contains("nuget:", StringComparison.OrdinalIgnoreCase) || code.Contains("#i", StringComparison.Ordinal))
        {
            TakePackages();
        }

        if (code.Contains("using", StringComparison.Ordinal))
        {
            KeepWhatIsUsed();
        }

        for (var i = 0; i < Parts.Count; i++)
        {
            var part = Parts[i];
            Parts[i] = part.Kind == CellPartKind.CSharp ? part with { Text = Segment(part.Start, part.Text.Length) } : part;
        }
    }

    /// <summary>The parts in the order in which they run; a cell without commands is one.</summary>
    public List<CellPart> Parts { get; } = [];

    /// <summary>The packages that are asked for, with their versions; null for any.</summary>
    public List<(string Id, string? Version)> Packages { get; } = [];

    /// <summary>Where to look for packages, beyond the usual places.</summary>
    public List<string> Sources { get; } = [];

    /// <summary>Whether the cell's time is to be told.</summary>
    public bool IsTimed { get; private set; }

    /// <summary>All that is C#, the rest blanked out.</summary>
    public string CSharp => new(view);

    /// <summary>Takes a cell apart.</summary>
    /// <param name="code">The cell.</param>
    /// <exception cref="FormatException">A line does not name a package, a source or a file.</exception>
    /// <exception cref="NotSupportedException">A command is not known, or the cell is nested too deeply.</exception>
    public static CellText Of(string code) => new(code, strict: true);

    /// <summary>What is C# in a cell that is still being typed.</summary>
    /// <param name="code">The cell so far.</param>
    /// <exception cref="NotSupportedException">The cell is nested too deeply.</exception>
    public static string CSharpOf(string code) => new CellText(code, strict: false).CSharp;

    private void Split(string code)
    {
        var (kind, start) = (CellPartKind.CSharp, 0);
        while (true)
        {
            var at = kind == CellPartKind.CSharp ? NextInCSharp(start) : NextInText(code, start);
            var end = at < 0 ? code.Length : at;
            var text = code[start..end];
            if (!string.IsNullOrWhiteSpace(text) && kind != CellPartKind.Ignored)
            {
                Parts.Add(new CellPart(kind, text, start));
            }

            if (kind != CellPartKind.CSharp)
            {
                Blank(start, end);
            }

            if (at < 0)
            {
                return;
            }

            var lineEnd = code.IndexOf('\n', at) is >= 0 and var newLine ? newLine : code.Length;
            var words = code[at..lineEnd].Trim().Split((char[]?)null, 2, StringSplitOptions.RemoveEmptyEntries);
            Blank(at, lineEnd);
            start = lineEnd;
            kind = Command(words[0].ToLowerInvariant(), words.Length > 1 ? words[1] : "", kind, at);
        }
    }

    /// <summary>Does what a command says; gives what follows it.</summary>
    private CellPartKind Command(string name, string argument, CellPartKind before, int at)
    {
        switch (name)
        {
            case "#!csharp" or "#!c#":
                return CellPartKind.CSharp;
            case "#!markdown":
                return CellPartKind.Markdown;
            case "#!html":
                return CellPartKind.Html;
            case "#!meta":
                return CellPartKind.Ignored;
            case "#!time":
                IsTimed = true;
                return before;
            case "#!about":
                Parts.Add(new CellPart(CellPartKind.About, "", at));
                return before;
            case "#!import":
                if (strict && argument.Length == 0)
                {
                    throw new FormatException("#!import names no file; expected #!import FILE, a notebook (.ipynb), .cs, .csx or .dib.");
                }

                Parts.Add(new CellPart(CellPartKind.Import, argument.Trim('"'), at));
                return before;
            default:
                return !strict ? before : throw new NotSupportedException(
                    $"{name}: of .NET Interactive's commands this kernel knows {Known}. Take the line out, or open the notebook with .NET Interactive's kernel.");
        }
    }

    // As the compiler sees it: a line that begins so within a text is no command.
    private int NextInCSharp(int from)
    {
        var text = view.ToArray();
        text.AsSpan(0, from).Fill(' ');
        return Root(new string(text)).DescendantTrivia()
            .Where(t => t.IsKind(SyntaxKind.BadDirectiveTrivia) || t.IsKind(SyntaxKind.ShebangDirectiveTrivia))
            .Select(t => t.SpanStart)
            .Where(at => at >= from && at + 1 < text.Length && text[at + 1] == '!')
            .DefaultIfEmpty(-1).Min();
    }

    private static int NextInText(string code, int from) =>
        code.IndexOf("\n#!", from, StringComparison.Ordinal) is >= 0 and var at ? at + 1 : -1;

    private void TakePackages()
    {
        foreach (var directive in Root(CSharp).DescendantTrivia().Select(t => t.GetStructure()).OfType<DirectiveTriviaSyntax>().ToList())
        {
            var text = directive.ToString().Trim();
            if (directive is ReferenceDirectiveTriviaSyntax { File.ValueText: var asked } && asked.Trim().StartsWith("nuget:", StringComparison.OrdinalIgnoreCase))
            {
                TakePackage(asked.Trim());
                Blank(directive.SpanStart, directive.Span.End);
            }
            else if (text.StartsWith("#i", StringComparison.Ordinal) && text.Length > 2 && (text[2] is '"' || char.IsWhiteSpace(text[2])))
            {
                if (Source().Match(text) is { Success: true } match)
                {
                    Sources.Add(match.Groups["source"].Value.Trim());
                }
                else if (strict)
                {
                    throw new FormatException($"{text} does not name a source of packages; expected #i \"nuget:ADDRESS\" or #i \"nuget:FOLDER\".");
                }

                Blank(directive.SpanStart, directive.Span.End);
            }
        }
    }

    private void TakePackage(string asked)
    {
        var parts = asked["nuget:".Length..].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length is 1 or 2 && PackageId().IsMatch(parts[0]) && (parts.Length == 1 || PackageVersion().IsMatch(parts[1])))
        {
            Packages.Add((parts[0], parts.Length == 2 ? parts[1] : null));
        }
        else if (strict)
        {
            throw new FormatException($"#r \"{asked}\" does not name a package; expected #r \"nuget: Id, Version\" or #r \"nuget: Id\".");
        }
    }

    // "using var x = …" at the top of a cell: a script has no such statement, and later cells are to use x. It stays as long as any variable.
    // The parser takes it for a directive that lacks its end or, after other statements, skips its first words.
    private void KeepWhatIsUsed()
    {
        var root = Root(CSharp);
        var skipped = root.DescendantTrivia().Where(t => t.IsKind(SyntaxKind.SkippedTokensTrivia)).Select(t => t.GetStructure()!);
        foreach (var word in root.Usings.Where(u => u.SemicolonToken.IsMissing).Concat(skipped).Select(words => words.GetFirstToken()).ToList())
        {
            if (word.IsKind(SyntaxKind.UsingKeyword) && Declaration().IsMatch(CSharp, word.SpanStart))
            {
                Blank(Awaited().Match(CSharp, 0, word.SpanStart) is { Success: true } awaited ? awaited.Index : word.SpanStart, word.Span.End);
            }
        }
    }

    private static CompilationUnitSyntax Root(string text) => CSharpSyntaxTree.ParseText(text, SessionDefaults.Parsing).GetCompilationUnitRoot();

    // At the same place in the cell: what is before it is blank.
    private string Segment(int start, int length) =>
        string.Concat(string.Concat(view.Take(start).Select(c => c is '\r' or '\n' ? c : ' ')), new string(view, start, length));

    private void Blank(int start, int end)
    {
        for (var i = start; i < end; i++)
        {
            view[i] = view[i] is '\r' or '\n' ? view[i] : ' ';
        }
    }

    [GeneratedRegex(@"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex PackageId();

    [GeneratedRegex(@"^[\[\(]?[A-Za-z0-9.\-+*]+[\]\)]?$", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex PackageVersion();

    [GeneratedRegex(@"\Gusing[^\S\n]+[^;={}()""\n]+[^\S\n]+@?\w+\s*=[^=]", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Declaration();

    [GeneratedRegex(@"\bawait\s+$", RegexOptions.CultureInvariant | RegexOptions.RightToLeft, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Awaited();

    [GeneratedRegex(@"^#i\s*""\s*nuget:(?<source>[^""]*[^""\s][^""]*)""$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Source();
}

/// <summary>A part of a cell.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">Its text; of an import the file.</param>
/// <param name="Start">Where it begins in the cell.</param>
internal sealed record CellPart(CellPartKind Kind, string Text, int Start);

/// <summary>What a part of a cell is.</summary>
internal enum CellPartKind
{
    CSharp,
    Markdown,
    Html,
    Import,
    About,
    Ignored,
}
