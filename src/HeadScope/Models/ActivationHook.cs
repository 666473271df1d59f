namespace HeadScope;

/// <summary>An intervention: code that sees an activation during a forward pass and may change it; what follows uses the change.</summary>
/// <param name="Name">The activation's TransformerLens name, such as <c>blocks.3.attn.hook_z</c>; <c>*</c> stands for any text.</param>
/// <param name="Edit">Called once for each activation with such a name, in the order of the forward pass.</param>
public sealed record ActivationHook(string Name, Action<ActivationContext> Edit);
