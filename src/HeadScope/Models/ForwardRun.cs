namespace HeadScope;

/// <summary>What one forward pass goes by: tokens, positions, what each position may see, hooks. Sequences are padded on the right to the
/// longest: since attention looks back only, padding changes nothing before it.</summary>
internal sealed class ForwardRun
{
    // The activations that are kept (true) or only changed, and what changes them.
    private readonly Dictionary<string, bool> sites = new(StringComparer.Ordinal);
    private readonly List<(string Name, Func<Tensor, HookPoint, Tensor> Edit)> edits = [];
    private readonly Dictionary<string, Tensor> kept = new(StringComparer.Ordinal);
    private readonly Dictionary<Rotary, Angles> angles = [];
    private readonly DisposeScope owner;
    private readonly Model model;

    public ForwardRun(
        Model model, DisposeScope owner, IReadOnlyList<int[]> batch, Hooks? hooks, LogitsOf logits, KeyValueCache? cache, int? stopAfterLayer, CancellationToken cancellation)
    {
        var config = model.Config;
        (this.model, this.owner, Logits, Cache, Cancellation) = (model, owner, logits, cache, cancellation);
        RequireTokens(batch, config);
        Lengths = [.. batch.Select(tokens => tokens.Length)];
        Longest = Lengths.Max();
        Fault.ArgumentIf(cache is not null && stopAfterLayer is not null, $"A pass that stops early would leave the cache without the later layers; run all layers.");
        Past = cache?.RequireFit(model, batch.Count) ?? new int[batch.Count];
        Keys = Lengths.Zip(Past, (length, before) => length + before).Max();
        Fault.ArgumentIf(Keys > config.ContextLength,
            $"A sequence has {Keys} tokens; the model takes at most {config.ContextLength}"
            + $"{(config.SlidingWindow is null ? "" : ", the length of its 'sliding_window'")}. Shorten the text.");
        Tokens = [.. batch.SelectMany(tokens => Enumerable.Range(0, Longest).Select(t => t < tokens.Length ? (long)tokens[t] : 0))];
        Places = [.. Past.SelectMany(before => Enumerable.Range(before, Longest).Select(t => Math.Min(t, (long)config.ContextLength - 1)))];
        (LastLayer, Finishes) = FindSites(config, hooks, stopAfterLayer);
        SharesPast = Past.All(before => before == Past[0]);
    }

    /// <summary>Token ids, [batch × position], 0 where there is padding.</summary>
    public long[] Tokens { get; }

    public long[] Places { get; }

    public int[] Lengths { get; }

    public int Longest { get; }

    /// <summary>The number of keys, those of the cache included.</summary>
    public int Keys { get; }

    /// <summary>How many tokens of each sequence came before.</summary>
    public int[] Past { get; }

    /// <summary>Whether all sequences have as many tokens before, so that their positions and masks are the same.</summary>
    public bool SharesPast { get; }

    public LogitsOf Logits { get; }

    public KeyValueCache? Cache { get; }

    public int LastLayer { get; }

    /// <summary>Whether the pass goes on behind the last block.</summary>
    public bool Finishes { get; }

    public CancellationToken Cancellation { get; }

    /// <summary>Whether position t sees keys 0 to t, nothing else: what fused kernels do by themselves.</summary>
    public bool IsCausal => SharesPast && Past[0] == 0;

    /// <summary>Whether there is one query, which sees all keys.</summary>
    public bool SeesAll => SharesPast && Longest == 1;

    /// <summary>Which keys each query sees, [1 or batch, 1, position, key]; null where each sees all.</summary>
    public Tensor? Visible => SeesAll ? null : field ??= Mask();

    /// <summary>Which keys each query does not see, [1 or batch, 1, position, key]; null where each sees all.</summary>
    public Tensor? Hidden => SeesAll ? null : field ??= Hold(Visible!.logical_not());

    /// <summary>Says how much the pass needs, where that is more than there is.</summary>
    public void RequireMemory()
    {
        if (model.Device.type != DeviceType.CPU)
        {
            return;
        }

        var config = model.Config;
        var (rows, size) = ((long)Lengths.Length * Longest, model.Dtype.ElementSize());
        long heads = config.HeadCount, queries = heads * config.HeadWidth;
        var scores = (long)Lengths.Length * heads * Longest * Keys;
        var layer = rows * ((8L * config.ModelWidth) + (4 * queries) + (3L * config.MlpWidth));
        var asked = sites.Where(site => site.Value).Sum(site => HookNames.NumbersPerToken(site.Key, config) is { } numbers ? rows * numbers : scores);
        asked += sites.Keys.Any(name => name.EndsWith("hook_result", StringComparison.Ordinal)) ? 2 * rows * heads * config.ModelWidth : 0;

        // Their softmax is taken in fp32 at least.
        var watched = sites.Keys.Any(name => name.EndsWith("hook_attn_scores", StringComparison.Ordinal) || name.EndsWith("hook_pattern", StringComparison.Ordinal));
        var attention = watched ? 3 * Math.Max(size, 4) * scores : 0;

        // True or false, and for the fused kernel a number.
        var mask = IsCausal && !watched ? 0 : (SharesPast ? 1L : Lengths.Length) * Longest * Keys * (1 + size);

        // A streamed unembedding gives them in parts, which are then joined.
        var logits = Logits switch { LogitsOf.All => rows, LogitsOf.None => 0L, _ => Lengths.Length } * config.VocabularySize * (model.KeepsWeights ? 1 : 2);
        var needed = (size * (layer + asked + logits)) + attention + mask + model.WeightBytesToCome;
        if (needed > WeightMemory.Free())
        {
#pragma warning disable MA0012 // It is the exception of checks that come before the work.
            throw new InsufficientMemoryException(string.Create(
                CultureInfo.InvariantCulture,
                $"This pass over {Lengths.Length} × {Longest} tokens needs about {needed >> 20:n0} MB, and {WeightMemory.Free() >> 20:n0} MB are free. Run fewer or shorter sequences at once, keep less, ask for LogitsOf.LastPosition, or load the model as bfloat16."));
#pragma warning restore MA0012
        }
    }

    /// <summary>What was kept, moved from the pass's scope to the one around it.</summary>
    public IReadOnlyDictionary<string, Tensor> TakeKept() =>
        kept.ToDictionary(pair => pair.Key, pair => owner.MoveToOuter(pair.Value), StringComparer.Ordinal);

    // Bool, [batch, position].
    private Tensor IsToken => field ??= Hold(tensor(
        [.. Lengths.SelectMany(length => Enumerable.Range(0, Longest).Select(t => t < length))], [Lengths.Length, Longest], device: model.Device));

    public bool HasHooks => sites.Count > 0;

    public HookPlace At(int? layer) => new(this, layer ?? -1, layer is null || !HasHooks ? "" : HookNames.Of(layer, ""));

    /// <summary>The rotation of each position, for queries and keys of this pass.</summary>
    public Angles Angles(Rotary rotary)
    {
        if (!angles.TryGetValue(rotary, out var found))
        {
            var rows = SharesPast ? Longest : Places.Length;
            found = rotary.At(Places.AsSpan(0, rows), rows / Longest, model.Device, model.Dtype);
            angles.Add(rotary, found = new(Hold(found.Cos), Hold(found.Sin)));
        }

        return found;
    }

    /// <summary>The last token's row of each sequence, [batch, 1, ...].</summary>
    public Tensor LastPositions(Tensor x)
    {
        long[] rows = [.. Lengths.Select((length, b) => ((long)b * Longest) + length - 1)];
        return x.flatten(0, 1).index_select(0, tensor(rows, device: model.Device)).unsqueeze(1);
    }

    public bool Watches(string name) => sites.ContainsKey(name);

    public Tensor Visit(string name, int layer, Tensor value)
    {
        if (!sites.TryGetValue(name, out var keep))
        {
            return value;
        }

        // Asked before the edits, which may dispose what they get or turn it in place.
        var (shape, type) = (value.shape, value.dtype);
        foreach (var (_, edit) in edits.Where(edit => edit.Name == name))
        {
            var changed = edit(value, new(name, layer < 0 ? null : layer, Lengths, IsToken)) ?? throw new ArgumentException($"The hook at '{name}' returned null; expected a tensor.");
            Fault.ArgumentIf(changed.IsInvalid,
                $"The hook at '{name}' returned a tensor that is disposed; move it out of the hook's own dispose scopes.");
            Fault.ArgumentIf(!changed.shape.AsSpan().SequenceEqual(shape) || changed.dtype != type || changed.device_type != model.Device.type,
                $"The hook at '{name}' returned {changed.dtype} [{string.Join(", ", changed.shape)}] on {changed.device}; "
                + $"expected {type} [{string.Join(", ", shape)}] on {model.Device}.");

            // What comes from outside may be used again there, so the pass must not write to it.
            value = ReferenceEquals(changed, value) ? value : changed.detach().clone();
        }

        if (keep)
        {
            kept[name] = Hold(value.is_contiguous() ? value.detach().clone() : value.detach().contiguous());
        }

        return value;
    }

    private static void RequireTokens(IReadOnlyList<int[]> batch, TransformerConfig config)
    {
        Fault.ArgumentIf(batch.Count == 0, $"The batch has no sequences.");
        for (var b = 0; b < batch.Count; b++)
        {
            Fault.ArgumentIf(batch[b] is not { Length: > 0 }, $"Sequence {b} of the batch has no tokens.");
            var wrong = Array.FindIndex(batch[b], token => token < 0 || token >= config.VocabularySize);
            Fault.ArgumentIf(wrong >= 0,
                $"Sequence {b} has the token {batch[b][wrong]}; the model's tokens are 0 to {config.VocabularySize - 1}.");
        }
    }

    // Which activations are asked for or changed, and how far the pass has to go for them.
    private (int LastLayer, bool Finishes) FindSites(TransformerConfig config, Hooks? hooks, int? stopAfterLayer)
    {
        var (needed, finishes) = (-1, Logits != LogitsOf.None);
        Fault.ArgumentIf(stopAfterLayer < 0 || stopAfterLayer >= config.LayerCount,
            $"The pass is to stop after layer {stopAfterLayer}; the model's layers are 0 to {config.LayerCount - 1}.");
        var names = hooks is { All.Count: > 0 } ? HookNames.All(config).ToArray() : [];
        foreach (var (pattern, edit) in hooks?.All ?? [])
        {
            var found = HookNames.Matching(pattern, names);
            Fault.ArgumentIf(
                Array.TrueForAll(found, match => match.Layer > stopAfterLayer || (stopAfterLayer is not null && IsFinal(match.Name))),
                $"'{pattern}' lies behind layer {stopAfterLayer}, after which the pass is to stop.");
            foreach (var (layer, name) in found)
            {
                sites[name] = sites.GetValueOrDefault(name) || edit is null;
                edits.AddRange(edit is null ? [] : [(name, edit)]);
                needed = Math.Max(needed, layer ?? -1);
                finishes |= IsFinal(name);
            }
        }

        return stopAfterLayer is { } stop ? (stop, false) : (finishes || Cache is not null ? config.LayerCount - 1 : needed, finishes);

        static bool IsFinal(string name) => name.StartsWith("ln_final.", StringComparison.Ordinal);
    }

    private Tensor Mask()
    {
        using var scope = NewDisposeScope();
        var rows = SharesPast ? 1 : Past.Length;
        var queries = tensor(Places.AsSpan(0, rows * Longest).ToArray(), [rows, 1, Longest, 1], device: model.Device);
        var keys = tensor([.. Enumerable.Range(0, Keys).Select(key => (long)key)], device: model.Device);
        return Hold(keys.le(queries));
    }

    // What is made inside a layer and lives as long as the pass.
    private Tensor Hold(Tensor tensor)
    {
        owner.Attach(tensor.DetachFromDisposeScope());
        return tensor;
    }
}

/// <summary>A place in a forward pass, in a layer (-1 outside the blocks): what stands before the names of activations here, if there are hooks.</summary>
internal readonly record struct HookPlace(ForwardRun Run, int Layer, string Prefix)
{
    // The default place belongs to no pass.
    private bool HasHooks => Run is { HasHooks: true };

    public HookPlace In(string part) => this with { Prefix = HasHooks ? Prefix + part : "" };

    public bool Watches(string name) => HasHooks && Run.Watches(Prefix + name);

    public Tensor Visit(string name, Tensor value) => HasHooks ? Run.Visit(Prefix + name, Layer, value) : value;
}
