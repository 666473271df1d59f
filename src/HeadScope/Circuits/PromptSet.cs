namespace HeadScope;

/// <summary>Prompts of one task, with the same roles.</summary>
/// <param name="Name">What they are: <c>ioi</c>.</param>
/// <param name="Prompts">The prompts.</param>
public sealed record PromptSet(string Name, IReadOnlyList<CircuitPrompt> Prompts)
{
    /// <summary>The role of the token that heads behind the answer read, at which a trace begins; null for any.</summary>
    public string? RootSource { get; init; }

    /// <summary>The number of prompts.</summary>
    public int Count => Prompts.Count;

    /// <summary>Checks that a model can be traced on the prompts.</summary>
    /// <param name="contextLength">The longest prompt that the model reads.</param>
    /// <param name="vocabularySize">The number of tokens that it knows.</param>
    /// <exception cref="ArgumentException">There are none; one is empty, longer than the context, holds or expects an unknown token, has
    /// other roles than the first, or a role outside its tokens.</exception>
    internal void RequireSound(int contextLength, int vocabularySize)
    {
        if (Prompts.Count == 0)
        {
            throw new ArgumentException($"The prompt set '{Name}' is empty.");
        }

        for (var p = 0; p < Prompts.Count; p++)
        {
            var prompt = Prompts[p];
            if (prompt.Tokens.Count == 0 || prompt.Tokens.Count > contextLength)
            {
                throw new ArgumentException(
                    $"Prompt {p} of '{Name}' has {prompt.Tokens.Count} tokens; the model reads 1 to {contextLength}.");
            }

            foreach (var token in prompt.Tokens)
            {
                if (token < 0 || token >= vocabularySize)
                {
                    throw new ArgumentException($"Prompt {p} of '{Name}' holds token {token}; the model knows 0 to {vocabularySize - 1}.");
                }
            }

            foreach (var token in new[] { prompt.Answer, prompt.Distractor })
            {
                if (token < 0 || token >= vocabularySize)
                {
                    throw new ArgumentException(
                        $"Prompt {p} of '{Name}' expects token {token} as answer or distractor; the model knows 0 to {vocabularySize - 1}.");
                }
            }

            if (!prompt.Roles.Select(r => r.Key).SequenceEqual(Prompts[0].Roles.Select(r => r.Key), StringComparer.Ordinal))
            {
                throw new ArgumentException(
                    $"Prompt {p} of '{Name}' has the roles {string.Join(", ", prompt.Roles.Select(r => r.Key))}; prompt 0 has "
                    + $"{string.Join(", ", Prompts[0].Roles.Select(r => r.Key))}. Traces merge by role, so all prompts need the same.");
            }

            foreach (var (role, position) in prompt.Roles)
            {
                if (position < 0 || position >= prompt.Tokens.Count)
                {
                    throw new ArgumentException(
                        $"Role {role} of prompt {p} of '{Name}' stands at {position}; the prompt has {prompt.Tokens.Count} tokens.");
                }
            }
        }
    }
}
