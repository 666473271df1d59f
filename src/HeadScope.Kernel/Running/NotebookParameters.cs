using System.Globalization;
using HeadScope.Notebooks.Session;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace HeadScope.Notebooks.Running;

/// <summary>Parameters of a notebook as papermill knows them: assignments in a cell that is put after the one tagged <c>parameters</c>.</summary>
internal static class NotebookParameters
{
    /// <summary>The cell's code.</summary>
    /// <param name="parameters">Names and values; a value is a number, true, false or a text.</param>
    /// <exception cref="ArgumentException">A name is not one of C#.</exception>
    public static string ToCode(IEnumerable<KeyValuePair<string, string>> parameters) =>
        "// Parameters\n" + string.Concat(parameters.Select(p => SyntaxFacts.IsValidIdentifier(p.Key) && SyntaxFacts.GetKeywordKind(p.Key) == SyntaxKind.None
            ? $"var {p.Key} = {Literal(p.Value)};\n"
            : throw new ArgumentException($"'{p.Key}' cannot name a parameter: expected a C# identifier.", nameof(parameters)))).TrimEnd('\n');

    /// <summary>Refuses a parameter that a notebook does not have: its cells would run on the old value, and nobody would be told.</summary>
    /// <param name="parameters">Names and values.</param>
    /// <param name="cell">The code of the cell tagged <c>parameters</c>.</param>
    /// <exception cref="ArgumentException">The cell declares no variable of a parameter's name.</exception>
    public static void RefuseUnknown(IEnumerable<KeyValuePair<string, string>> parameters, string cell)
    {
        var known = CSharpSyntaxTree.ParseText(cell, SessionDefaults.Parsing).GetCompilationUnitRoot().Members
            .OfType<FieldDeclarationSyntax>().SelectMany(field => field.Declaration.Variables).Select(variable => variable.Identifier.ValueText).ToList();
        foreach (var (name, _) in parameters)
        {
            if (!known.Contains(name, StringComparer.Ordinal))
            {
                throw new ArgumentException($"The notebook has no parameter '{name}'; it has {string.Join(", ", known)}.", nameof(parameters));
            }
        }
    }

    private static string Literal(string value)
    {
        if (value is "true" or "false")
        {
            return value;
        }

        if (int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole))
        {
            return whole.ToString(CultureInfo.InvariantCulture);
        }

        const NumberStyles Real = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(value, Real, CultureInfo.InvariantCulture, out var real) && double.IsFinite(real) && value.Any(char.IsAsciiDigit)
            ? real.ToString("R", CultureInfo.InvariantCulture) is var text && text.All(c => char.IsAsciiDigit(c) || c == '-') ? text + "d" : text
            : SymbolDisplay.FormatLiteral(value, quote: true);
    }
}
