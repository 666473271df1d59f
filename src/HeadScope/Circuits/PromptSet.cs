using System.Globalization;

namespace HeadScope;

/// <summary>
/// Prompts of one task, with the same roles. <see cref="Ioi"/>, <see cref="Induction"/> and <see cref="GreaterThan"/> give sets that are still
/// to be drawn: which words are single tokens, and so which prompts there are, depends on the tokenizer. Every call that takes a model
/// and prompts draws them; <see cref="For(Model)"/> does it before.
/// </summary>
public sealed record PromptSet
{
    private readonly Func<Tokenizer, PromptSet>? draw;

    /// <summary>Prompts that are there.</summary>
    /// <param name="name">What they are: <c>ioi</c>.</param>
    /// <param name="prompts">The prompts.</param>
    public PromptSet(string name, IReadOnlyList<CircuitPrompt> prompts) => (Name, Prompts, Count) = (name, prompts, prompts.Count);

    internal PromptSet(string name, int count, Func<PromptTokenizer, PromptSet> draw)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        (Name, Count, this.draw) = (name, count, tokenizer => draw(new PromptTokenizer(tokenizer)));
    }

    /// <summary>What they are: <c>ioi</c>.</summary>
    public string Name { get; }

    /// <summary>The number of prompts.</summary>
    public int Count { get; }

    /// <summary>The prompts.</summary>
    /// <exception cref="InvalidOperationException">They are not drawn yet.</exception>
    public IReadOnlyList<CircuitPrompt> Prompts
    {
        get => field ?? throw new InvalidOperationException(
            $"The prompts of '{Name}' are drawn for a tokenizer: call For(model) first, which returns them.");
        init;
    }

    /// <summary>The role of the token that heads behind the answer read, at which a trace begins; null for any.</summary>
    public string? RootSource { get; init; }

    /// <summary>The prompts that a text names, as the command line writes it: <c>ioi:64</c>.</summary>
    /// <param name="text">The name of the task, and after a colon the number of prompts; 64 without it.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>The prompts, to be drawn.</returns>
    /// <exception cref="FormatException">There is no such task, or the number is none.</exception>
    public static PromptSet Parse(string text, int seed = 0)
    {
        ArgumentNullException.ThrowIfNull(text);
        var parts = text.Split(':');
        var count = 64;
        if (parts.Length > 2
            || (parts.Length == 2 && (!int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out count) || count == 0)))
        {
            throw new FormatException($"'{text}' names no prompts: expected a task and a number of 1 or more, such as ioi:64.");
        }

        return parts[0] switch
        {
            Ioi.Name => Ioi.Prompts(count, seed),
            GreaterThan.Name => GreaterThan.Prompts(count, seed),
            Induction.Name => Induction.Prompts(count, seed),
            _ => throw new FormatException($"There is no task '{parts[0]}'; there are {Ioi.Name}, {GreaterThan.Name} and {Induction.Name}."),
        };
    }

    /// <summary>Draws the prompts, if they are still to be drawn.</summary>
    /// <param name="tokenizer">The tokenizer of the model that will read them.</param>
    /// <returns>The prompts; the same for the same seed and tokenizer.</returns>
    /// <exception cref="ArgumentException">Too few words are single tokens, or one that was given is not.</exception>
    public PromptSet For(Tokenizer tokenizer) => draw is null ? this : draw(tokenizer) with { RootSource = RootSource };

    /// <summary>Draws the prompts for a model, if they are still to be drawn.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The prompts.</returns>
    /// <exception cref="ArgumentException">Too few words are single tokens, or one that was given is not.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    public PromptSet For(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return draw is null ? this : For(model.Tokenizer);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Count} prompts{(draw is null ? "" : ", to be drawn for a model")}";

    /// <summary>Draws the prompts for a model and checks that it can be traced on them.</summary>
    /// <exception cref="ArgumentException">There are none; one is empty, longer than the context, holds or expects an unknown token, has
    /// other roles than the first, or a role outside its tokens.</exception>
    internal PromptSet SoundFor(Model model)
    {
        var set = For(model);
        if (set.Count == 0)
        {
            throw new ArgumentException($"The prompt set '{Name}' is empty.");
        }

        for (var p = 0; p < set.Count; p++)
        {
            if (Fault(set.Prompts[p], set.Prompts[0], model.Config) is { } fault)
            {
                throw new ArgumentException($"Prompt {p} of '{Name}' {fault}");
            }
        }

        return set;
    }

    /// <summary>Checks that all prompts have a role.</summary>
    /// <exception cref="ArgumentException">They have not.</exception>
    internal void RequireRole(string role, string advice = "")
    {
        if (Prompts[0].PositionOf(role) is null)
        {
            throw new ArgumentException($"The prompts of '{Name}' have no role {role}; they have {RolesOf(Prompts[0])}.{advice}");
        }
    }

    private static string? Fault(CircuitPrompt prompt, CircuitPrompt first, TransformerConfig config)
    {
        var length = prompt.Tokens.Count;
        if (length == 0 || length > config.ContextLength)
        {
            return $"has {length} tokens; the model reads 1 to {config.ContextLength}.";
        }

        if (prompt.Tokens.Any(IsUnknown))
        {
            return $"holds token {prompt.Tokens.First(IsUnknown)}; the model knows 0 to {config.VocabularySize - 1}.";
        }

        foreach (var token in new[] { prompt.Answer, prompt.Distractor }.OfType<int>().Where(IsUnknown))
        {
            return $"expects token {token} as answer or distractor; the model knows 0 to {config.VocabularySize - 1}.";
        }

        if (!prompt.Roles.Select(r => r.Key).SequenceEqual(first.Roles.Select(r => r.Key), StringComparer.Ordinal))
        {
            return $"has the roles {RolesOf(prompt)}; prompt 0 has {RolesOf(first)}. Traces merge by role, so all prompts need the same.";
        }

        foreach (var (role, position) in prompt.Roles.Where(r => r.Value < 0 || r.Value >= length))
        {
            return $"has the role {role}, which stands at {position}; the prompt has {length} tokens.";
        }

        return null;

        bool IsUnknown(int token) => token < 0 || token >= config.VocabularySize;
    }

    private static string RolesOf(CircuitPrompt prompt) => string.Join(", ", prompt.Roles.Select(r => r.Key));
}
