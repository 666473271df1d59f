using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// Puts a call of <see cref="CellInterrupt.Check"/> into every loop, label and function of a cell, without moving any line. Stopping a
/// thread from outside, as the runtime offers it, now and then ends the whole process, and the notebook's state with it.
/// </summary>
/// <remarks>
/// Lambdas that are one expression stay as they are: they may be expression trees, and whether they have a value is not seen from their text.
/// </remarks>
internal sealed class InterruptPoints : CSharpSyntaxWalker
{
    private const string Check = $"global::HeadScope.Notebooks.Session.{nameof(CellInterrupt)}.{nameof(CellInterrupt.Check)}();";
    private const string Enter = $"global::HeadScope.Notebooks.Session.{nameof(CellInterrupt)}.{nameof(CellInterrupt.Enter)}();";

    private readonly List<TextChange> changes = [];

    /// <summary>The cell with its checks; the same text when it has no loop and no function.</summary>
    /// <param name="code">The cell.</param>
    public static string Insert(string code)
    {
        var points = new InterruptPoints();
        points.Visit(CSharpSyntaxTree.ParseText(code, SessionDefaults.Parsing).GetRoot());
        if (points.changes.Count == 0)
        {
            return code;
        }

        var text = new StringBuilder(code.Length + (points.changes.Count * Check.Length));
        var at = 0;
        foreach (var change in points.changes.OrderBy(c => c.Span.Start))
        {
            text.Append(code, at, change.Span.Start - at).Append(change.NewText);
            at = change.Span.End;
        }

        return text.Append(code, at, code.Length - at).ToString();
    }

    public override void VisitWhileStatement(WhileStatementSyntax node)
    {
        Loop(node.Statement);
        base.VisitWhileStatement(node);
    }

    public override void VisitDoStatement(DoStatementSyntax node)
    {
        Loop(node.Statement);
        base.VisitDoStatement(node);
    }

    public override void VisitForStatement(ForStatementSyntax node)
    {
        Loop(node.Statement);
        base.VisitForStatement(node);
    }

    public override void VisitForEachStatement(ForEachStatementSyntax node)
    {
        Loop(node.Statement);
        base.VisitForEachStatement(node);
    }

    public override void VisitForEachVariableStatement(ForEachVariableStatementSyntax node)
    {
        Loop(node.Statement);
        base.VisitForEachVariableStatement(node);
    }

    public override void VisitLabeledStatement(LabeledStatementSyntax node)
    {
        Insert(node.ColonToken.Span.End, Check);
        base.VisitLabeledStatement(node);
    }

    public override void VisitParenthesizedLambdaExpression(ParenthesizedLambdaExpressionSyntax node)
    {
        Begin(node.Block);
        base.VisitParenthesizedLambdaExpression(node);
    }

    public override void VisitSimpleLambdaExpression(SimpleLambdaExpressionSyntax node)
    {
        Begin(node.Block);
        base.VisitSimpleLambdaExpression(node);
    }

    public override void VisitAnonymousMethodExpression(AnonymousMethodExpressionSyntax node)
    {
        Begin(node.Block);
        base.VisitAnonymousMethodExpression(node);
    }

    public override void VisitLocalFunctionStatement(LocalFunctionStatementSyntax node)
    {
        Function(node.Body, node.ExpressionBody, node.SemicolonToken, HasValue(node.ReturnType, node.Modifiers));
        base.VisitLocalFunctionStatement(node);
    }

    public override void VisitMethodDeclaration(MethodDeclarationSyntax node)
    {
        Function(node.Body, node.ExpressionBody, node.SemicolonToken, HasValue(node.ReturnType, node.Modifiers));
        base.VisitMethodDeclaration(node);
    }

    public override void VisitConstructorDeclaration(ConstructorDeclarationSyntax node)
    {
        Function(node.Body, node.ExpressionBody, node.SemicolonToken, hasValue: false);
        base.VisitConstructorDeclaration(node);
    }

    public override void VisitOperatorDeclaration(OperatorDeclarationSyntax node)
    {
        Function(node.Body, node.ExpressionBody, node.SemicolonToken, hasValue: true);
        base.VisitOperatorDeclaration(node);
    }

    public override void VisitConversionOperatorDeclaration(ConversionOperatorDeclarationSyntax node)
    {
        Function(node.Body, node.ExpressionBody, node.SemicolonToken, hasValue: true);
        base.VisitConversionOperatorDeclaration(node);
    }

    public override void VisitPropertyDeclaration(PropertyDeclarationSyntax node)
    {
        Function(null, node.ExpressionBody, node.SemicolonToken, hasValue: true, "{get", "}");
        base.VisitPropertyDeclaration(node);
    }

    public override void VisitIndexerDeclaration(IndexerDeclarationSyntax node)
    {
        Function(null, node.ExpressionBody, node.SemicolonToken, hasValue: true, "{get", "}");
        base.VisitIndexerDeclaration(node);
    }

    public override void VisitAccessorDeclaration(AccessorDeclarationSyntax node)
    {
        Function(node.Body, node.ExpressionBody, node.SemicolonToken, node.IsKind(SyntaxKind.GetAccessorDeclaration));
        base.VisitAccessorDeclaration(node);
    }

    private static bool HasValue(TypeSyntax type, SyntaxTokenList modifiers) => type switch
    {
        PredefinedTypeSyntax { Keyword.RawKind: (int)SyntaxKind.VoidKeyword } => false,
        IdentifierNameSyntax { Identifier.ValueText: "Task" or "ValueTask" } when modifiers.Any(SyntaxKind.AsyncKeyword) => false,
        QualifiedNameSyntax { Right: IdentifierNameSyntax { Identifier.ValueText: "Task" or "ValueTask" } } when modifiers.Any(SyntaxKind.AsyncKeyword) => false,
        _ => true,
    };

    private void Loop(StatementSyntax body)
    {
        if (body is BlockSyntax block)
        {
            Begin(block, Check);
        }
        else if (!body.IsMissing)
        {
            Insert(body.SpanStart, "{" + Check);
            Insert(body.Span.End, "}");
        }
    }

    private void Begin(BlockSyntax? block, string check = Enter)
    {
        if (block is { OpenBraceToken.IsMissing: false })
        {
            Insert(block.OpenBraceToken.Span.End, check);
        }
    }

    private void Function(
        BlockSyntax? body, ArrowExpressionClauseSyntax? arrow, SyntaxToken semicolon, bool hasValue, string before = "", string after = "")
    {
        Begin(body);
        if (arrow is null || semicolon.IsMissing)
        {
            return;
        }

        // => value; becomes { check; return value; }
        var verb = arrow.Expression is ThrowExpressionSyntax || !hasValue ? "" : "return ";
        changes.Add(new TextChange(arrow.ArrowToken.Span, $"{before}{{{Enter}{verb}"));
        changes.Add(new TextChange(semicolon.Span, ";}" + after));
    }

    private void Insert(int position, string text) => changes.Add(new TextChange(new TextSpan(position, 0), text));
}
