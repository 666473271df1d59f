namespace HeadScope;

/// <summary>Prompts of one task, with the same roles. <see cref="Ioi"/>, <see cref="Induction"/> and <see cref="GreaterThan"/> give sets that are
/// still to be drawn: which words are single tokens, and so which prompts there are, depends on the tokenizer. Every call that takes a model and
/// prompts draws them; <see cref="For(Model)"/> does it before.</summary>
public sealed record PromptSet
{
    private readonly Func<Tokenizer, IEnumerable<CircuitPrompt>>? draw;

    /// <summary>Prompts that are there.</summary>
    /// <param name="name">What they are: <c>ioi</c>.</param>
    /// <param name="prompts">The prompts.</param>
    /// <exception cref="ArgumentException">There is no list, or one of its prompts is null.</exception>
    public PromptSet(string name, IReadOnlyList<CircuitPrompt> prompts)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        Fault.ArgumentIf(prompts.Any(p => p?.Tokens is null || p.Roles is null), $"A prompt of '{name}' is null, or has no tokens or no roles.");
        (Name, Prompts, Count) = (name, prompts, prompts.Count);
    }

    internal PromptSet(string name, int count, string rootSource, int seed, Func<PromptTokenizer, Random, IEnumerable<CircuitPrompt>> draw)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        (Name, Count, RootSource, this.draw) = (name, count, rootSource, tokenizer => draw(new(tokenizer), new Random(seed)));
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
    public PromptSet For(Tokenizer tokenizer) => draw is null ? this : new(Name, [.. draw(tokenizer)]) { RootSource = RootSource };

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
        var (set, config) = (For(model), model.Config);
        Fault.ArgumentIf(set.Count == 0, $"The prompt set '{Name}' is empty.");
        foreach (var (p, prompt) in set.Prompts.Index())
        {
            var (length, first) = (prompt.Tokens.Count, set.Prompts[0]);
            Refuse(length == 0 || length > config.ContextLength, $"has {length} tokens; the model reads 1 to {config.ContextLength}.");
            Refuse(
                prompt.Tokens.Any(IsUnknown), $"holds token {prompt.Tokens.FirstOrDefault(IsUnknown)}; the model knows 0 to {config.VocabularySize - 1}.");
            foreach (var token in new[] { prompt.Answer, prompt.Distractor }.OfType<int>())
            {
                Refuse(IsUnknown(token), $"expects token {token} as answer or distractor; the model knows 0 to {config.VocabularySize - 1}.");
            }

            Refuse(
                !prompt.Roles.Select(r => r.Key).SequenceEqual(first.Roles.Select(r => r.Key), StringComparer.Ordinal),
                $"has the roles {prompt.RoleNames}; prompt 0 has {first.RoleNames}. Traces merge by role, so all prompts need the same.");
            foreach (var (role, position) in prompt.Roles)
            {
                Refuse(position < 0 || position >= length, $"has the role {role}, which stands at {position}; the prompt has {length} tokens.");
            }

            void Refuse(bool isSo, string fault) => Fault.ArgumentIf(isSo, $"Prompt {p} of '{Name}' {fault}");
        }

        return set;

        bool IsUnknown(int token) => token < 0 || token >= config.VocabularySize;
    }

    /// <summary>Checks that all prompts have a role.</summary>
    /// <exception cref="ArgumentException">They have not.</exception>
    internal void RequireRole(string role, string advice = "") => Fault.ArgumentIf(
        Prompts[0].PositionOf(role) is null, $"The prompts of '{Name}' have no role {role}; they have {Prompts[0].RoleNames}.{advice}");
}

/// <summary>One prompt of a task, with the roles that its tokens play.</summary>
/// <param name="Tokens">The token ids that the model reads; the last one is the place of the prediction.</param>
/// <param name="Roles">The position of each role, in the order of naming: IO, S1, S2, end, … Where two roles stand at one position the later one
/// names it.</param>
/// <param name="Answer">The token that the task expects next; null when there is none to compare.</param>
/// <param name="Distractor">The token it competes with; null when there is none.</param>
/// <param name="Text">The text, where the prompt has one.</param>
public sealed record CircuitPrompt(
    IReadOnlyList<int> Tokens, IReadOnlyList<KeyValuePair<string, int>> Roles, int? Answer = null, int? Distractor = null, string? Text = null)
{
    internal string RoleNames => string.Join(", ", Roles.Select(r => r.Key));

    /// <summary>The position of a role.</summary>
    /// <param name="role">The role.</param>
    /// <returns>The position; null when the prompt has no such role.</returns>
    public int? PositionOf(string role) => Roles.Where(r => r.Key == role).Select(r => (int?)r.Value).FirstOrDefault();

    /// <summary>The role of a position: the last one that stands there.</summary>
    /// <param name="position">The position.</param>
    /// <returns>The role; null when the position has none.</returns>
    public string? RoleAt(int position) => Roles.LastOrDefault(r => r.Value == position).Key;
}
