using System.Collections.Frozen;

namespace HeadScope.Notebooks.Running.Mathematics;

/// <summary>The letters, operators, spaces and accents of LaTeX that equations here may use, and the characters for them.</summary>
internal static class MathSymbols
{
    private static readonly FrozenDictionary<string, string> Letters = Pairs(
        "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π "
        + "rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω "
        + "Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω ell ℓ infty ∞ emptyset ∅ varnothing ∅ top ⊤ bot ⊥ hbar ℏ nabla ∇ partial ∂");

    private static readonly FrozenDictionary<string, string> Operators = Pairs(
        "times × cdot ⋅ div ÷ pm ± mp ∓ circ ∘ ast ∗ star ⋆ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ cup ∪ cap ∩ setminus ∖ wedge ∧ vee ∨ land ∧ lor ∨ neg ¬ lnot ¬ "
        + "le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ ll ≪ gg ≫ approx ≈ sim ∼ simeq ≃ cong ≅ equiv ≡ propto ∝ prec ≺ succ ≻ perp ⊥ parallel ∥ mid ∣ "
        + "in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆ supset ⊃ supseteq ⊇ forall ∀ exists ∃ "
        + "to → rightarrow → leftarrow ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ mapsto ↦ longrightarrow ⟶ uparrow ↑ downarrow ↓ "
        + "sum ∑ prod ∏ coprod ∐ int ∫ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ "
        + "ldots … cdots ⋯ dots … vdots ⋮ ddots ⋱ colon : prime ′ dagger † "
        + "lVert ‖ rVert ‖ Vert ‖ | ‖ lvert | rvert | vert | langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ { { } } lbrace { rbrace } lbrack [ rbrack ] "
        + "% % & & # # $ $ _ _");

    private static readonly FrozenDictionary<string, string> Accents = Pairs(
        "hat ^ widehat ^ tilde ~ widetilde ~ bar ¯ overline ¯ underline _ vec → dot ˙ ddot ¨ check ˇ breve ˘ acute ´ grave `");

    private static readonly FrozenSet<string> Functions =
        "arccos arcsin arctan arg argmax argmin cos cosh cot deg det dim exp inf ker lim ln log max min Pr rank sign sin sinh softmax sup tan tanh tr"
            .Split(' ').ToFrozenSet(StringComparer.Ordinal);

    private static readonly FrozenDictionary<char, string> DoubleStruck = Exceptions("Cℂ Hℍ Nℕ Pℙ Qℚ Rℝ Zℤ");

    private static readonly FrozenDictionary<char, string> Script = Exceptions("Bℬ Eℰ Fℱ Hℋ Iℐ Lℒ Mℳ Rℛ eℯ gℊ oℴ");

    /// <summary>The letter that a command stands for.</summary>
    public static string? Letter(string name) => Letters.GetValueOrDefault(name);

    /// <summary>Whether a letter is upright where others lean: capitals of Greek, and signs that are no letters.</summary>
    public static bool IsUpright(string name) => char.IsAsciiLetterUpper(name[0]) || name is "infty" or "emptyset" or "varnothing" or "top" or "bot" or "nabla";

    /// <summary>The operator, relation, arrow or bracket that a command stands for.</summary>
    public static string? Operator(string name) => Operators.GetValueOrDefault(name);

    /// <summary>The character above or below what a command applies to.</summary>
    public static string? Accent(string name) => Accents.GetValueOrDefault(name);

    /// <summary>Whether a command is the name of a function, which is set upright.</summary>
    public static bool IsFunction(string name) => Functions.Contains(name);

    /// <summary>Whether an operator has its bounds below and above it when there is room.</summary>
    public static bool TakesLimits(string text) => text is "∑" or "∏" or "∐" or "⋃" or "⋂" or "⨁" or "⨂";

    /// <summary>How wide the space is that a command makes, in em.</summary>
    public static double? Space(string name) => name switch
    {
        "," => 0.1667,
        ":" or ">" => 0.2222,
        ";" => 0.2778,
        "!" => -0.1667,
        " " or "\n" => 0.25,
        "quad" => 1,
        "qquad" => 2,
        _ => null,
    };

    /// <summary>A letter or digit in one of the alphabets <c>mathbb</c>, <c>mathbf</c> and <c>mathcal</c>; null where it has no such form.</summary>
    public static string? InAlphabet(string alphabet, char letter)
    {
        var (capitals, small, digits, exceptions) = alphabet switch
        {
            "mathbb" => (0x1D538, 0x1D552, 0x1D7D8, DoubleStruck),
            "mathbf" => (0x1D400, 0x1D41A, 0x1D7CE, FrozenDictionary<char, string>.Empty),
            _ => (0x1D49C, 0x1D4B6, 0, Script),
        };
        return exceptions.TryGetValue(letter, out var other) ? other
            : char.IsAsciiLetterUpper(letter) ? char.ConvertFromUtf32(capitals + letter - 'A')
            : char.IsAsciiLetterLower(letter) ? char.ConvertFromUtf32(small + letter - 'a')
            : char.IsAsciiDigit(letter) && digits > 0 ? char.ConvertFromUtf32(digits + letter - '0')
            : null;
    }

    private static FrozenDictionary<string, string> Pairs(string text) =>
        text.Split(' ').Chunk(2).ToFrozenDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

    private static FrozenDictionary<char, string> Exceptions(string text) => text.Split(' ').ToFrozenDictionary(pair => pair[0], pair => pair[1..]);
}
