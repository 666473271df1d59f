using System.Globalization;
using System.Xml.Linq;

namespace HeadScope.Notebooks.Running.Mathematics;

/// <summary>
/// An equation of LaTeX as MathML, which browsers draw without a script, a font or a network. It knows what the text of a method section
/// needs: scripts, fractions, roots, sums, accents, braces, brackets that grow, alphabets, cases, matrices and aligned lines. What it does
/// not know it refuses, so that nothing is shown that the author did not write.
/// </summary>
internal sealed class MathMl
{
    // Deeper nesting than any equation has; a damaged or hostile text must not end the process by its depth.
    private const int DeepestNesting = 50;

    private readonly string latex;
    private int at;
    private int depth;

    private MathMl(string latex) => this.latex = latex;

    /// <summary>Makes MathML of an equation.</summary>
    /// <param name="latex">The equation, without the dollar signs about it.</param>
    /// <param name="display">Whether it has a line of its own.</param>
    /// <returns>The element <c>math</c>, with the equation as its alternative text.</returns>
    /// <exception cref="FormatException">The equation has a command that is not known here, or its braces do not match.</exception>
    public static XElement From(string latex, bool display)
    {
        ArgumentNullException.ThrowIfNull(latex);
        var reader = new MathMl(latex);
        var row = reader.Row();
        return reader.at < latex.Length
            ? throw reader.Unexpected()
            : new XElement("math", display ? new XAttribute("display", "block") : null, new XAttribute("alttext", latex.Trim()), row);
    }

    private bool AtEnd => at >= latex.Length || latex[at] is '}' or '&' || Ahead("\\right") || Ahead("\\end") || Ahead("\\\\");

    /// <summary>Everything up to the end of a group.</summary>
    private XElement Row()
    {
        Deeper();
        var items = new List<XElement>();
        for (SkipSpace(); !AtEnd; SkipSpace())
        {
            var item = Scripted();

            // A sign with nothing before it to add to or subtract from stands close to what follows.
            if (item.Name == "mo" && item.Value is "−" or "+" && (items.Count == 0 || (items[^1].Name == "mo" && items[^1].Attribute("form")?.Value != "postfix")))
            {
                item.SetAttributeValue("form", "prefix");
            }

            items.Add(item);
        }

        depth--;
        return items.Count == 1 ? items[0] : new XElement("mrow", items);
    }

    /// <summary>One thing with what stands below and above it.</summary>
    private XElement Scripted()
    {
        var start = at;
        var item = at < latex.Length && latex[at] is '^' or '_' or '\'' ? new XElement("mrow") : Atom();
        XElement? below = null;
        XElement? above = null;
        for (SkipSpace(); at < latex.Length; SkipSpace())
        {
            if (latex[at] == '_' && below is null)
            {
                at++;
                below = Argument();
            }
            else if (latex[at] == '^' && above is null)
            {
                at++;
                above = Argument();
            }
            else if (latex[at] == '\'' && above is null)
            {
                above = Primes();
            }
            else if (latex[at] is '_' or '^' or '\'')
            {
                throw new FormatException($"A second script at position {at.ToString(CultureInfo.InvariantCulture)} of the equation.");
            }
            else
            {
                break;
            }
        }

        var limits = item.Annotation<Limits>() is not null || (item.Name == "mo" && MathSymbols.TakesLimits(item.Value));
        return (below, above) switch
        {
            (null, null) => at > start ? item : throw Unexpected(),
            (_, null) => new XElement(limits ? "munder" : "msub", item, below),
            (null, _) => new XElement(limits ? "mover" : "msup", item, above),
            _ => new XElement(limits ? "munderover" : "msubsup", item, below, above),
        };
    }

    private XElement Primes()
    {
        var from = at;
        while (at < latex.Length && latex[at] == '\'')
        {
            at++;
        }

        var primes = new XElement("mo", new string('′', at - from));
        if (at >= latex.Length || latex[at] != '^')
        {
            return primes;
        }

        at++;
        return new XElement("mrow", primes, Argument());
    }

    /// <summary>What a command or a script applies to: a group in braces, or the next thing alone.</summary>
    private XElement Argument()
    {
        SkipSpace();
        if (at >= latex.Length || AtEnd)
        {
            throw Unexpected();
        }

        Deeper();
        var atom = Atom(single: true);
        depth--;
        return atom;
    }

    private XElement Atom(bool single = false)
    {
        var letter = latex[at];
        if (letter == '{')
        {
            at++;
            var row = Row();
            Expect('}');

            // Braces make an ordinary thing of what is in them.
            return row.Name == "mrow" ? row : new XElement("mrow", row);
        }

        if (letter == '\\')
        {
            return Command();
        }

        if (char.IsAsciiDigit(letter))
        {
            var from = at++;
            while (!single && at < latex.Length && (char.IsAsciiDigit(latex[at]) || (latex[at] == '.' && at + 1 < latex.Length && char.IsAsciiDigit(latex[at + 1]))))
            {
                at++;
            }

            return new XElement("mn", latex[from..at]);
        }

        if (letter == '~')
        {
            at++;
            return Space(0.25);
        }

        if (letter is '#' or '$' or '%' or '}' or '&')
        {
            throw Unexpected();
        }

        var length = char.IsHighSurrogate(letter) && at + 1 < latex.Length ? 2 : 1;
        var text = latex.Substring(at, length);
        at += length;
        return char.IsLetter(text, 0) ? new XElement("mi", text) : Operator(letter == '-' ? "−" : letter == '*' ? "∗" : text);
    }

    private XElement Command()
    {
        var name = Name();
        if (MathSymbols.Letter(name) is { } letter)
        {
            return new XElement("mi", MathSymbols.IsUpright(name) ? new XAttribute("mathvariant", "normal") : null, letter);
        }

        if (MathSymbols.Operator(name) is { } symbol)
        {
            return name switch
            {
                "lVert" or "lvert" or "langle" or "lfloor" or "lceil" => Fence(symbol, "prefix", stretchy: false),
                "rVert" or "rvert" or "rangle" or "rfloor" or "rceil" => Fence(symbol, "postfix", stretchy: false),
                _ => Operator(symbol),
            };
        }

        if (MathSymbols.Space(name) is { } width)
        {
            return Space(width);
        }

        if (MathSymbols.Accent(name) is { } accent)
        {
            var under = name == "underline";
            return new XElement(under ? "munder" : "mover", new XAttribute(under ? "accentunder" : "accent", "true"), Argument(), new XElement("mo", new XAttribute("stretchy", name.Length > 4 && name is "overline" or "underline" or "widehat" or "widetilde"), accent));
        }

        if (MathSymbols.IsFunction(name))
        {
            return Function(name);
        }

        switch (name)
        {
            case "frac" or "dfrac" or "tfrac":
                return new XElement("mfrac", Argument(), Argument());
            case "binom":
                return new XElement("mrow", Operator("("), new XElement("mfrac", new XAttribute("linethickness", "0"), Argument(), Argument()), Operator(")"));
            case "sqrt":
                return Root();
            case "text" or "textrm" or "mbox":
                return new XElement("mtext", Verbatim().Replace(' ', '\u00A0'));
            case "mathrm" or "operatorname":
                var upright = Verbatim();
                return name == "operatorname"
                    ? Function(upright)
                    : new XElement("mi", upright.Length == 1 ? new XAttribute("mathvariant", "normal") : null, upright.Replace(' ', '\u00A0'));
            case "mathbb" or "mathbf" or "mathcal":
                return new XElement("mi", string.Concat(Verbatim().Select(c => MathSymbols.InAlphabet(name, c) ?? throw Unknown($"\\{name}{{{c}}}"))));
            case "underbrace" or "overbrace":
                var brace = new XElement(
                    name == "underbrace" ? "munder" : "mover", Argument(), new XElement("mo", new XAttribute("stretchy", "true"), name == "underbrace" ? "⏟" : "⏞"));
                brace.AddAnnotation(new Limits());
                return brace;
            case "left":
                return Brackets();
            case "begin":
                return Lines();
            default:
                throw Unknown("\\" + name);
        }
    }

    /// <summary>The name of a function, and the room between it and a letter or number that follows.</summary>
    private XElement Function(string name)
    {
        var function = new XElement("mi", name);
        if (name is "max" or "min" or "lim" or "sup" or "inf" or "argmax" or "argmin")
        {
            function = new XElement("mo", new XAttribute("movablelimits", "true"), new XAttribute("lspace", "0"), new XAttribute("rspace", "0.1667em"), name);
            function.AddAnnotation(new Limits());
            return function;
        }

        SkipSpace();
        var next = at < latex.Length ? latex[at] : ' ';
        var close = !char.IsAsciiLetterOrDigit(next) && (next != '\\' || Ahead("\\left") || Ahead("\\l") || Ahead("\\r"));
        return close ? function : new XElement("mrow", function, Space(0.1667));
    }

    private XElement Root()
    {
        SkipSpace();
        if (at >= latex.Length || latex[at] != '[')
        {
            return new XElement("msqrt", Argument());
        }

        var end = latex.IndexOf(']', at);
        if (end < 0)
        {
            throw Unexpected();
        }

        var index = new MathMl(latex[(at + 1)..end]) { depth = depth }.Row();
        at = end + 1;
        return new XElement("mroot", Argument(), index);
    }

    /// <summary>Brackets that grow with what they hold.</summary>
    private XElement Brackets()
    {
        var open = Delimiter();
        var row = Row();
        if (!Ahead("\\right"))
        {
            throw Unexpected();
        }

        at += "\\right".Length;
        var close = Delimiter();
        return new XElement("mrow", open.Length > 0 ? Fence(open, "prefix", stretchy: true) : null, row, close.Length > 0 ? Fence(close, "postfix", stretchy: true) : null);
    }

    private string Delimiter()
    {
        SkipSpace();
        if (at >= latex.Length)
        {
            throw Unexpected();
        }

        if (latex[at] == '\\')
        {
            var name = Name();
            return MathSymbols.Operator(name) ?? throw Unknown("\\" + name);
        }

        var letter = latex[at++];
        return letter == '.' ? "" : letter is '(' or ')' or '[' or ']' or '|' or '/' or '<' or '>' ? letter.ToString() : throw Unknown(letter.ToString());
    }

    /// <summary>Lines and columns: matrices, cases and aligned equations.</summary>
    private XElement Lines()
    {
        var kind = Verbatim();
        var (open, close) = kind switch
        {
            "matrix" or "aligned" or "align" or "align*" => ("", ""),
            "pmatrix" => ("(", ")"),
            "bmatrix" => ("[", "]"),
            "vmatrix" => ("|", "|"),
            "cases" => ("{", ""),
            _ => throw Unknown($"\\begin{{{kind}}}"),
        };
        var rows = new List<XElement> { new("mtr") };
        while (true)
        {
            rows[^1].Add(new XElement("mtd", Row()));
            if (at < latex.Length && latex[at] == '&')
            {
                at++;
            }
            else if (Ahead("\\\\"))
            {
                at += 2;
                rows.Add(new XElement("mtr"));
            }
            else if (Ahead("\\end"))
            {
                at += "\\end".Length;
                break;
            }
            else
            {
                throw Unexpected();
            }
        }

        if (Verbatim() != kind)
        {
            throw new FormatException($"\\begin{{{kind}}} ends as something else.");
        }

        var align = kind.StartsWith("align", StringComparison.Ordinal) ? "right left" : kind == "cases" ? "left" : "center";
        var sides = align.Split(' ');
        foreach (var (cell, column) in rows.SelectMany(row => row.Elements().Select((cell, column) => (cell, column))))
        {
            cell.SetAttributeValue("style", $"text-align: {sides[column % sides.Length]}");
        }

        return new XElement(
            "mrow",
            open.Length > 0 ? Fence(open, "prefix", stretchy: true) : null,
            new XElement("mtable", kind.StartsWith("align", StringComparison.Ordinal) ? new XAttribute("displaystyle", "true") : null, rows),
            close.Length > 0 ? Fence(close, "postfix", stretchy: true) : null);
    }

    private static XElement Operator(string text) => text switch
    {
        // Brackets that were not asked to grow do not, and bars are brackets here, not relations.
        "(" or "[" or "{" => Fence(text, "prefix", stretchy: false),
        ")" or "]" or "}" => Fence(text, "postfix", stretchy: false),
        "|" or "‖" => new XElement("mo", new XAttribute("stretchy", "false"), new XAttribute("lspace", "0"), new XAttribute("rspace", "0"), text),
        "/" => new XElement("mo", new XAttribute("lspace", "0"), new XAttribute("rspace", "0"), text),
        _ => new XElement("mo", text),
    };

    private static XElement Fence(string text, string form, bool stretchy) =>
        new("mo", new XAttribute("form", form), new XAttribute("fence", "true"), new XAttribute("stretchy", stretchy), text);

    private static XElement Space(double width) => new("mspace", new XAttribute("width", string.Create(CultureInfo.InvariantCulture, $"{width}em")));

    private string Name()
    {
        var from = ++at;
        if (at >= latex.Length)
        {
            throw Unexpected();
        }

        while (at < latex.Length && char.IsAsciiLetter(latex[at]))
        {
            at++;
        }

        if (at == from)
        {
            at++;
        }

        return latex[from..at];
    }

    /// <summary>The letters in braces as they stand.</summary>
    private string Verbatim()
    {
        SkipSpace();
        Expect('{');
        var end = latex.AsSpan(at).IndexOfAny('{', '}');
        if (end < 0 || latex[at + end] == '{')
        {
            throw Unexpected();
        }

        var text = latex.Substring(at, end);
        at += end + 1;
        return text.Contains('\\', StringComparison.Ordinal) ? throw Unknown(text) : text;
    }

    private void Expect(char letter)
    {
        if (at >= latex.Length || latex[at] != letter)
        {
            throw Unexpected();
        }

        at++;
    }

    private void SkipSpace()
    {
        while (at < latex.Length && char.IsWhiteSpace(latex[at]))
        {
            at++;
        }
    }

    private bool Ahead(string text) =>
        string.CompareOrdinal(latex, at, text, 0, text.Length) == 0
        && (text is "\\\\" or "\\l" or "\\r" || at + text.Length >= latex.Length || !char.IsAsciiLetter(latex[at + text.Length]));

    private void Deeper()
    {
        if (++depth > DeepestNesting)
        {
            throw new FormatException("The equation is nested too deeply.");
        }
    }

    private FormatException Unexpected() => new(
        at < latex.Length
            ? $"'{latex[at]}' was not expected at position {at.ToString(CultureInfo.InvariantCulture)} of the equation."
            : "The equation ends too early.");

    private static FormatException Unknown(string what) => new($"{what} is not known.");

    /// <summary>Marks what has its scripts below and above in place of beside.</summary>
    private sealed class Limits;
}
