using System.Buffers;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>The attention of a layer.</summary>
internal sealed partial class ForwardRun
{
    private void Attend(int layer, Attention attention)
    {
        var (heads, keyHeads, width) = (config.HeadCount, config.KeyValueHeadCount, config.HeadWidth);
        var x = new ReadOnlyMatrix(normalized, Rows, config.ModelWidth);
        attention.Query.Apply(x, new(query, Rows, QueryWidth));
        Visit(layer, "attn.hook_q", query, heads, width);
        attention.Key.Apply(x, new(key, Rows, keyHeads * width));
        Visit(layer, "attn.hook_k", key, keyHeads, width);
        attention.Value.Apply(x, new(value, Rows, keyHeads * width));
        Visit(layer, "attn.hook_v", value, keyHeads, width);
        if (config.Rotary is { } rotary)
        {
            ForEachToken((b, t, row) =>
            {
                var angle = angles.AsSpan((past[b] + t - firstAngle) * rotary.Dimensions, rotary.Dimensions);
                rotary.Rotate(query.AsSpan(row * QueryWidth, QueryWidth), width, angle);
                rotary.Rotate(key.AsSpan(row * keyHeads * width, keyHeads * width), width, angle);
            });
            Visit(layer, "attn.hook_rot_q", query, heads, width);
            Visit(layer, "attn.hook_rot_k", key, keyHeads, width);
        }

        var (keys, values, keyRows) = (key, value, longest);
        if (options.Cache is { } cache)
        {
            cache.Reserve(keyCount);
            keys = cache.Append(ofKeys: true, layer, key, longest, lengths);
            values = cache.Append(ofKeys: false, layer, value, longest, lengths);
            keyRows = cache.Capacity;
        }

        Mix(layer, keys, values, keyRows);
        Visit(layer, "attn.hook_z", mixed, heads, width);
        Project(layer, attention.Output);
    }

    // scores → pattern → z. The [batch, head, query, key] arrays exist only when somebody wants to see them.
    private void Mix(int layer, float[] keys, float[] values, int keyRows)
    {
        var heads = config.HeadCount;
        var blocks = (longest + QueriesPerTask - 1) / QueriesPerTask;
        var tasks = batch.Count * heads * blocks;
        Array.Clear(mixed);
        if (!IsSite(layer, "attn.hook_attn_scores") && !IsSite(layer, "attn.hook_pattern"))
        {
            Parallelism.For(tasks, task =>
            {
                var (b, head, first) = Split(task);
                var count = Math.Min(QueriesPerTask, lengths[b] - first);
                if (count <= 0)
                {
                    return;
                }

                var limit = past[b] + first + count;
                var rented = ArrayPool<float>.Shared.Rent(count * limit);
                var scores = rented.AsSpan(0, count * limit);
                Score(b, head, first, count, keys, keyRows, limit, scores, limit);
                for (var i = 0; i < count; i++)
                {
                    Elementwise.Softmax(scores.Slice(i * limit, limit), scores.Slice(i * limit, limit));
                }

                Average(b, head, first, count, values, keyRows, limit, scores, limit);
                ArrayPool<float>.Shared.Return(rented);
            }, cancellation);
            return;
        }

        var all = new float[checked(batch.Count * heads * longest * keyCount)];
        Parallelism.For(tasks, task =>
        {
            var (b, head, first) = Split(task);
            var target = Queries(b, head, first);
            target.Fill(float.NegativeInfinity);
            if (lengths[b] > first)
            {
                var count = Math.Min(QueriesPerTask, lengths[b] - first);
                Score(b, head, first, count, keys, keyRows, past[b] + first + count, target, keyCount);
            }
        }, cancellation);
        Visit4(layer, "attn.hook_attn_scores", all);
        Parallelism.For(tasks, task =>
        {
            var (b, head, first) = Split(task);
            var target = Queries(b, head, first);
            for (var i = 0; i * keyCount < target.Length; i++)
            {
                var row = target.Slice(i * keyCount, keyCount);
                if (first + i < lengths[b])
                {
                    Elementwise.Softmax(row, row);
                }
                else
                {
                    row.Clear();
                }
            }
        }, cancellation);
        Visit4(layer, "attn.hook_pattern", all);
        Parallelism.For(tasks, task =>
        {
            var (b, head, first) = Split(task);
            var count = Math.Min(QueriesPerTask, lengths[b] - first);
            if (count > 0)
            {
                Average(b, head, first, count, values, keyRows, past[b] + lengths[b], Queries(b, head, first), keyCount);
            }
        }, cancellation);

        (int Sequence, int Head, int FirstQuery) Split(int task) =>
            (task / (heads * blocks), task / blocks % heads, task % blocks * QueriesPerTask);

        Span<float> Queries(int b, int head, int first) => all.AsSpan(
            ((((b * heads) + head) * longest) + first) * keyCount, Math.Min(QueriesPerTask, longest - first) * keyCount);

        void Visit4(int l, string name, float[] array) => VisitShape(l, name, array, [batch.Count, heads, longest, keyCount]);
    }

    private void Score(
        int b, int head, int first, int count, float[] keys, int keyRows, int limit, Span<float> scores, int stride)
    {
        var width = config.HeadWidth;
        var keyWidth = config.KeyValueHeadCount * width;
        var q = new ReadOnlyMatrix(query.AsSpan((((b * longest) + first) * QueryWidth) + (head * width)), count, width, QueryWidth);
        var k = new ReadOnlyMatrix(
            keys.AsSpan((b * keyRows * keyWidth) + (head / config.GroupSize * width)), limit, width, keyWidth);
        MatrixProduct.Multiply(q, k.Transpose(), new(scores, count, limit, stride));
        var factor = (float)(1 / Math.Sqrt(width));
        for (var i = 0; i < count; i++)
        {
            var row = scores.Slice(i * stride, limit);
            TensorPrimitives.Multiply(row, factor, row);
            row[(past[b] + first + i + 1)..].Fill(float.NegativeInfinity);
        }
    }

    private void Average(
        int b, int head, int first, int count, float[] values, int keyRows, int limit, ReadOnlySpan<float> pattern, int stride)
    {
        var width = config.HeadWidth;
        var keyWidth = config.KeyValueHeadCount * width;
        var v = new ReadOnlyMatrix(
            values.AsSpan((b * keyRows * keyWidth) + (head / config.GroupSize * width)), limit, width, keyWidth);
        var z = new Matrix(mixed.AsSpan((((b * longest) + first) * QueryWidth) + (head * width)), count, width, QueryWidth);
        MatrixProduct.Multiply(new(pattern, count, limit, stride), v, z);
    }

    private void Project(int layer, Linear output)
    {
        var z = new ReadOnlyMatrix(mixed, Rows, QueryWidth);
        if (!IsSite(layer, "attn.hook_result"))
        {
            output.Apply(z, new(attentionOut, Rows, config.ModelWidth));
            return;
        }

        var (heads, width, d) = (config.HeadCount, config.HeadWidth, config.ModelWidth);
        var results = new float[checked(Rows * heads * d)];
        for (var head = 0; head < heads; head++)
        {
            MatrixProduct.Multiply(
                z.SliceColumns(head * width, width),
                output.Weight.SliceRows(head * width, width),
                new(results.AsSpan(head * d), Rows, d, heads * d));
        }

        Visit(layer, "attn.hook_result", results, heads, d);
        ForEachRow(row =>
        {
            var sum = attentionOut.AsSpan(row * d, d);
            sum.Clear();
            if (output.HasBias)
            {
                output.Bias.CopyTo(sum);
            }

            for (var head = 0; head < heads; head++)
            {
                TensorPrimitives.Add(sum, results.AsSpan(((row * heads) + head) * d, d), sum);
            }
        });
    }
}
