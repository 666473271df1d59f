using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// Changes what single heads of one layer read, and nothing else. Keys and values may be shared by a group of heads, so they are not touched:
/// scores are corrected by Δq·k + q·Δk + Δq·Δk, and mixed values by pattern × Δv, which is the same for the head.
/// </summary>
internal sealed class LocalChange
{
    private readonly Model model;
    private readonly int layer;
    private readonly DisposeScope owner;
    private readonly Dictionary<int, (Tensor Query, Tensor Key, Tensor Value)> heads = [];
    private Tensor? queries;
    private Tensor? keys;
    private Tensor? pattern;

    /// <param name="model">The folded model.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="changes">What is added to its normalised input for one receiver each.</param>
    /// <param name="withValues">Whether query, key and value of the head change; else the query on the destination side, the key on the source side.</param>
    /// <param name="tokens">The number of prompts and their padded length.</param>
    /// <param name="owner">The scope that holds what is kept during the pass.</param>
    public LocalChange(
        Model model, int layer, IEnumerable<(CircuitEdge Edge, EdgeChange Change)> changes, bool withValues, (int Prompts, int Length) tokens, DisposeScope owner)
    {
        (this.model, this.layer, this.owner) = (model, layer, owner);
        var (attention, width) = (model.Net.Blocks[layer].Attention, model.Config.HeadWidth);
        foreach (var ofHead in changes.GroupBy(c => c.Edge.Receiver.Index))
        {
            var keyHead = ofHead.Key / model.Config.GroupSize;
            heads[ofHead.Key] = (
                Turned(Sum(attention.W_Q[ofHead.Key], attention.b_Q?[ofHead.Key], SignalSide.Destination)),
                Turned(Sum(attention.W_K[keyHead], attention.b_K?[keyHead], SignalSide.Source)),
                Sum(attention.W_V[keyHead], attention.b_V?[keyHead], null));

            // [prompt, token, d_head]
            Tensor Sum(Tensor weight, Tensor? bias, SignalSide? side)
            {
                var sum = zeros([tokens.Prompts * tokens.Length, width], model.Dtype, model.Device);
                foreach (var (edge, change) in ofHead.Where(c => withValues || c.Edge.Side == side))
                {
                    var added = change.Vectors.to(model.Dtype).matmul(weight);
                    added = bias is null ? added : added.addcmul(change.Constants.to(model.Dtype).unsqueeze(1), bias, Scalars.One);
                    sum.index_add_(0, change.Rows, added, Scalars.One);
                }

                return sum.view(tokens.Prompts, tokens.Length, width);
            }
        }

        Tensor Turned(Tensor x) => attention.Rotary is not { } rotary
            ? x
            : rotary.At([.. Enumerable.Range(0, tokens.Length).Select(t => (long)t)], 1, model.Device, model.Dtype).Turn(x.unsqueeze(2)).squeeze(2);
    }

    public void AddTo(Hooks hooks)
    {
        var rotated = model.Net.Blocks[layer].Attention.Rotary is null ? "" : "rot_";
        hooks.Edit($"blocks.{layer}.attn.hook_{rotated}q", x => Keep(x, ref queries));
        hooks.Edit($"blocks.{layer}.attn.hook_{rotated}k", x => Keep(x, ref keys));
        hooks.Edit($"blocks.{layer}.attn.hook_pattern", x => Keep(x, ref pattern));
        hooks.Edit($"blocks.{layer}.attn.hook_attn_scores", scores =>
        {
            foreach (var (head, change) in heads)
            {
                var (q, k) = (queries!.select(2, head), keys!.select(2, head / model.Config.GroupSize));
                var added = change.Query.bmm(k.add(change.Key, Scalars.One).transpose(1, 2)).add(q.bmm(change.Key.transpose(1, 2)), Scalars.One);
                scores.select(1, head).add_(added.div(Scalars.Of(Math.Sqrt(model.Config.HeadWidth))), Scalars.One);
            }

            return scores;
        });
        hooks.Edit($"blocks.{layer}.attn.hook_z", z =>
        {
            foreach (var (head, change) in heads)
            {
                z.select(2, head).add_(pattern!.select(1, head).bmm(change.Value), Scalars.One);
            }

            return z;
        });
    }

    private Tensor Keep(Tensor x, ref Tensor? kept)
    {
        owner.Attach(kept = x.clone().DetachFromDisposeScope());
        return x;
    }
}
