namespace HeadScope;

/// <summary>One block: x + attention(ln1(x)), then that + mlp(ln2(that)); or, in a parallel block, x + attention(ln1(x)) + mlp(ln2(x)).</summary>
public sealed class Block
{
    internal Block(Norm ln1, Attention attention, Norm ln2, Mlp mlp, bool parallel) =>
        (Ln1, Attention, Ln2, Mlp, Parallel) = (ln1, attention, ln2, mlp, parallel);

    /// <summary>The norm before attention.</summary>
    public Norm Ln1 { get; }

    /// <summary>The attention.</summary>
    public Attention Attention { get; }

    /// <summary>The norm before the MLP; the same object as <see cref="Ln1"/> where one serves both.</summary>
    public Norm Ln2 { get; }

    /// <summary>The MLP.</summary>
    public Mlp Mlp { get; }

    /// <summary>Whether the MLP reads what the attention reads, not its result.</summary>
    public bool Parallel { get; }

    internal IEnumerable<Parameter> Matrices => new[]
    {
        Attention.Query, Attention.Key, Attention.Value, Attention.Output, Mlp.Input, Mlp.Gate, Mlp.Output,
    }.OfType<Linear>().Select(linear => linear.Weight);

    /// <summary>The same block but for the parts that are given.</summary>
    internal Block With(Norm? ln1 = null, Attention? attention = null, Norm? ln2 = null, Mlp? mlp = null) =>
        new(ln1 ?? Ln1, attention ?? Attention, ln2 ?? Ln2, mlp ?? Mlp, Parallel);

    internal Tensor Forward(Tensor x, HookPlace at)
    {
        using var scope = NewDisposeScope();
        x = at.Visit("hook_resid_pre", x);
        var read = Ln1.Forward(x, at.In("ln1."));
        var attention = at.Visit("hook_attn_out", Attention.Forward(read, at.In("attn.")));
        var middle = Parallel ? x : at.Visit("hook_resid_mid", x.add(attention, Scalars.One));
        read = ReferenceEquals(Ln1, Ln2) ? read : Ln2.Forward(middle, at.In("ln2."));
        var sum = middle.add(at.Visit("hook_mlp_out", Mlp.Forward(read, at.In("mlp."))), Scalars.One);
        return at.Visit("hook_resid_post", Parallel ? sum.add_(attention, Scalars.One) : sum).MoveToOuterDisposeScope();
    }
}
