using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// Changes what single heads of one layer read, and nothing else. Keys and values may be shared by a group of heads, so they are not touched:
/// scores are corrected by Δq·k + q·Δk + Δq·Δk, and mixed values by pattern × Δv, which is the same for the head.
/// </summary>
internal sealed class LocalChange
{
    private readonly string start;
    private readonly DisposeScope owner;
    private readonly (int Head, int KeyHead, Tensor Query, Tensor Key, Tensor Value)[] heads;
    private readonly double width;
    private readonly bool rotates;
    private Tensor? queries;
    private Tensor? keys;
    private Tensor? pattern;

    /// <param name="pass">The pass of which the changes are.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="changes">What is added to its normalised input for one receiver each.</param>
    /// <param name="withValues">Whether query, key and value of the head change; else the query on the destination side, the key on the source side.</param>
    /// <param name="owner">The scope that holds what is kept during the pass.</param>
    public LocalChange(PromptPass pass, int layer, IEnumerable<(CircuitEdge Edge, EdgeChange Change)> changes, bool withValues, DisposeScope owner)
    {
        var model = pass.Folded.Model;
        var attention = model.Net.Blocks[layer].Attention;
        (start, this.owner, width, rotates) = ($"blocks.{layer}.attn.hook_", owner, model.Config.HeadWidth, attention.Rotary is not null);
        heads = [.. changes.GroupBy(c => c.Edge.Receiver.Index).Select(ofHead =>
        {
            var (head, keyHead) = (ofHead.Key, ofHead.Key / model.Config.GroupSize);
            return (
                head,
                keyHead,
                Turned(Sum(attention.W_Q[head], attention.b_Q?[head], SignalSide.Destination)),
                Turned(Sum(attention.W_K[keyHead], attention.b_K?[keyHead], SignalSide.Source)),
                Sum(attention.W_V[keyHead], attention.b_V?[keyHead], null));

            // [prompt, token, d_head]
            Tensor Sum(Tensor weight, Tensor? bias, SignalSide? side)
            {
                var sum = zeros([(long)pass.Count * pass.Length, weight.shape[1]], model.Dtype, model.Device);
                foreach (var (edge, change) in ofHead.Where(c => withValues || c.Edge.Side == side))
                {
                    var added = change.Vectors.to(model.Dtype).matmul(weight);
                    added = bias is null ? added : added.addcmul(change.Constants.to(model.Dtype).unsqueeze(1), bias, Scalars.One);
                    sum.index_add_(0, change.Rows, added, Scalars.One);
                }

                return sum.view(pass.Count, pass.Length, -1);
            }
        })];

        Tensor Turned(Tensor x) => attention.Rotary is not { } rotary
            ? x
            : rotary.At([.. Enumerable.Range(0, pass.Length).Select(t => (long)t)], 1, model.Device, model.Dtype).Turn(x.unsqueeze(2)).squeeze(2);
    }

    public void AddTo(Hooks hooks) => hooks
        .Edit(start + (rotates ? "rot_q" : "q"), x => Keep(x, ref queries))
        .Edit(start + (rotates ? "rot_k" : "k"), x => Keep(x, ref keys))
        .Edit(start + "pattern", x => Keep(x, ref pattern))
        .Edit(start + "attn_scores", scores =>
        {
            foreach (var (head, keyHead, query, key, _) in heads)
            {
                var (q, k) = (queries!.select(2, head), keys!.select(2, keyHead));
                var added = query.bmm(k.add(key, Scalars.One).transpose(1, 2)).add(q.bmm(key.transpose(1, 2)), Scalars.One);
                scores.select(1, head).add_(added.div(Scalars.Of(Math.Sqrt(width))), Scalars.One);
            }

            return scores;
        })
        .Edit(start + "z", z =>
        {
            Array.ForEach(heads, h => z.select(2, h.Head).add_(pattern!.select(1, h.Head).bmm(h.Value), Scalars.One));
            return z;
        });

    private Tensor Keep(Tensor x, ref Tensor? kept)
    {
        owner.Attach(kept = x.clone().DetachFromDisposeScope());
        return x;
    }
}
