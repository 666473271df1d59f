using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using TorchSharp;

namespace HeadScope;

/// <summary>How to read a checkpoint that does not say everything itself.</summary>
public sealed record LorsaLoadOptions
{
    /// <summary>
    /// Overrides what <c>config.json</c> says of the normalisation. Language-Model-SAEs writes <c>config.json</c> before a training and folded
    /// weights after it, so its trained folders say <c>dataset-wise</c> where <see cref="LorsaNormalization.None"/> is true.
    /// </summary>
    public LorsaNormalization? Normalization { get; init; }
}

public sealed partial class Lorsa
{
    private const string VersionWritten = "2.0.0b34";

    /// <summary>
    /// Reads a Lorsa from a folder: <c>config.json</c> with <c>sae_weights.safetensors</c> (or <c>.pt</c>) as OpenMOSS's Language-Model-SAEs
    /// writes it, or with <c>final.safetensors</c> or <c>final.pth</c> as the first published Lorsa code does.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">What the folder does not say; null for nothing.</param>
    /// <returns>The Lorsa.</returns>
    /// <exception cref="FileNotFoundException">There is no configuration or no file of weights.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or lacks a field or a tensor; the message names it.</exception>
    /// <exception cref="NotSupportedException">It uses something that a Lorsa here does not do.</exception>
    public static Lorsa Load(string folder, LorsaLoadOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"'{folder}' has no config.json: expected the folder of a trained Lorsa.", path);
        }

        var json = ConfigFile.Read(path);
        var config = LorsaConfigJson.Read(json);
        using var scope = torch.NewDisposeScope();
        var (weightsPath, tensors) = ReadTensors(folder, LorsaConfigJson.IsFirstLayout(json)
            ? ["final.safetensors", "final.pth"]
            : ["sae_weights.safetensors", "sae_weights.pt", "checkpoints/pruned.safetensors", "checkpoints/pruned.pt",
                "checkpoints/final.safetensors", "checkpoints/final.pt"]);
        LorsaParameters p;
        try
        {
            p = new(config);
        }
        catch (Exception error) when (error is OverflowException or OutOfMemoryException)
        {
            throw new InvalidDataException(
                $"'{path}' asks for {config.Heads} heads of width {config.ModelWidth}, more than fits into memory; the file is damaged.", error);
        }

        foreach (var tensor in p.All)
        {
            Fill(tensor, tensors, config, weightsPath);
        }

        double inputNorm, outputNorm;
        LorsaNormalization normalization;
        if (LorsaConfigJson.IsFirstLayout(json))
        {
            normalization = options?.Normalization ?? LorsaNormalization.Dataset;
            (inputNorm, outputNorm) = (AverageNorm("in"), AverageNorm("out"));
        }
        else
        {
            normalization = options?.Normalization ?? NormalizationOf(json);
            (inputNorm, outputNorm) = (StoredNorm(config.HookIn), StoredNorm(config.HookOut));
        }

        try
        {
            var lorsa = new Lorsa(config, normalization, inputNorm, outputNorm) { IsFirstLayout = LorsaConfigJson.IsFirstLayout(json) };
            lorsa.Fill(p);
            return lorsa;
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException(
                $"'{weightsPath}': {error.Message} Where the weights are folded, load with Normalization = None.", error);
        }

        double AverageNorm(string side) => json.Part("avg_norm")?.NumberOrNull(side) ?? double.NaN;

        double StoredNorm(string hook) =>
            tensors.TryGetValue($"dataset_average_activation_norm.{hook}", out var norm) && norm.NumberOfElements == 1
                ? MemoryMarshal.Read<double>(norm.to(torch.float64).bytes) : double.NaN;
    }

    /// <summary>Writes the folder that <see cref="Load"/> and Language-Model-SAEs read: <c>config.json</c> and <c>sae_weights.safetensors</c>.</summary>
    /// <param name="folder">The folder; made when missing.</param>
    /// <exception cref="NotSupportedException">The activation has no name in that layout.</exception>
    /// <exception cref="IOException">A file cannot be written; what was there is intact.</exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var json = LorsaConfigJson.Write(Config, Normalization == LorsaNormalization.None);
        using var scope = torch.NewDisposeScope();
        var writer = new SafetensorsWriter();
        writer.Metadata["version"] = VersionWritten;
        foreach (var tensor in Parameters.All)
        {
            writer.Add(tensor.Name, tensor.Shared());
        }

        // Its loader is strict: it wants these although they follow from the configuration.
        var length = Config.ContextLength;
        if (Config.RotaryDimensions > 0)
        {
            var (sine, cosine) = Config.RotaryTables(length);
            writer.Add("rotary_sin", sine, torch.float32);
            writer.Add("rotary_cos", cosine, torch.float32);
        }

        var mask = new bool[length * length];
        for (var t = 0; t < length; t++)
        {
            mask.AsSpan(t * length, t + 1).Fill(true);
        }

        writer.Add("mask", torch.tensor(mask, [length, length]));
        AddScalar("IGNORE", float.NegativeInfinity);
        AddScalar($"dataset_average_activation_norm.{Config.HookIn}", (float)InputNorm);
        AddScalar($"dataset_average_activation_norm.{Config.HookOut}", (float)OutputNorm);
        writer.Save(Path.Combine(folder, "sae_weights.safetensors"));
        AtomicFile.WriteText(Path.Combine(folder, "config.json"), json);

        void AddScalar(string name, float value) => writer.Add(name, torch.tensor(value));
    }

    private static LorsaNormalization NormalizationOf(ConfigFile json) => json.Text("norm_activation") switch
    {
        null or "dataset-wise" => LorsaNormalization.Dataset,
        "inference" => LorsaNormalization.None,
        _ => throw json.Refuse(
            "norm_activation", "known are dataset-wise and inference. Normalise the inputs yourself and load with Normalization = None."),
    };

    private static (string Path, Dictionary<string, torch.Tensor> Tensors) ReadTensors(string folder, string[] names)
    {
        var path = names.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException($"'{folder}' has no weights: expected one of {string.Join(", ", names)}.");
        if (!path.EndsWith(".safetensors", StringComparison.Ordinal))
        {
            var tensors = new Dictionary<string, torch.Tensor>(StringComparer.Ordinal);
            foreach (var (name, tensor) in TorchPickle.Read(path))
            {
                tensors[name.StartsWith("sae.", StringComparison.Ordinal) ? name[4..] : name] = tensor;
            }

            return (path, tensors);
        }

        using var file = SafetensorsFile.Open(path);
        return (path, file.Tensors.Keys.ToDictionary(name => name, file.Read, StringComparer.Ordinal));
    }

    /// <summary>Copies a tensor, whatever axes of length 1 it has; one with fewer QK heads has each of them repeated in place.</summary>
    private static void Fill(
        LorsaTensor tensor, Dictionary<string, torch.Tensor> tensors, LorsaConfig config, string path)
    {
        var key = tensor.Name == "b_D" && !tensors.ContainsKey("b_D") ? "b_O" : tensor.Name;
        if (!tensors.TryGetValue(key, out var found))
        {
            throw new InvalidDataException(
                $"'{path}' has no tensor '{key}' of shape [{string.Join(", ", tensor.Shape)}]; it has {string.Join(", ", tensors.Keys.Order(StringComparer.Ordinal))}.");
        }

        int[] stored = [.. found.shape.Select(length => (int)Math.Min(length, int.MaxValue))];
        var perQkHead = key is "W_Q" or "W_K" or "b_Q" or "b_K" or "ln_q.w" or "ln_k.w";
        var heads = perQkHead && stored.Length == tensor.Shape.Length ? stored[0] : config.QkHeads;
        var repeated = perQkHead && heads < config.QkHeads && heads > 0 && config.QkHeads % heads == 0
            && stored[1..].SequenceEqual(tensor.Shape[1..]);
        if (!repeated && !Squeezed(stored).SequenceEqual(Squeezed(tensor.Shape)))
        {
            throw new InvalidDataException(
                $"'{path}', tensor '{key}': expected shape [{string.Join(", ", tensor.Shape)}], found [{string.Join(", ", found.shape)}].");
        }

        var values = found.ToNumbers().AsSpan();
        if (!repeated)
        {
            values.CopyTo(tensor.Values);
            return;
        }

        var block = tensor.Values.Length / config.QkHeads;
        for (var g = 0; g < config.QkHeads; g++)
        {
            values.Slice(g * heads / config.QkHeads * block, block).CopyTo(tensor.Values.AsSpan(g * block));
        }

        static int[] Squeezed(int[] shape) => [.. shape.Where(length => length != 1)];
    }
}
