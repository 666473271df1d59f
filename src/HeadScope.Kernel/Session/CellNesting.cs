namespace HeadScope.Notebooks.Session;

/// <summary>
/// Refuses cells that the compiler cannot take: its parser goes down a level of the stack with each open bracket, without looking how much is left,
/// and at some thousands the process would end.
/// </summary>
internal static class CellNesting
{
    private const int Deepest = 500;

    /// <summary>Refuses text with too many brackets open at once. Those within texts and comments count too: to tell them apart is the parser's work.</summary>
    /// <param name="code">A cell, whole or not.</param>
    /// <exception cref="NotSupportedException">It is nested too deeply.</exception>
    public static void Check(string code)
    {
        int open = 0, angles = 0, line = 1;
        foreach (var letter in code)
        {
            switch (letter)
            {
                case '(' or '[' or '{':
                    open++;
                    break;
                case ')' or ']' or '}':
                    open = Math.Max(0, open - 1);
                    break;
                case '<':
                    angles++;
                    break;
                case '>':
                    angles = Math.Max(0, angles - 1);
                    break;
                case ';':
                    // What is greater or smaller, and shifts, end with their statement.
                    angles = 0;
                    break;
                case '\n':
                    line++;
                    break;
            }

            if (open > Deepest || angles > Deepest)
            {
                throw new NotSupportedException(FormattableString.Invariant(
                    $"Line {line} has more than {Deepest} brackets open at once, which the C# compiler cannot take: write it in several steps, or read it from a file."));
            }
        }
    }
}
