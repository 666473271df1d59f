namespace HeadScope;

/// <summary>A decoder-only language model: its parameters under the names and orientation of TransformerLens, and its forward pass. Weights are
/// read when they are first used, so that loading is quick; they stay in memory while the whole model takes at most half of what is free, else
/// they are read layer by layer in each pass. Safe to use from several threads.</summary>
public sealed class Model : IDisposable
{
    private readonly TensorFile file;
    private readonly WeightMemory memory;
    private readonly Lazy<Tokenizer>? tokenizer;

    private Model(
        string name, TransformerConfig config, TensorFile file, WeightMemory memory, Transformer net, Lazy<Tokenizer>? tokenizer, IReadOnlyList<WeightProcessing> processing)
    {
        (Name, Config, Net, Processing) = (name, config, net, processing);
        (this.file, this.memory, this.tokenizer) = (file, memory, tokenizer);
        Heads = [.. Enumerable.Range(0, config.LayerCount).SelectMany(layer => Enumerable.Range(0, config.HeadCount), (layer, head) => new Head(layer, head))];
    }

    /// <summary>A short name: the hub id, the name that a GGUF file gives itself (<c>general.name</c>), else the folder's or the file's, or
    /// <c>demo</c>.</summary>
    public string Name { get; }

    /// <summary>Its shape.</summary>
    public TransformerConfig Config { get; }

    /// <summary>Its weights: <c>model.Net.Blocks[3].Attention.W_Q</c>.</summary>
    public Transformer Net { get; }

    /// <summary>Where its weights are and passes run.</summary>
    public Device Device => memory.Device;

    /// <summary>The type of its weights and activations.</summary>
    public ScalarType Dtype => memory.Dtype;

    /// <summary>Bytes of all its weights in its dtype.</summary>
    public long WeightBytes => memory.Bytes;

    /// <summary>Whether weights stay in memory once they are read. Else, on the CPU only, when they would take more than half of what was
    /// free, each pass reads them layer by layer.</summary>
    public bool KeepsWeights => memory.Stays;

    /// <summary>About how many bytes of weights a pass still brings into memory.</summary>
    internal long WeightBytesToCome => KeepsWeights
        ? memory.BytesOf(Net.Matrices.Where(matrix => !matrix.IsHeld))
        : 2 * Net.Blocks.Max(block => memory.BytesOf(block.Matrices)); // as stored and as used

    /// <summary>Whether tokenizer files came with the model.</summary>
    public bool HasTokenizer => tokenizer is not null;

    /// <summary>Its tokenizer; read at first use.</summary>
    /// <exception cref="InvalidOperationException">The model came without one; run it on token ids.</exception>
    /// <exception cref="NotSupportedException">It is of a kind that is not supported; run the model on token ids.</exception>
    /// <exception cref="InvalidDataException">Its files are damaged.</exception>
    public Tokenizer Tokenizer => tokenizer?.Value ?? throw new InvalidOperationException(
        $"'{Name}' has no tokenizer: '{file.Path}' comes with neither tokenizer.json nor vocab.json and merges.txt. Run it on token ids.");

    /// <summary>The text of a token, for labels; <c>#12</c> where the model has no tokenizer.</summary>
    internal string TextOf(int token) => HasTokenizer ? Tokenizer.TokenText(token) : string.Create(CultureInfo.InvariantCulture, $"#{token}");

    /// <summary>The steps its weights have been through, in order; none after loading.</summary>
    public IReadOnlyList<WeightProcessing> Processing { get; }

    /// <summary>All heads, layer by layer.</summary>
    public IReadOnlyList<Head> Heads { get; }

    /// <summary>The names of all activations that <see cref="Run(IReadOnlyList{int[]}, Hooks?, LogitsOf, KeyValueCache?, int?, CancellationToken)"/> can keep
    /// and change, in the order of the forward pass.</summary>
    public IReadOnlyList<string> ActivationNames => [.. HookNames.All(Config).Select(hook => hook.Name)];

    /// <summary>Loads a model. Shapes are checked against the configuration; numbers are read when they are first used, so that this takes no
    /// longer for a big model than for a small one.</summary>
    /// <param name="nameOrPath"><c>demo</c>, the small model that comes with HeadScope; a folder with config.json and safetensors files;
    /// a <c>.gguf</c> file; or a model on the Hugging Face hub, such as <c>gpt2</c> or <c>EleutherAI/pythia-160m@main</c>, which is
    /// downloaded unless it is in the cache.</param>
    /// <param name="device">Where its weights are and passes run; null for the CPU.</param>
    /// <param name="dtype">float32, float64, float16 or bfloat16: the type of its weights and activations, whatever the file has.</param>
    /// <param name="progress">Gets the bytes of a download.</param>
    /// <param name="cancellationToken">Stops a download; what has arrived is kept.</param>
    /// <returns>The model.</returns>
    /// <exception cref="ArgumentException">The dtype is another, or there is no such device.</exception>
    /// <exception cref="DllNotFoundException">libtorch is not there or does not load; the message says what to install.</exception>
    /// <exception cref="FileNotFoundException">There is no such file, folder or model, or one of its files is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or does not hold what its configuration says.</exception>
    /// <exception cref="NotSupportedException">The model needs something that is not supported; the message names the key.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Model Load(
        string nameOrPath,
        Device? device = null,
        ScalarType dtype = ScalarType.Float32,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        LibTorch.Require();
        var residence = new WeightMemory(Usable(device ?? CPU), Supported(dtype));
        return Open(ModelFiles.Resolve(nameOrPath, hub: null, progress, tokenizerOnly: false, cancellationToken), residence);
    }

    /// <summary>The attention layer of a head.</summary>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    internal Attention AttentionOf(Head head) =>
        head.Layer >= 0 && head.Layer < Config.LayerCount && head.Index >= 0 && head.Index < Config.HeadCount
            ? Net.Blocks[head.Layer].Attention
            : throw new ArgumentException(
                $"There is no head {head}: '{Name}' has {Config.LayerCount} layers of {Config.HeadCount} heads, counted from 0.", nameof(head));

    /// <summary>The same model with its weights rewritten, step by step; this one stays as it is. The two share the open files.</summary>
    /// <param name="steps">The steps, in order.</param>
    /// <returns>The rewritten model, which lists the steps in <see cref="Processing"/>.</returns>
    /// <exception cref="ArgumentException">A step has been done before.</exception>
    /// <exception cref="NotSupportedException">A step would change the predictions of this model.</exception>
    public Model With(params WeightProcessing[] steps)
    {
        ArgumentNullException.ThrowIfNull(steps);
        var (done, net) = (Processing.ToList(), Net);
        foreach (var step in steps)
        {
            Fault.ArgumentIf(done.Contains(step), $"'{Name}' has been through {step} already; each step is done once.");
            net = Folding.Apply(step, net, Config);
            done.Add(step);
        }

        return new(Name, Config, file, memory, net, tokenizer, done);
    }

    /// <summary>Runs the model on a batch of token sequences. Each counts its positions from 0 (or from the end of the cache); shorter
    /// ones are padded on the right, which changes nothing for real tokens.</summary>
    /// <param name="batch">The sequences; none empty.</param>
    /// <param name="hooks">What to keep and what to change; null for nothing.</param>
    /// <param name="logits">Which logits to return.</param>
    /// <param name="cache">Keys and values of the tokens before; the pass adds those of its tokens. Null when there are none before.</param>
    /// <param name="stopAfterLayer">The last layer to compute, without logits; null for all that are needed.</param>
    /// <param name="cancellationToken">Stops between layers.</param>
    /// <returns>Logits and activations, on the model's device, in its dtype.</returns>
    /// <exception cref="ArgumentException">A token is not in the vocabulary, a sequence is empty or too long, a name is unknown, or a hook
    /// returned another shape.</exception>
    /// <exception cref="InsufficientMemoryException">The pass needs more memory than there is; the message says how much.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public ForwardPass Run(
        IReadOnlyList<int[]> batch,
        Hooks? hooks = null,
        LogitsOf logits = LogitsOf.All,
        KeyValueCache? cache = null,
        int? stopAfterLayer = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var run = new ForwardRun(this, scope, batch, hooks, logits, cache, stopAfterLayer, cancellationToken);
        run.RequireMemory();
        var result = Net.Forward(run);
        cache?.Advance(run.Lengths);
        GC.KeepAlive(this);
        return new(run.Lengths, result is null ? null : scope.MoveToOuter(result), run.TakeKept());
    }

    /// <summary>Runs the model on one token sequence, which is not empty; results have a batch dimension of 1.</summary>
    /// <inheritdoc cref="Run(IReadOnlyList{int[]}, Hooks?, LogitsOf, KeyValueCache?, int?, CancellationToken)"/>
    public ForwardPass Run(
        int[] tokens,
        Hooks? hooks = null,
        LogitsOf logits = LogitsOf.All,
        KeyValueCache? cache = null,
        int? stopAfterLayer = null,
        CancellationToken cancellationToken = default) => Run([tokens], hooks, logits, cache, stopAfterLayer, cancellationToken);

    /// <summary>Runs the model on a text, which is not empty, with the tokens its tokenizer adds by itself; results have a batch dimension of 1.</summary>
    /// <exception cref="InvalidOperationException">The model came without a tokenizer.</exception>
    /// <inheritdoc cref="Run(IReadOnlyList{int[]}, Hooks?, LogitsOf, KeyValueCache?, int?, CancellationToken)"/>
    public ForwardPass Run(
        string text,
        Hooks? hooks = null,
        LogitsOf logits = LogitsOf.All,
        KeyValueCache? cache = null,
        int? stopAfterLayer = null,
        CancellationToken cancellationToken = default) =>
        Run([Tokenizer.Encode(text)], hooks, logits, cache, stopAfterLayer, cancellationToken);

    /// <summary>Continues a text with the most probable token, again and again.</summary>
    /// <param name="prompt">The tokens to continue.</param>
    /// <param name="newTokens">At most how many tokens to add.</param>
    /// <param name="stopToken">The token after which to stop; it is the last one returned. Null for none.</param>
    /// <param name="cancellationToken">Stops between layers.</param>
    /// <returns>The new tokens.</returns>
    /// <exception cref="ArgumentException">The prompt is empty, or prompt and new tokens are longer than the model's context.</exception>
    /// <exception cref="InvalidDataException">The logits are no numbers.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public int[] Generate(int[] prompt, int newTokens, int? stopToken = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentOutOfRangeException.ThrowIfNegative(newTokens);
        Fault.ArgumentIf(prompt.Length == 0 || prompt.Length + (long)newTokens - 1 > Config.ContextLength,
            $"{newTokens} tokens after {prompt.Length}: expected at least one token to begin with, and at most {Config.ContextLength}, the model's "
            + $"context, to be read.");
        using var cache = new KeyValueCache(this);
        var generated = new List<int>();
        var next = prompt;
        while (generated.Count < newTokens && (stopToken is null || generated.Count == 0 || generated[^1] != stopToken))
        {
            using var scope = NewDisposeScope();
            var logits = Run(next, logits: LogitsOf.LastPosition, cache: cache, cancellationToken: cancellationToken).Logits!;
            var (largest, token) = logits.flatten().max(0);
            Fault.InvalidDataIf(float.IsNaN(largest.to(float32).cpu().item<float>()),
                $"The logits of '{Name}' hold NaN, so a weight is NaN or infinite; '{file.Path}' is damaged.");
            generated.Add((int)token.cpu().item<long>());
            next = [generated[^1]];
        }

        return [.. generated];
    }

    /// <summary>Closes the files and frees the weights, also for models made of this one by <see cref="With"/>. Tensors that
    /// properties and passes returned stay.</summary>
    public void Dispose()
    {
        memory.Dispose();
        file.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Name}: {Config.Architecture}, {Config.LayerCount} layers × {Config.HeadCount} heads, width {Config.ModelWidth}, "
        + $"{Config.VocabularySize} tokens";

    private static Model Open(ModelFiles files, WeightMemory residence)
    {
        TensorFile? tensors = null;
        try
        {
            var name = files.Name;
            TransformerConfig config;
            CheckpointNames names;
            Lazy<Tokenizer>? words;
            if (files.IsGguf)
            {
                var gguf = GgufFile.Open(files.Location);
                tensors = gguf;
                config = GgufConfig.Read(gguf, gguf.Metadata);
                name = NameOf(gguf, files.Name);
                names = CheckpointNames.OfGguf((string)gguf.Metadata["general.architecture"]);
                words = gguf.Metadata.ContainsKey("tokenizer.ggml.model") ? new(() => Tokenizer.FromGguf(gguf.Metadata, files.Location)) : null;
            }
            else
            {
                var path = Path.Combine(files.Location, "config.json");
                config = File.Exists(path) ? HuggingFaceConfig.Read(path) : throw new FileNotFoundException(
                    $"'{files.Location}' has no config.json; a model folder holds config.json, safetensors files and a tokenizer. "
                    + "For a GGUF model name the .gguf file itself.",
                    path);
                tensors = SafetensorsFile.Open(files.Location);
                names = CheckpointNames.Of(config.Architecture);
                words = Tokenizer.IsIn(files.Location) ? new(() => Tokenizer.FromFolder(files.Location)) : null;
            }

            return new(name, config, tensors, residence, Checkpoint.Read(tensors, config, names, residence), words, []);
        }
        catch
        {
            tensors?.Dispose();
            throw;
        }
    }

    // Many files are called model.gguf. The hub's id, which alone has a slash, is what its user asked for; a name that could not stand in a line of a
    // terminal is none.
    private static string NameOf(GgufFile file, string known) =>
        !known.Contains('/', StringComparison.Ordinal) && file.Metadata.TryGetValue("general.name", out var value) && value is string own
        && own.Trim() is { Length: > 0 and <= 128 } name && !name.Any(char.IsControl)
            ? name
            : known;

    private static Device Usable(Device device) => device.type switch
    {
        DeviceType.CPU => device,
        DeviceType.CUDA when cuda.is_available() && (device.index < 0 || device.index < cuda.device_count()) => device,
        DeviceType.MPS when mps_is_available() => device,
        _ => throw new ArgumentException(
            $"There is no device '{device}' here; libtorch sees {(cuda.is_available() ? $"{cuda.device_count()} CUDA devices" : "the CPU only")}. "
            + "A GPU needs TorchSharp-cuda-linux or TorchSharp-cuda-windows in place of TorchSharp-cpu, or HEADSCOPE_LIBTORCH.",
            nameof(device)),
    };

    private static ScalarType Supported(ScalarType dtype) =>
        dtype is ScalarType.Float32 or ScalarType.Float64 or ScalarType.Float16 or ScalarType.BFloat16
            ? dtype
            : throw new ArgumentException($"A model can be float32, float64, float16 or bfloat16; found {dtype}.", nameof(dtype));
}
