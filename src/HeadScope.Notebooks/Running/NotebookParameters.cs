using System.Globalization;
using Microsoft.CodeAnalysis.CSharp;

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
