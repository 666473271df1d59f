using System.Text;
using System.Xml;
using System.Xml.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace HeadScope.Notebooks.Session;

/// <summary>How a name is declared and what its documentation says; for a call, all overloads.</summary>
/// <param name="Signatures">One declaration for each overload.</param>
/// <param name="Documentation">The summary, parameters and exceptions of the first of them; empty when undocumented.</param>
internal sealed record SymbolDescription(IReadOnlyList<string> Signatures, string Documentation)
{
    private static readonly SymbolDisplayFormat Format = SymbolDisplayFormat.MinimallyQualifiedFormat
        .WithMemberOptions(SymbolDisplayMemberOptions.IncludeContainingType | SymbolDisplayMemberOptions.IncludeParameters
            | SymbolDisplayMemberOptions.IncludeType | SymbolDisplayMemberOptions.IncludeRef)
        .WithParameterOptions(SymbolDisplayParameterOptions.IncludeType | SymbolDisplayParameterOptions.IncludeName
            | SymbolDisplayParameterOptions.IncludeDefaultValue | SymbolDisplayParameterOptions.IncludeParamsRefOut);

    /// <summary>The description as text: the signatures, a blank line, the documentation.</summary>
    public override string ToString() =>
        Documentation.Length == 0 ? string.Join('\n', Signatures) : $"{string.Join('\n', Signatures)}\n\n{Documentation}";

    internal static SymbolDescription? Find(Compilation compilation, SyntaxTree tree, int cursor, CancellationToken cancellationToken)
    {
        var root = tree.GetRoot(cancellationToken);
        var model = compilation.GetSemanticModel(tree);
        if (CallAround(root, cursor) is { } call && !OnName(root, cursor) && Overloads(model, call) is { Count: > 0 } overloads)
        {
            return Of(overloads);
        }

        var token = root.FindToken(Math.Min(cursor, root.FullSpan.End));
        if (!token.IsKind(SyntaxKind.IdentifierToken) || token.SpanStart > cursor)
        {
            token = root.FindToken(Math.Max(0, cursor - 1));
        }

        if (token.Parent is null || (!token.IsKind(SyntaxKind.IdentifierToken) && !SyntaxFacts.IsPredefinedType(token.Kind())))
        {
            return null;
        }

        var info = model.GetSymbolInfo(token.Parent, cancellationToken);
        var symbols = info.Symbol is { } one ? [one] : info.CandidateSymbols.ToList();
        if (symbols.Count == 0)
        {
            symbols.AddRange(model.GetMemberGroup(token.Parent, cancellationToken));
        }

        if (symbols.Count == 0 && model.GetDeclaredSymbol(token.Parent, cancellationToken) is { } declared)
        {
            symbols.Add(declared);
        }

        return symbols.Count == 0 ? null : Of(symbols);
    }

    /// <summary>The call whose argument list surrounds a place; null when there is none.</summary>
    internal static SyntaxNode? CallAround(SyntaxNode root, int cursor)
    {
        var token = root.FindToken(Math.Max(0, Math.Min(cursor, root.FullSpan.End) - 1));
        var arguments = token.Parent?.FirstAncestorOrSelf<ArgumentListSyntax>(a =>
            cursor > a.OpenParenToken.SpanStart && (a.CloseParenToken.IsMissing || cursor <= a.CloseParenToken.SpanStart));
        return arguments?.Parent;
    }

    internal static IReadOnlyList<IMethodSymbol> Overloads(SemanticModel model, SyntaxNode call) => call switch
    {
        InvocationExpressionSyntax invocation => model.GetMemberGroup(invocation.Expression).OfType<IMethodSymbol>().ToList(),
        BaseObjectCreationExpressionSyntax creation when
            (model.GetTypeInfo(creation).Type ?? model.GetTypeInfo(creation).ConvertedType) is INamedTypeSymbol type =>
            type.InstanceConstructors.Where(c => c.DeclaredAccessibility == Accessibility.Public).ToList(),
        _ => [],
    };

    private static bool OnName(SyntaxNode root, int cursor)
    {
        var token = root.FindToken(Math.Min(cursor, root.FullSpan.End));
        return token.IsKind(SyntaxKind.IdentifierToken) && token.SpanStart <= cursor && cursor < token.Span.End;
    }

    private static SymbolDescription Of(IReadOnlyList<ISymbol> symbols) => new(
        symbols.Select(s => s.ToDisplayString(Format)).Distinct(StringComparer.Ordinal).ToList(),
        symbols.Select(Documented).FirstOrDefault(text => text.Length > 0, ""));

    private static string Documented(ISymbol symbol)
    {
        var xml = symbol.GetDocumentationCommentXml(expandIncludes: true);
        if (string.IsNullOrWhiteSpace(xml))
        {
            return "";
        }

        try
        {
            var root = XElement.Parse(xml.TrimStart().StartsWith("<member", StringComparison.Ordinal) ? xml : $"<doc>{xml}</doc>");
            var text = new StringBuilder();
            foreach (var part in root.Elements())
            {
                var label = part.Name.LocalName switch
                {
                    "summary" or "remarks" => "",
                    "param" or "typeparam" => $"{(string?)part.Attribute("name")}: ",
                    "returns" => "Returns: ",
                    "exception" => $"Throws {Simple((string?)part.Attribute("cref"))}: ",
                    _ => null,
                };
                if (label is not null)
                {
                    text.Append(label).AppendLine(Worded(part));
                }
            }

            return text.ToString().TrimEnd();
        }
        catch (XmlException)
        {
            return "";
        }
    }

    private static string Worded(XElement part)
    {
        var words = string.Concat(part.DescendantNodes().Select(node => node switch
        {
            XText text => text.Value,
            XElement { IsEmpty: true } reference => Simple((string?)reference.Attribute("cref") ?? (string?)reference.Attribute("name")
                ?? (string?)reference.Attribute("langword")),
            _ => "",
        }));
        return string.Join(' ', words.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    private static string Simple(string? reference)
    {
        var name = (reference ?? "").Split('(')[0];
        var dot = name.LastIndexOf('.');
        return dot >= 0 ? name[(dot + 1)..] : name.Length > 2 && name[1] == ':' ? name[2..] : name;
    }
}
