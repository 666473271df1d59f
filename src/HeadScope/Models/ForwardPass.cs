using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>What a forward pass returned.</summary>
/// <param name="Lengths">The number of tokens of each sequence; positions from there on are padding and mean nothing.</param>
/// <param name="Logits">[batch, position, vocabulary], with one position for <see cref="LogitsOf.LastPosition"/>; null when none were
/// asked for.</param>
/// <param name="Activations">The activations asked for, by name.</param>
public sealed record ForwardPass(
    IReadOnlyList<int> Lengths, Tensor<float>? Logits, IReadOnlyDictionary<string, Tensor<float>> Activations)
{
    /// <summary>An activation that was asked for.</summary>
    /// <param name="name">Its full name.</param>
    /// <exception cref="KeyNotFoundException">It was not asked for.</exception>
    public Tensor<float> this[string name] => Activations.TryGetValue(name, out var activation)
        ? activation
        : throw new KeyNotFoundException($"'{name}' was not asked for; name it in RunOptions.Activations.");
}
