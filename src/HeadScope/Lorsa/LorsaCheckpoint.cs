namespace HeadScope;

public sealed partial class Lorsa
{
    private const string VersionWritten = "2.0.0b34";

    /// <summary>
    /// Reads a Lorsa from a folder: <c>config.json</c> with <c>sae_weights.safetensors</c> (or <c>.pt</c>) as OpenMOSS's Language-Model-SAEs
    /// writes it, or with <c>final.safetensors</c> or <c>final.pth</c> as the first published Lorsa code does.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="folded">
    /// Whether the weights are in the units of the model, whatever <c>config.json</c> says: Language-Model-SAEs writes that before a training
    /// and folded weights after it, so its trained folders say <c>dataset-wise</c> where they are folded.
    /// </param>
    /// <returns>The Lorsa, fp32, on the CPU.</returns>
    /// <exception cref="FileNotFoundException">There is no configuration or no file of weights.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or lacks a field or a tensor; the message names it.</exception>
    /// <exception cref="NotSupportedException">It uses something that a Lorsa here does not do.</exception>
    public static Lorsa Load(string folder, bool folded = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var path = Path.Combine(folder, "config.json");
        var json = File.Exists(path)
            ? JsonField.Read(path)
            : throw new FileNotFoundException($"'{folder}' has no config.json: expected the folder of a trained Lorsa.", path);
        var config = LorsaConfigJson.Read(json);
        var isFirst = LorsaConfigJson.IsFirstLayout(json);
        string[] names = isFirst
            ? ["final.safetensors", "final.pth"]
            : ["sae_weights.safetensors", "sae_weights.pt", "checkpoints/pruned.safetensors", "checkpoints/pruned.pt",
                "checkpoints/final.safetensors", "checkpoints/final.pt"];
        path = names.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException($"'{folder}' has no weights: expected one of {string.Join(", ", names)}.");
        folded |= !isFirst && json.Optional("norm_activation")?.Text() switch
        {
            null or "dataset-wise" => false,
            "inference" => true,
            _ => folded ? true : throw json["norm_activation"].Refuse(
                "known are dataset-wise and inference; normalise the inputs yourself and load with folded: true"),
        };
        LibTorch.Require();
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        using var file = path.EndsWith(".safetensors", StringComparison.Ordinal) ? SafetensorsFile.Open(path) : null;
        var stored = new Dictionary<string, (IReadOnlyList<long> Shape, Func<Tensor> Read)>(StringComparer.Ordinal);
        foreach (var key in file?.Tensors.Keys ?? [])
        {
            stored[key] = (file!.Tensors[key].Shape, () => file.Read(key));
        }

        foreach (var (key, tensor) in file is null ? TorchPickle.Read(path) : [])
        {
            stored[key.StartsWith("sae.", StringComparison.Ordinal) ? key[4..] : key] = (tensor.shape, () => tensor);
        }

        // What is in the file is compared with the configuration before memory is taken for it.
        var parameters = Shapes(config).Select(wanted => (wanted.Name, wanted.Shape, Stored: Find(wanted.Name, wanted.Shape))).ToList();
        var (inputNorm, outputNorm) = (Norm("in", config.HookIn), Norm("out", config.HookOut));
        Fault.InvalidDataIf(
            !folded && !AreNorms(inputNorm, outputNorm), $"'{path}' has no mean norms of input and output to normalise by; where its weights are folded, load with folded: true.");
        var lorsa = new Lorsa(config, folded, inputNorm, outputNorm) { IsFirstLayout = isFirst };
        foreach (var (key, shape, read) in parameters)
        {
            // One with fewer QK heads has each of them repeated in place.
            var found = read();
            lorsa.Weight(key).copy_(found.numel() == lorsa.Weight(key).numel() ? found.reshape(shape) : found.repeat_interleave(shape[0] / found.shape[0], 0));
        }

        return lorsa;

        Func<Tensor> Find(string name, long[] shape)
        {
            name = name == "b_D" && !stored.ContainsKey("b_D") ? "b_O" : name;
            Fault.InvalidDataIf(
                !stored.TryGetValue(name, out var found),
                $"'{path}' has no tensor '{name}' of shape [{string.Join(", ", shape)}]; it has {string.Join(", ", stored.Keys.Order(StringComparer.Ordinal))}.");
            var repeats = name is "W_Q" or "W_K" or "b_Q" or "b_K" or "ln_q.w" or "ln_k.w" && found.Shape.Count == shape.Length
                && found.Shape[0] > 0 && shape[0] % found.Shape[0] == 0 && found.Shape.Skip(1).SequenceEqual(shape[1..]);
            Fault.InvalidDataIf(
                !repeats && !found.Shape.Where(length => length != 1).SequenceEqual(shape.Where(length => length != 1)),
                $"'{path}', tensor '{name}': expected shape [{string.Join(", ", shape)}], found [{string.Join(", ", found.Shape)}].");
            return found.Read;
        }

        double Norm(string side, string hook) =>
            isFirst ? json.Optional("avg_norm")?.Optional(side)?.Positive() ?? double.NaN
            : stored.TryGetValue($"dataset_average_activation_norm.{hook}", out var norm) && norm.Shape.All(length => length == 1)
                ? norm.Read().to(float64).item<double>()
            : double.NaN;
    }

    /// <summary>Writes the folder that <see cref="Load"/> and Language-Model-SAEs read: <c>config.json</c> and <c>sae_weights.safetensors</c>.</summary>
    /// <param name="folder">The folder; made when missing.</param>
    /// <exception cref="NotSupportedException">The activation has no name in that layout.</exception>
    /// <exception cref="IOException">A file cannot be written; what was there is intact.</exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var json = LorsaConfigJson.Write(Config, IsFolded);
        using var scope = NewDisposeScope();
        var tensors = Shapes(Config).ToDictionary(shape => shape.Name, shape => Weight(shape.Name).to(float32), StringComparer.Ordinal);

        // Its loader is strict: it wants these although they follow from the configuration.
        var length = Config.ContextLength;
        if (Config.RotaryDimensions > 0)
        {
            var (sine, cosine) = Config.RotaryTables(length);
            (tensors["rotary_sin"], tensors["rotary_cos"]) = (sine.to(float32), cosine.to(float32));
        }

        tensors["mask"] = ones([length, length], @bool).tril();
        tensors["IGNORE"] = tensor(float.NegativeInfinity);
        tensors[$"dataset_average_activation_norm.{Config.HookIn}"] = tensor((float)InputNorm);
        tensors[$"dataset_average_activation_norm.{Config.HookOut}"] = tensor((float)OutputNorm);
        SafetensorsWriter.Write(Path.Combine(folder, "sae_weights.safetensors"), tensors, KeyValuePair.Create("version", VersionWritten));
        AtomicFile.WriteText(Path.Combine(folder, "config.json"), json);
        GC.KeepAlive(this);
    }
}
