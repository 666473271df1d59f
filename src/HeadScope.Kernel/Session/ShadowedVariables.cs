using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Scripting;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// Lets go of the values of variables that a later cell has declared anew. Running <c>var model = ...</c> ten times would otherwise keep
/// ten models, because the script of each run stays in the chain.
/// </summary>
/// <remarks>
/// Top-level code cannot reach a shadowed variable any more, but a method, lambda or query written while it was visible can. So a name that
/// was ever mentioned inside one of those keeps its values.
/// </remarks>
internal sealed class ShadowedVariables
{
    private readonly HashSet<string> captured = new(StringComparer.Ordinal);

    /// <summary>Clears the variables that a cell has shadowed.</summary>
    /// <param name="cell">The cell, as compiled.</param>
    /// <param name="before">The state before it ran.</param>
    /// <param name="after">The state after it ran.</param>
    public void Release(Compilation cell, ScriptState<object> before, ScriptState<object> after)
    {
        foreach (var tree in cell.SyntaxTrees)
        {
            foreach (var node in tree.GetRoot().DescendantNodes().Where(RunsLater))
            {
                captured.UnionWith(node.DescendantTokens().Where(t => t.IsKind(SyntaxKind.IdentifierToken)).Select(t => t.ValueText));
            }
        }

        var declared = after.Variables.Skip(before.Variables.Length).Select(v => v.Name).Where(name => !captured.Contains(name))
            .ToHashSet(StringComparer.Ordinal);
        foreach (var old in before.Variables.Where(v => declared.Contains(v.Name) && !v.IsReadOnly && !v.Type.IsValueType))
        {
            old.Value = null;
        }
    }

    private static bool RunsLater(SyntaxNode node) =>
        node is AnonymousFunctionExpressionSyntax or LocalFunctionStatementSyntax or BaseMethodDeclarationSyntax or BaseTypeDeclarationSyntax
            or BasePropertyDeclarationSyntax or QueryExpressionSyntax;
}
