using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// One forward pass. Rows of all buffers are tokens, sequence after sequence, each padded on the right to the longest: since
/// attention looks back only, padding changes nothing before it. Buffers are reused from layer to layer; what is asked for is copied.
/// </summary>
internal sealed partial class ForwardRun
{
    // Queries of one head handled at a time: small enough that their scores stay in the cache.
    private const int QueriesPerTask = 64;
    private const int RowsPerTask = 16;

    private readonly TransformerConfig config;
    private readonly Parameters parameters;
    private readonly IReadOnlyList<int[]> batch;
    private readonly RunOptions options;
    private readonly CancellationToken cancellation;
    private readonly Dictionary<string, Site> sites = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Tensor<float>> kept = new(StringComparer.Ordinal);
    private readonly int[] lengths;
    private readonly int[] past;
    private readonly int longest;
    private readonly int keyCount;
    private readonly int lastLayer;
    private readonly bool finish;

    private readonly float[] residual;
    private readonly float[] normalized;
    private readonly float[] scale;
    private readonly float[] query;
    private readonly float[] key;
    private readonly float[] value;
    private readonly float[] mixed;
    private readonly float[] attentionOut;
    private readonly float[] hidden;
    private readonly float[] hiddenLinear;
    private readonly float[] mlpOut;
    private readonly float[] angles;
    private readonly int firstAngle;

    public ForwardRun(
        TransformerConfig config, Parameters parameters, IReadOnlyList<int[]> batch, RunOptions options, CancellationToken cancellation)
    {
        this.config = config;
        this.parameters = parameters;
        this.batch = batch;
        this.options = options;
        this.cancellation = cancellation;
        RequireTokens();
        lengths = batch.Select(tokens => tokens.Length).ToArray();
        longest = lengths.Max();
        past = RequireCache();
        keyCount = lengths.Zip(past, (length, before) => length + before).Max();
        if (keyCount > config.ContextLength)
        {
            throw new ArgumentException(
                $"A sequence has {keyCount} tokens; the model takes at most {config.ContextLength}"
                + $"{(config.SlidingWindow is null ? "" : ", the length of its 'sliding_window'")}. Shorten the text.");
        }

        (lastLayer, finish) = FindSites();
        var rows = batch.Count * longest;
        var keyWidth = config.KeyValueHeadCount * config.HeadWidth;
        residual = new float[checked(rows * config.ModelWidth)];
        normalized = new float[residual.Length];
        scale = new float[rows];
        query = new float[checked(rows * QueryWidth)];
        key = new float[rows * keyWidth];
        value = new float[rows * keyWidth];
        mixed = new float[query.Length];
        attentionOut = new float[residual.Length];
        hidden = new float[checked(rows * config.MlpWidth)];
        hiddenLinear = config.GatedMlp ? new float[hidden.Length] : [];
        mlpOut = new float[residual.Length];
        firstAngle = past.Min();
        angles = config.Rotary?.Table(firstAngle, keyCount - firstAngle) ?? [];
    }

    private int Rows => batch.Count * longest;

    private int QueryWidth => config.HeadCount * config.HeadWidth;

    public ForwardPass Execute()
    {
        Embed();
        for (var layer = 0; layer <= lastLayer; layer++)
        {
            cancellation.ThrowIfCancellationRequested();
            var block = parameters.Blocks[layer];
            RunBlock(layer, block);
            if (options.ReleaseWeights)
            {
                block.Release();
            }
        }

        cancellation.ThrowIfCancellationRequested();
        var logits = finish ? Unembed() : null;
        options.Cache?.Advance(lengths);
        return new(lengths, logits, kept);
    }

    private void RequireTokens()
    {
        if (batch.Count == 0)
        {
            throw new ArgumentException("The batch has no sequences.", nameof(batch));
        }

        for (var b = 0; b < batch.Count; b++)
        {
            if (batch[b] is not { Length: > 0 } tokens)
            {
                throw new ArgumentException($"Sequence {b} of the batch has no tokens.", nameof(batch));
            }

            foreach (var token in tokens)
            {
                if (token < 0 || token >= config.VocabularySize)
                {
                    throw new ArgumentException(
                        $"Sequence {b} has the token {token}; the model's tokens are 0 to {config.VocabularySize - 1}.", nameof(batch));
                }
            }
        }
    }

    private int[] RequireCache()
    {
        if (options.Cache is not { } cache)
        {
            return new int[batch.Count];
        }

        if (!ReferenceEquals(cache.Config, config) && cache.Config != config)
        {
            throw new ArgumentException("The cache was made for another model.", nameof(batch));
        }

        if (cache.Lengths.Count != batch.Count)
        {
            throw new ArgumentException(
                $"The cache is for {cache.Lengths.Count} sequences; the batch has {batch.Count}.", nameof(batch));
        }

        if (options.StopAfterLayer is not null)
        {
            throw new ArgumentException("A pass that stops early would leave the cache without the later layers; run all layers.");
        }

        return cache.Lengths.ToArray();
    }

    // Which activations are asked for or changed, and how far the pass has to go for them.
    private (int LastLayer, bool Finish) FindSites()
    {
        var needed = -1;
        var needsEnd = options.Logits != LogitsOf.None || options.Cache is not null;
        if (options.Activations.Count + options.Hooks.Count > 0)
        {
            var all = HookNames.All(config).ToArray();
            foreach (var (pattern, hook) in options.Hooks.Select(hook => (hook.Name, (ActivationHook?)hook))
                .Concat(options.Activations.Select(name => (name, (ActivationHook?)null))))
            {
                foreach (var (layer, name) in HookNames.Matching(pattern, all))
                {
                    if (!sites.TryGetValue(name, out var site))
                    {
                        sites.Add(name, site = new());
                    }

                    site.Keep |= hook is null;
                    if (hook is not null)
                    {
                        site.Hooks.Add(hook);
                    }

                    needed = Math.Max(needed, layer ?? -1);
                    needsEnd |= name.StartsWith("ln_final.", StringComparison.Ordinal);
                }
            }
        }

        if (options.StopAfterLayer is not { } stop)
        {
            return needsEnd ? (config.LayerCount - 1, true) : (needed, false);
        }

        if (stop < 0 || stop >= config.LayerCount)
        {
            throw new ArgumentException($"StopAfterLayer is {stop}; the model's layers are 0 to {config.LayerCount - 1}.");
        }

        return (stop, false);
    }

    private void Embed()
    {
        var d = config.ModelWidth;
        ForEachToken((b, t, row) => parameters.TokenEmbedding.ReadRows(batch[b][t], 1, residual.AsSpan(row * d, d)));
        Visit(null, "hook_embed", residual, d);
        if (parameters.PositionEmbedding is { } positions)
        {
            ForEachToken((b, t, row) => positions.ReadRows(past[b] + t, 1, mlpOut.AsSpan(row * d, d)));
            Visit(null, "hook_pos_embed", mlpOut, d);
            AddToResidual(mlpOut);
        }
    }

    private void RunBlock(int layer, TransformerBlock block)
    {
        var d = config.ModelWidth;
        Visit(layer, "hook_resid_pre", residual, d);
        Normalize(block.AttentionNorm, layer, "ln1");
        Attend(layer, block.Attention);
        Visit(layer, "hook_attn_out", attentionOut, d);
        if (!config.ParallelResidual)
        {
            AddToResidual(attentionOut);
            Visit(layer, "hook_resid_mid", residual, d);
        }

        if (!config.SharedNorm)
        {
            Normalize(block.MlpNorm, layer, "ln2");
        }

        RunMlp(layer, block.Mlp);
        Visit(layer, "hook_mlp_out", mlpOut, d);
        if (config.ParallelResidual)
        {
            AddToResidual(attentionOut);
        }

        AddToResidual(mlpOut);
        Visit(layer, "hook_resid_post", residual, d);
    }

    private void Normalize(Norm norm, int? layer, string name)
    {
        var d = config.ModelWidth;
        ForEachRow(row => scale[row] = norm.Scale(residual.AsSpan(row * d, d)));
        Visit(layer, $"{name}.hook_scale", scale, 1);
        ForEachRow(row => norm.Divide(residual.AsSpan(row * d, d), scale[row], normalized.AsSpan(row * d, d)));
        Visit(layer, $"{name}.hook_normalized", normalized, d);
        ForEachRow(row => norm.Finish(normalized.AsSpan(row * d, d), normalized.AsSpan(row * d, d)));
        Visit(layer, $"{name}.hook_out", normalized, d);
    }

    private void RunMlp(int layer, Mlp mlp)
    {
        var width = config.MlpWidth;
        var x = new ReadOnlyMatrix(normalized, Rows, config.ModelWidth);
        (mlp.Gate ?? mlp.In).Apply(x, new(hidden, Rows, width));
        Visit(layer, "mlp.hook_pre", hidden, width);
        if (mlp.Gate is not null)
        {
            mlp.In.Apply(x, new(hiddenLinear, Rows, width));
            Visit(layer, "mlp.hook_pre_linear", hiddenLinear, width);
        }

        ForEachRow(row => mlp.Activate(
            hidden.AsSpan(row * width, width),
            mlp.Gate is null ? [] : hiddenLinear.AsSpan(row * width, width),
            hidden.AsSpan(row * width, width)));
        Visit(layer, "mlp.hook_post", hidden, width);
        mlp.Output.Apply(new ReadOnlyMatrix(hidden, Rows, width), new(mlpOut, Rows, config.ModelWidth));
    }

    private Tensor<float>? Unembed()
    {
        var (d, vocabulary) = (config.ModelWidth, config.VocabularySize);
        Normalize(parameters.FinalNorm, null, "ln_final");
        if (options.Logits == LogitsOf.None)
        {
            return null;
        }

        var (rows, count) = (normalized, Rows);
        if (options.Logits == LogitsOf.LastPosition)
        {
            count = batch.Count;
            rows = new float[count * d];
            for (var b = 0; b < count; b++)
            {
                normalized.AsSpan(((b * longest) + lengths[b] - 1) * d, d).CopyTo(rows.AsSpan(b * d));
            }
        }

        if ((long)count * vocabulary > Array.MaxLength)
        {
            throw new ArgumentException(
                $"Logits of {count} positions × {vocabulary} tokens do not fit one array; ask for LogitsOf.LastPosition or run less at once.");
        }

        var logits = new float[count * vocabulary];
        parameters.Unembedding.Apply(new ReadOnlyMatrix(rows, count, d), new(logits, count, vocabulary));
        return Tensor.Create(logits, [batch.Count, count / batch.Count, vocabulary]);
    }

    private bool IsSite(int? layer, string name) => sites.Count > 0 && sites.ContainsKey(HookNames.Of(layer, name));

    // An activation with a number or vector for each token.
    private void Visit(int? layer, string name, float[] values, params ReadOnlySpan<int> tail)
    {
        if (sites.Count > 0)
        {
            VisitShape(layer, name, values, [batch.Count, longest, .. tail]);
        }
    }

    private void VisitShape(int? layer, string name, float[] values, int[] shape)
    {
        var full = HookNames.Of(layer, name);
        if (!sites.TryGetValue(full, out var site))
        {
            return;
        }

        var context = new ActivationContext(full, layer, values, shape, lengths);
        foreach (var hook in site.Hooks)
        {
            hook.Edit(context);
        }

        if (site.Keep)
        {
            kept.Add(full, Tensor.Create(context.Values.ToArray(), Array.ConvertAll(shape, n => (nint)n)));
        }
    }

    private void AddToResidual(float[] addend) => TensorPrimitives.Add(residual, addend, residual);

    private void ForEachRow(Action<int> body) => Parallelism.For((Rows + RowsPerTask - 1) / RowsPerTask, task =>
    {
        var end = Math.Min(Rows, (task + 1) * RowsPerTask);
        for (var row = task * RowsPerTask; row < end; row++)
        {
            body(row);
        }
    });

    // Rows of tokens, without padding.
    private void ForEachToken(Action<int, int, int> body) => ForEachRow(row =>
    {
        var (b, t) = (row / longest, row % longest);
        if (t < lengths[b])
        {
            body(b, t, row);
        }
    });

    private sealed class Site
    {
        public List<ActivationHook> Hooks { get; } = [];

        public bool Keep { get; set; }
    }
}
