namespace HeadScope;

/// <summary>
/// A decoder-only language model: its parameters under the names and orientation of TransformerLens, and its forward pass. Weights are
/// decoded when they are first used, so that loading is quick and looking at one head of a big model reads only that head. Immutable
/// and safe to use from several threads.
/// </summary>
public sealed class Model : IDisposable
{
    private readonly TensorFile file;
    private readonly Parameters parameters;
    private readonly Lazy<Tokenizer>? tokenizer;

    private Model(
        string name,
        TransformerConfig config,
        TensorFile file,
        Parameters parameters,
        Lazy<Tokenizer>? tokenizer,
        IReadOnlyList<WeightProcessing> processing)
    {
        this.tokenizer = tokenizer;
        Name = name;
        Config = config;
        Processing = processing;
        this.file = file;
        this.parameters = parameters;
        Heads = [.. Enumerable.Range(0, config.LayerCount)
            .SelectMany(layer => Enumerable.Range(0, config.HeadCount), (layer, head) => new Head(layer, head))];
    }

    /// <summary>A short name: the hub id, the folder's or the file's name, or <c>demo</c>.</summary>
    public string Name { get; }

    /// <summary>Its shape.</summary>
    public TransformerConfig Config { get; }

    /// <summary>Whether tokenizer files came with the model.</summary>
    public bool HasTokenizer => tokenizer is not null;

    /// <summary>Its tokenizer; read at first use.</summary>
    /// <exception cref="InvalidOperationException">The model came without one; run it on token ids.</exception>
    /// <exception cref="NotSupportedException">It is of a kind that is not supported; run the model on token ids.</exception>
    /// <exception cref="InvalidDataException">Its files are damaged.</exception>
    public Tokenizer Tokenizer => tokenizer?.Value ?? throw new InvalidOperationException(
        $"'{Name}' has no tokenizer: '{file.Path}' comes with neither tokenizer.json nor vocab.json and merges.txt. Run it on token ids.");

    /// <summary>The steps its weights have been through, in order; none after loading.</summary>
    public IReadOnlyList<WeightProcessing> Processing { get; }

    /// <summary>All heads, layer by layer.</summary>
    public IReadOnlyList<Head> Heads { get; }

    /// <summary>The blocks.</summary>
    public IReadOnlyList<TransformerBlock> Blocks => parameters.Blocks;

    /// <summary>W_E, [vocabulary, d_model]; decoded at first use.</summary>
    public ReadOnlyMatrix TokenEmbedding => View(parameters.TokenEmbedding);

    /// <summary>W_pos, [context, d_model]; empty for models with rotary positions.</summary>
    public ReadOnlyMatrix PositionEmbedding => parameters.PositionEmbedding is { } positions ? View(positions) : default;

    /// <summary>The norm before the unembedding (ln_final).</summary>
    public Norm FinalNorm => parameters.FinalNorm;

    /// <summary>W_U, [d_model, vocabulary], and b_U.</summary>
    public Linear Unembedding => parameters.Unembedding;

    /// <summary>The names of all activations that <see cref="Run(IReadOnlyList{int[]}, RunOptions?, CancellationToken)"/> can return
    /// and hooks can change, in the order of the forward pass.</summary>
    public IReadOnlyList<string> ActivationNames => [.. HookNames.All(Config).Select(hook => hook.Name)];

    /// <summary>
    /// Loads a model. Shapes are checked against the configuration; numbers are read when they are first used, so that this takes no
    /// longer for a big model than for a small one.
    /// </summary>
    /// <param name="nameOrPath"><c>demo</c>, the small model that comes with HeadScope; a folder with config.json and safetensors files;
    /// a <c>.gguf</c> file; or a model on the Hugging Face hub, such as <c>gpt2</c> or <c>EleutherAI/pythia-160m@main</c>, which is
    /// downloaded unless it is in the cache.</param>
    /// <param name="hub">Where the hub and the cache are; null for what the environment says.</param>
    /// <param name="progress">Gets the bytes of a download.</param>
    /// <param name="cancellationToken">Stops a download; what has arrived is kept.</param>
    /// <returns>The model.</returns>
    /// <exception cref="FileNotFoundException">There is no such file, folder or model, or one of its files is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or does not hold what its configuration says.</exception>
    /// <exception cref="NotSupportedException">The model needs something that is not supported; the message names the key.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Model Load(
        string nameOrPath,
        HubOptions? hub = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        var files = ModelFiles.Resolve(nameOrPath, hub, progress, cancellationToken);
        return files.GgufPath is { } gguf ? LoadGguf(files.Name, gguf) : LoadFolder(files.Name, files.Folder!);
    }

    /// <summary>The same model with its weights rewritten, step by step; this one stays as it is. The two share the open files.</summary>
    /// <param name="steps">The steps, in order.</param>
    /// <returns>The rewritten model, which lists the steps in <see cref="Processing"/>.</returns>
    /// <exception cref="ArgumentException">A step has been done before.</exception>
    /// <exception cref="NotSupportedException">A step would change the predictions of this model.</exception>
    public Model With(params WeightProcessing[] steps)
    {
        ArgumentNullException.ThrowIfNull(steps);
        var (done, rewritten) = (Processing.ToList(), parameters);
        foreach (var step in steps)
        {
            if (done.Contains(step))
            {
                throw new ArgumentException($"'{Name}' has been through {step} already; each step is done once.", nameof(steps));
            }

            rewritten = WeightProcessor.Apply(step, rewritten, Config);
            done.Add(step);
        }

        return new(Name, Config, file, rewritten, tokenizer, done);
    }

    /// <summary>Reads rows of W_E without decoding the rest.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="destination">Takes [tokens, d_model].</param>
    /// <exception cref="ArgumentException">A token is not in the vocabulary, or there is too little room.</exception>
    public void ReadEmbedding(ReadOnlySpan<int> tokens, Span<float> destination)
    {
        var d = Config.ModelWidth;
        if (destination.Length < (long)tokens.Length * d)
        {
            throw new ArgumentException($"There is room for {destination.Length} numbers; {tokens.Length} × {d} are asked for.");
        }

        for (var i = 0; i < tokens.Length; i++)
        {
            if (tokens[i] < 0 || tokens[i] >= Config.VocabularySize)
            {
                throw new ArgumentException($"Token {tokens[i]} is not one of the model's, 0 to {Config.VocabularySize - 1}.");
            }

            parameters.TokenEmbedding.ReadRows(tokens[i], 1, destination.Slice(i * d, d));
        }
    }

    /// <summary>W_Q of a head, [d_model, d_head].</summary>
    /// <param name="head">The head.</param>
    /// <returns>A view; only this head's part is decoded.</returns>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    public ReadOnlyMatrix QueryWeight(Head head) =>
        Attention(head).Query.OutputBlock(head.Index * Config.HeadWidth, Config.HeadWidth);

    /// <summary>W_K of the key/value head that a head reads, [d_model, d_head].</summary>
    /// <param name="head">The query head.</param>
    /// <returns>A view; only this head's part is decoded.</returns>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    public ReadOnlyMatrix KeyWeight(Head head) => Attention(head).Key.OutputBlock(KeyStart(head), Config.HeadWidth);

    /// <summary>W_V of the key/value head that a head reads, [d_model, d_head].</summary>
    /// <param name="head">The query head.</param>
    /// <returns>A view; only this head's part is decoded.</returns>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    public ReadOnlyMatrix ValueWeight(Head head) => Attention(head).Value.OutputBlock(KeyStart(head), Config.HeadWidth);

    /// <summary>W_O of a head, [d_head, d_model].</summary>
    /// <param name="head">The head.</param>
    /// <returns>A view; only this head's part is decoded.</returns>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    public ReadOnlyMatrix OutputWeight(Head head) =>
        Attention(head).Output.InputBlock(head.Index * Config.HeadWidth, Config.HeadWidth);

    /// <summary>b_Q of a head, [d_head]; empty when there is none.</summary>
    /// <param name="head">The head.</param>
    /// <returns>The bias.</returns>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    public ReadOnlySpan<float> QueryBias(Head head) => Part(Attention(head).Query.Bias, head.Index * Config.HeadWidth);

    /// <summary>b_K of the key/value head that a head reads, [d_head]; empty when there is none.</summary>
    /// <param name="head">The query head.</param>
    /// <returns>The bias.</returns>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    public ReadOnlySpan<float> KeyBias(Head head) => Part(Attention(head).Key.Bias, KeyStart(head));

    /// <summary>b_V of the key/value head that a head reads, [d_head]; empty when there is none.</summary>
    /// <param name="head">The query head.</param>
    /// <returns>The bias.</returns>
    /// <exception cref="ArgumentException">The model has no such head.</exception>
    public ReadOnlySpan<float> ValueBias(Head head) => Part(Attention(head).Value.Bias, KeyStart(head));

    /// <summary>y = MLP_0(LN2_0(x)): the first MLP behind its norm, without attention and residual (MAPS, section 3).</summary>
    /// <param name="x">Rows of the residual stream, [n, d_model].</param>
    /// <param name="y">Takes the result, [n, d_model]; must not overlap x.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public void ApplyFirstMlp(ReadOnlyMatrix x, Matrix y)
    {
        if (x.Columns != Config.ModelWidth || y.Columns != Config.ModelWidth || x.Rows != y.Rows)
        {
            throw new ArgumentException(
                $"Expected two matrices of the same height and width {Config.ModelWidth}; "
                + $"found [{x.Rows}, {x.Columns}] and [{y.Rows}, {y.Columns}].");
        }

        var block = Blocks[0];
        var normalized = new float[checked(x.Rows * x.Columns)];
        block.MlpNorm.Apply(x, new(normalized, x.Rows, x.Columns));
        block.Mlp.Apply(new ReadOnlyMatrix(normalized, x.Rows, x.Columns), y);
    }

    /// <summary>Runs the model on a batch of token sequences. Each counts its positions from 0 (or from the end of the cache); shorter
    /// ones are padded on the right, which changes nothing for real tokens.</summary>
    /// <param name="batch">The sequences; none empty.</param>
    /// <param name="options">What to return and what to change; by default all logits.</param>
    /// <param name="cancellationToken">Stops between layers.</param>
    /// <returns>Logits and activations.</returns>
    /// <exception cref="ArgumentException">A token is not in the vocabulary, a sequence is empty or too long, or a name is unknown.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public ForwardPass Run(IReadOnlyList<int[]> batch, RunOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return new ForwardRun(Config, parameters, batch, options ?? new(), cancellationToken).Execute();
    }

    /// <summary>Runs the model on one token sequence; results have a batch dimension of 1.</summary>
    /// <param name="tokens">The sequence; not empty.</param>
    /// <param name="options">What to return and what to change; by default all logits.</param>
    /// <param name="cancellationToken">Stops between layers.</param>
    /// <returns>Logits and activations.</returns>
    /// <exception cref="ArgumentException">A token is not in the vocabulary, the sequence is empty or too long, or a name is unknown.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public ForwardPass Run(int[] tokens, RunOptions? options = null, CancellationToken cancellationToken = default) =>
        Run([tokens], options, cancellationToken);

    /// <summary>Runs the model on a text, with the tokens its tokenizer adds by itself; results have a batch dimension of 1.</summary>
    /// <param name="text">The text; not empty.</param>
    /// <param name="options">What to return and what to change; by default all logits.</param>
    /// <param name="cancellationToken">Stops between layers.</param>
    /// <returns>Logits and activations.</returns>
    /// <exception cref="ArgumentException">The text has no tokens or too many, or a name is unknown.</exception>
    /// <exception cref="InvalidOperationException">The model came without a tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public ForwardPass Run(string text, RunOptions? options = null, CancellationToken cancellationToken = default) =>
        Run(Tokenizer.Encode(text), options, cancellationToken);

    /// <summary>Continues a text with the most probable token, again and again.</summary>
    /// <param name="prompt">The tokens to continue.</param>
    /// <param name="newTokens">At most how many tokens to add.</param>
    /// <param name="stopToken">The token after which to stop; it is the last one returned. Null for none.</param>
    /// <param name="cancellationToken">Stops between layers.</param>
    /// <returns>The new tokens.</returns>
    /// <exception cref="ArgumentException">The prompt is empty, or prompt and new tokens are longer than the model's context.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public int[] Generate(int[] prompt, int newTokens, int? stopToken = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentOutOfRangeException.ThrowIfNegative(newTokens);
        var options = new RunOptions { Logits = LogitsOf.LastPosition, Cache = new(this) };
        var generated = new List<int>();
        var next = prompt;
        while (generated.Count < newTokens && (stopToken is null || generated.Count == 0 || generated[^1] != stopToken))
        {
            var logits = Run(next, options, cancellationToken).Logits!.AsFlatSpan();
            generated.Add(System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(logits));
            next = [generated[^1]];
        }

        return [.. generated];
    }

    /// <summary>Forgets all decoded weights; the next use decodes them again. Views taken before stay valid.</summary>
    public void ReleaseWeights()
    {
        parameters.TokenEmbedding.Release();
        parameters.PositionEmbedding?.Release();
        parameters.Unembedding.Release();
        foreach (var block in Blocks)
        {
            block.Release();
        }
    }

    /// <summary>Closes the files. Weights that were not decoded by then can no longer be read.</summary>
    public void Dispose() => file.Dispose();

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Name}: {Config.Architecture}, {Config.LayerCount} layers × {Config.HeadCount} heads, width {Config.ModelWidth}, "
        + $"{Config.VocabularySize} tokens";

    private static Model LoadFolder(string name, string folder)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path))
        {
            throw new FileNotFoundException(
                $"'{folder}' has no config.json; a model folder holds config.json, safetensors files and a tokenizer. "
                + "For a GGUF model name the .gguf file itself.",
                path);
        }

        var config = HuggingFaceConfig.Read(path);
        var hasTokenizer = File.Exists(Path.Combine(folder, "tokenizer.json"))
            || (File.Exists(Path.Combine(folder, "vocab.json")) && File.Exists(Path.Combine(folder, "merges.txt")));
        return Open(
            name,
            SafetensorsFile.Open(folder),
            config,
            CheckpointNames.Of(config.Architecture),
            hasTokenizer ? new(() => Tokenizer.FromFolder(folder)) : null);
    }

    private static Model LoadGguf(string name, string path)
    {
        var gguf = GgufFile.Open(path);
        try
        {
            var config = GgufConfig.Read(gguf, gguf.Metadata);
            return Open(
                name,
                gguf,
                config,
                CheckpointNames.OfGguf((string)gguf.Metadata["general.architecture"]),
                gguf.Metadata.ContainsKey("tokenizer.ggml.model") ? new(() => Tokenizer.FromGguf(gguf.Metadata, path)) : null);
        }
        catch
        {
            gguf.Dispose();
            throw;
        }
    }

    private static Model Open(
        string name, TensorFile tensors, TransformerConfig config, CheckpointNames names, Lazy<Tokenizer>? tokenizer)
    {
        try
        {
            return new(name, config, tensors, Checkpoint.Read(tensors, config, names), tokenizer, []);
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    private static ReadOnlyMatrix View(Weight weight) => new(weight.Values, weight.Rows, weight.Columns);

    private Attention Attention(Head head) =>
        head.Layer >= 0 && head.Layer < Config.LayerCount && head.Index >= 0 && head.Index < Config.HeadCount
            ? Blocks[head.Layer].Attention
            : throw new ArgumentException(
                $"There is no head {head}: '{Name}' has {Config.LayerCount} layers of {Config.HeadCount} heads, counted from 0.", nameof(head));

    private int KeyStart(Head head) => head.Index / Config.GroupSize * Config.HeadWidth;

    private ReadOnlySpan<float> Part(ReadOnlySpan<float> bias, int first) => bias.IsEmpty ? [] : bias.Slice(first, Config.HeadWidth);
}
