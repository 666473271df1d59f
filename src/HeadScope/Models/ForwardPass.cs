namespace HeadScope;

/// <summary>What a forward pass returned. Its tensors are the caller's; disposing the pass disposes them.</summary>
/// <param name="Lengths">The number of tokens of each sequence; positions from there on are padding and mean nothing.</param>
/// <param name="Logits">[batch, position, vocabulary], with one position for <see cref="LogitsOf.LastPosition"/>; null when none were
/// asked for.</param>
/// <param name="Activations">The activations that were kept, by name.</param>
public sealed record ForwardPass(IReadOnlyList<int> Lengths, Tensor? Logits, IReadOnlyDictionary<string, Tensor> Activations) : IDisposable
{
    /// <summary>An activation that was kept.</summary>
    /// <param name="name">Its full name.</param>
    /// <exception cref="KeyNotFoundException">It was not kept.</exception>
    public Tensor this[string name] => Activations.TryGetValue(name, out var activation)
        ? activation
        : throw new KeyNotFoundException($"'{name}' was not kept; name it in Hooks.Keep, and let the pass come to it.");

    /// <summary>Frees all tensors of the pass.</summary>
    public void Dispose()
    {
        Logits?.Dispose();
        foreach (var activation in Activations.Values)
        {
            activation.Dispose();
        }
    }
}

/// <summary>Of which positions a forward pass returns logits.</summary>
public enum LogitsOf
{
    /// <summary>Of every position.</summary>
    All,

    /// <summary>Of the last token of each sequence.</summary>
    LastPosition,

    /// <summary>Of none; layers behind the last one that is asked about are not computed.</summary>
    None,
}
