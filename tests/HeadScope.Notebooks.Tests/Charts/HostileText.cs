namespace HeadScope.Notebooks.Tests;

/// <summary>Texts that try to be something else than text.</summary>
internal static class HostileText
{
    public const string Attack = "</script><img src=x onerror=document.title='ran'>";

    public const string Script = "</script><script>document.title='ran'</script>";

    public const string Bidi = "\u202E$x^2$[LAYOUT]%{x}";

    public const string Mixed = "</script><script>alert(1)</script> <b>$x$</b> [LAYOUT] %{x}";

    public static readonly string[] Tokens =
        ["<|endoftext|>", " When", Attack, "[LAYOUT]", " \u202Eevil", "\uD800", "$x^2$", " %{x} &amp; \"'", "<b>bold</b>", "\n\n", " 日本語", "😀", "e\u0301", "", new('w', 90), " end"];

    /// <summary>What is to be seen of each.</summary>
    public static readonly string[] Seen =
        ["<|endoftext|>", "·When", Attack.Replace(' ', '·'), "[LAYOUT]", "·⟨U+202E⟩evil", "⟨U+D800⟩", "$x^2$", "·%{x}·&amp;·\"'", "<b>bold</b>", "↵↵", "·日本語", "😀", "e\u0301", "∅", new('w', 90), "·end"];
}
