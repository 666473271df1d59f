using System.Text;

namespace HeadScope;

/// <summary>The word in a token's text.</summary>
internal static class Words
{
    /// <summary>Without spaces around it.</summary>
    public static string Bare(string text) => text.Trim();

    /// <summary>Without spaces around it, in lower case.</summary>
    public static string Folded(string text) => text.Trim().ToLowerInvariant();

    /// <summary>Whether a text holds letters, and all in one script; which.</summary>
    public static bool TryScript(string text, out string script)
    {
        script = "";
        foreach (var rune in text.EnumerateRunes())
        {
            if (!Rune.IsLetter(rune))
            {
                continue;
            }

            var found = ScriptOf(rune.Value);
            if (script.Length > 0 && !string.Equals(script, found, StringComparison.Ordinal))
            {
                return false;
            }

            script = found;
        }

        return script.Length > 0;
    }

    private static string ScriptOf(int rune) => rune switch
    {
        < 0x250 or (>= 0x1E00 and < 0x1F00) or (>= 0xFF21 and < 0xFF5B) => "Latin",
        (>= 0x370 and < 0x400) or (>= 0x1F00 and < 0x2000) => "Greek",
        >= 0x400 and < 0x530 => "Cyrillic",
        >= 0x530 and < 0x590 => "Armenian",
        >= 0x590 and < 0x600 => "Hebrew",
        >= 0x600 and < 0x780 => "Arabic",
        >= 0x900 and < 0xE00 => "Indic",
        >= 0xE00 and < 0xE80 => "Thai",
        >= 0x10A0 and < 0x1100 => "Georgian",
        (>= 0x1100 and < 0x1200) or (>= 0xAC00 and < 0xD7B0) => "Hangul",
        >= 0x3040 and < 0x3100 => "Kana",
        >= 0x3400 and < 0xA000 => "Han",
        _ => "another",
    };
}
