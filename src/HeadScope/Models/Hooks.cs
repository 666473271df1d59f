namespace HeadScope;

/// <summary>What a forward pass does at its activations: keeps them, or changes them. Activations have the names of TransformerLens
/// (<c>blocks.3.attn.hook_z</c>); <c>*</c> stands for any text.</summary>
/// <example><c>model.Run(text, new Hooks().Keep("blocks.*.attn.hook_pattern"))</c></example>
public sealed class Hooks
{
    private readonly List<(string Name, Func<Tensor, HookPoint, Tensor>? Edit)> all = [];

    internal IReadOnlyList<(string Name, Func<Tensor, HookPoint, Tensor>? Edit)> All => all;

    /// <summary>Keeps activations as they are after all edits; <see cref="ForwardPass"/> has them.</summary>
    /// <param name="names">Their names.</param>
    /// <returns>These hooks.</returns>
    public Hooks Keep(params IEnumerable<string> names)
    {
        all.AddRange(names.Select(name => (name, (Func<Tensor, HookPoint, Tensor>?)null)));
        return this;
    }

    /// <summary>Replaces activations by what <paramref name="edit"/> returns; several edits of one are called in the order given.</summary>
    /// <param name="name">The name.</param>
    /// <param name="edit">Gets the activation, in the model's dtype (hook_scale in fp32 at least) and on its device, which it may change in
    /// place and return; returns one of the same shape, dtype and device. Runs in a dispose scope of the pass: what it gets and makes is
    /// disposed soon after, so keep a clone that is detached from the scope.</param>
    /// <returns>These hooks.</returns>
    public Hooks Edit(string name, Func<Tensor, Tensor> edit)
    {
        ArgumentNullException.ThrowIfNull(edit);
        return Edit(name, (value, _) => edit(value));
    }

    /// <summary>Replaces activations by what <paramref name="edit"/> returns, and tells it where it is.</summary>
    /// <inheritdoc cref="Edit(string, Func{Tensor, Tensor})"/>
    public Hooks Edit(string name, Func<Tensor, HookPoint, Tensor> edit)
    {
        ArgumentNullException.ThrowIfNull(edit);
        all.Add((name, edit));
        return this;
    }
}

/// <summary>Where in a forward pass a hook is called.</summary>
/// <param name="Name">The activation's full name: <c>blocks.3.attn.hook_z</c>.</param>
/// <param name="Layer">Its layer; null outside the blocks.</param>
/// <param name="Lengths">The number of tokens of each sequence of the batch; positions from there on are padding.</param>
/// <param name="Mask">Bool, [batch, position]: true where there is a token, false where there is padding. <c>z[at.Mask]</c> is z of all
/// tokens, [token, head, d_head].</param>
public sealed record HookPoint(string Name, int? Layer, IReadOnlyList<int> Lengths, Tensor Mask);
