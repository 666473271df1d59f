using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// Finds what may be typed at a place, from the compiler's own view of the cell: members after a dot, names in scope, named arguments and
/// properties of an initializer, keywords.
/// </summary>
internal static class CompletionSearch
{
    private static readonly SymbolDisplayFormat Signature = SymbolDisplayFormat.MinimallyQualifiedFormat;

    public static Completions Find(Compilation compilation, SyntaxTree tree, int cursor, CancellationToken cancellationToken)
    {
        var text = tree.GetText(cancellationToken).ToString();
        var start = cursor;
        while (start > 0 && SyntaxFacts.IsIdentifierPartCharacter(text[start - 1]))
        {
            start--;
        }

        var end = cursor;
        while (end < text.Length && SyntaxFacts.IsIdentifierPartCharacter(text[end]))
        {
            end++;
        }

        var typed = text[start..cursor];
        var root = tree.GetRoot(cancellationToken);
        if (InText(root, cursor))
        {
            return new Completions(cursor, cursor, []);
        }

        var model = compilation.GetSemanticModel(tree);
        var found = new List<Completion>();
        if (Container(root, start) is { } dotted)
        {
            found.AddRange(Group(Members(model, dotted, start)));
        }
        else
        {
            var here = Math.Min(start, root.FullSpan.End);
            found.AddRange(ArgumentNames(model, root, start));
            found.AddRange(InitializerMembers(model, root, start));
            found.AddRange(Group(model.LookupSymbols(here)));
            found.AddRange(SyntaxFacts.GetKeywordKinds().Select(SyntaxFacts.GetText)
                .Where(word => word.Length > 1 && char.IsAsciiLetterLower(word[0])).Distinct(StringComparer.Ordinal)
                .Select(word => new Completion(word, "keyword", "")));
        }

        var items = found.Where(c => c.Text.StartsWith(typed, StringComparison.OrdinalIgnoreCase))
            .OrderByDescending(c => c.Text.StartsWith(typed, StringComparison.Ordinal))
            .ThenBy(c => Rank(c.Kind))
            .ThenBy(c => c.Text, StringComparer.OrdinalIgnoreCase)
            .DistinctBy(c => c.Text, StringComparer.Ordinal)
            .ToList();
        return new Completions(start, end, items);
    }

    private static int Rank(string kind) => kind switch
    {
        "parameter" or "variable" => 0,
        "keyword" => 2,
        _ => 1,
    };

    /// <summary>Inside of a string or a comment nothing is completed.</summary>
    private static bool InText(SyntaxNode root, int cursor)
    {
        var trivia = root.FindTrivia(Math.Max(0, cursor - 1));
        if (trivia.IsKind(SyntaxKind.SingleLineCommentTrivia) || trivia.IsKind(SyntaxKind.MultiLineCommentTrivia))
        {
            return true;
        }

        var token = root.FindToken(Math.Max(0, cursor - 1), findInsideTrivia: true);
        return token.Kind() is SyntaxKind.StringLiteralToken or SyntaxKind.InterpolatedStringTextToken or SyntaxKind.CharacterLiteralToken
            && cursor > token.SpanStart && (cursor < token.Span.End || token.IsMissing || !IsClosed(token));
    }

    private static bool IsClosed(SyntaxToken token) => token.Text.Length > 1 && token.Text[^1] is '"' or '\'';

    /// <summary>What stands before the dot that the typed name follows; null when it follows none.</summary>
    private static SyntaxNode? Container(SyntaxNode root, int start)
    {
        var before = root.FindToken(Math.Max(0, start - 1));
        if (before.Span.End > start || before.SpanStart >= start)
        {
            before = before.GetPreviousToken();
        }

        if (before.IsKind(SyntaxKind.DotToken) || before.IsKind(SyntaxKind.MinusGreaterThanToken))
        {
            return before.Parent switch
            {
                MemberAccessExpressionSyntax access => access.Expression,
                QualifiedNameSyntax name => name.Left,
                MemberBindingExpressionSyntax binding => binding.FirstAncestorOrSelf<ConditionalAccessExpressionSyntax>()?.Expression,
                _ => null,
            };
        }

        return null;
    }

    private static IEnumerable<ISymbol> Members(SemanticModel model, SyntaxNode container, int position)
    {
        // "a.b" before a new line and an identifier parses as the declaration of a variable of type a.b, so a name may be a value.
        var symbol = model.GetSymbolInfo(container).Symbol
            ?? (container is NameSyntax name ? model.GetSpeculativeSymbolInfo(container.SpanStart, SyntaxFactory.ParseExpression(name.ToString()), SpeculativeBindingOption.BindAsExpression).Symbol : null);
        if (symbol is INamespaceSymbol space)
        {
            return model.LookupNamespacesAndTypes(position, space);
        }

        if (symbol is ITypeSymbol named)
        {
            return model.LookupSymbols(position, named).Where(m => m.IsStatic || m is ITypeSymbol);
        }

        var type = model.GetTypeInfo(container).Type;
        if (type is null or IErrorTypeSymbol)
        {
            type = symbol switch
            {
                ILocalSymbol local => local.Type,
                IFieldSymbol field => field.Type,
                IPropertySymbol property => property.Type,
                IParameterSymbol parameter => parameter.Type,
                IMethodSymbol method => method.ReturnType,
                _ => type,
            };
        }

        return type is null or IErrorTypeSymbol
            ? []
            : model.LookupSymbols(position, type, includeReducedExtensionMethods: true).Where(m => !m.IsStatic && m is not ITypeSymbol);
    }

    private static IEnumerable<Completion> ArgumentNames(SemanticModel model, SyntaxNode root, int start)
    {
        if (SymbolDescription.CallAround(root, start) is not { } call)
        {
            return [];
        }

        return SymbolDescription.Overloads(model, call).SelectMany(m => m.Parameters).Select(p => p.Name).Distinct(StringComparer.Ordinal)
            .Select(name => new Completion(name + ":", "parameter", ""));
    }

    private static IEnumerable<Completion> InitializerMembers(SemanticModel model, SyntaxNode root, int start)
    {
        var token = root.FindToken(Math.Max(0, start - 1));
        var initializer = token.Parent?.FirstAncestorOrSelf<InitializerExpressionSyntax>(i => i.SpanStart < start && start <= i.Span.End);
        ITypeSymbol? type = initializer?.Parent switch
        {
            BaseObjectCreationExpressionSyntax creation => model.GetTypeInfo(creation).Type ?? model.GetTypeInfo(creation).ConvertedType,
            WithExpressionSyntax with => model.GetTypeInfo(with.Expression).Type,
            _ => null,
        };
        return type is null
            ? []
            : Group(model.LookupSymbols(start, type)
                .Where(m => !m.IsStatic && (m is IPropertySymbol { SetMethod: not null } or IFieldSymbol { IsReadOnly: false })));
    }

    private static IEnumerable<Completion> Group(IEnumerable<ISymbol> symbols) =>
        symbols.Where(s => s.CanBeReferencedByName && !s.IsImplicitlyDeclared && !Hidden(s))
            .GroupBy(s => s.Name, StringComparer.Ordinal)
            .Select(same => new Completion(same.Key, KindOf(same.First()), SignatureOf(same)));

    private static bool Hidden(ISymbol symbol) => symbol.GetAttributes().Any(a =>
        a.AttributeClass?.Name is "EditorBrowsableAttribute"
        && a.ConstructorArguments is [{ Value: (int)System.ComponentModel.EditorBrowsableState.Never }]);

    private static string SignatureOf(IEnumerable<ISymbol> overloads)
    {
        var all = overloads.ToList();
        var text = all[0].ToDisplayString(Signature);
        return all.Count > 1 ? FormattableString.Invariant($"{text} (+ {all.Count - 1} overloads)") : text;
    }

    private static string KindOf(ISymbol symbol) => symbol switch
    {
        IMethodSymbol => "function",
        IPropertySymbol => "property",
        IFieldSymbol { ContainingType.TypeKind: TypeKind.Enum } => "enum",
        IFieldSymbol { ContainingType.IsScriptClass: true } => "variable",
        IFieldSymbol => "field",
        IEventSymbol => "event",
        ILocalSymbol or IRangeVariableSymbol => "variable",
        IParameterSymbol => "parameter",
        INamespaceSymbol => "module",
        INamedTypeSymbol { TypeKind: TypeKind.Interface } => "interface",
        INamedTypeSymbol { TypeKind: TypeKind.Enum } => "enum",
        INamedTypeSymbol { TypeKind: TypeKind.Struct } => "struct",
        ITypeSymbol => "class",
        _ => "text",
    };
}
