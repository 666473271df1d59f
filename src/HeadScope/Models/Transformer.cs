namespace HeadScope;

/// <summary>The network of a model: its weights under the names of TransformerLens, and its forward pass, one for all families. Each weight is
/// read from the model's file when it is first used; what a property returns is the caller's to dispose, without effect on the model. It may
/// share the model's memory: clone it before you write to it. To change what a model computes, edit its activations.</summary>
public sealed class Transformer
{
    internal Transformer(Parameter embedding, Parameter? positions, Block[] blocks, Norm lnFinal, Linear unembedding) =>
        (Embedding, Positions, Blocks, LnFinal, Unembedding) = (embedding, positions, blocks, lnFinal, unembedding);

    /// <summary>Token embedding, [vocabulary, d_model].</summary>
    public Tensor W_E => Embedding.Fresh();

    /// <summary>Position embedding, [context, d_model]; null for models with rotary positions.</summary>
    public Tensor? W_pos => Positions?.Fresh();

    /// <summary>The blocks.</summary>
    public IReadOnlyList<Block> Blocks { get; }

    /// <summary>The norm before the unembedding.</summary>
    public Norm LnFinal { get; }

    /// <summary>Unembedding, [d_model, vocabulary].</summary>
    public Tensor W_U => Unembedding.Transposed();

    /// <summary>[vocabulary]; null for none.</summary>
    public Tensor? b_U => Unembedding.Bias?.Fresh();

    internal Parameter Embedding { get; }

    internal Parameter? Positions { get; }

    internal Linear Unembedding { get; }

    internal IEnumerable<Parameter> Matrices =>
        new[] { Embedding, Positions, Unembedding.Weight }.OfType<Parameter>().Concat(Blocks.SelectMany(block => block.Matrices)).Distinct();

    /// <summary>The same network but for the parts that are given.</summary>
    internal Transformer With(
        Parameter? embedding = null, Parameter? positions = null, Func<Block, Block>? block = null, Norm? lnFinal = null, Linear? unembedding = null) =>
        new(embedding ?? Embedding, positions ?? Positions, [.. block is null ? Blocks : Blocks.Select(block)], lnFinal ?? LnFinal, unembedding ?? Unembedding);

    /// <summary>Token ids to logits, [batch, position, vocabulary]; null where none are asked for.</summary>
    internal Tensor? Forward(ForwardRun run)
    {
        using var scope = NewDisposeScope();
        var x = Embed(run);
        for (var layer = 0; layer <= run.LastLayer; layer++)
        {
            run.Cancellation.ThrowIfCancellationRequested();
            using var last = x;
            x = Blocks[layer].Forward(x, run.At(layer));
        }

        run.Cancellation.ThrowIfCancellationRequested();
        if (!run.Finishes)
        {
            return null;
        }

        x = LnFinal.Forward(x, run.At(null).In("ln_final."));
        return run.Logits == LogitsOf.None
            ? null
            : Unembedding.ForwardByRows(run.Logits == LogitsOf.All ? x : run.LastPositions(x)).MoveToOuterDisposeScope();
    }

    private Tensor Embed(ForwardRun run)
    {
        using var scope = NewDisposeScope();
        long[] shape = [run.Lengths.Length, run.Longest, Embedding.Shape[1]];
        var x = run.At(null).Visit("hook_embed", Embedding.Pick(run.Tokens).reshape(shape));
        return (Positions is null
            ? x
            : x.add(run.At(null).Visit("hook_pos_embed", Positions.Pick(run.Places).reshape(shape)), Scalars.One)).MoveToOuterDisposeScope();
    }
}
