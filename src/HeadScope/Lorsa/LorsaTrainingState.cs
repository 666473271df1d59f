using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json;
using TorchSharp;

namespace HeadScope;

/// <summary>
/// A checkpoint of a training in one file, written whole or not at all: parameters, moments and step counts of the optimiser, the silence of
/// every head, the position in the data, the norms, the curve, and the options that must not change.
/// </summary>
internal sealed class LorsaTrainingState
{
    public const string FileName = "training.safetensors";

    private const string FirstMoment = "optimizer.m.", SecondMoment = "optimizer.v.";

    public required SortedDictionary<string, string> Options { get; init; }

    public required double InputNorm { get; init; }

    public required double OutputNorm { get; init; }

    /// <summary>Sequences consumed by steps.</summary>
    public required long Sequences { get; init; }

    public required IReadOnlyList<LorsaTrainingPoint> Curve { get; init; }

    /// <summary>The unfinished point of the curve.</summary>
    public required double[] Pending { get; init; }

    /// <summary>Deletes what a training that was killed while it wrote a checkpoint left behind.</summary>
    public static void DeleteLeftovers(string? folder)
    {
        foreach (var path in Directory.Exists(folder) ? Directory.GetFiles(folder, $".{FileName}.*") : [])
        {
            File.Delete(path);
        }
    }

    /// <summary>Writes the checkpoint.</summary>
    public void Save(string folder, LorsaStepper stepper)
    {
        using var scope = torch.NewDisposeScope();
        var writer = new SafetensorsWriter();
        for (var i = 0; i < stepper.Parameters.All.Count; i++)
        {
            var tensor = stepper.Parameters.All[i];
            writer.Add(tensor.Name, tensor.Shared());
            writer.Add(FirstMoment + tensor.Name, stepper.Optimizer.FirstMoment.All[i].Shared());
            writer.Add(SecondMoment + tensor.Name, stepper.Optimizer.SecondMoment.All[i].Shared());
        }

        writer.Add("optimizer.steps", torch.tensor(stepper.Optimizer.Steps));
        writer.Add("silent_tokens", torch.tensor(stepper.SilentTokens));
        writer.Add("position", torch.tensor([stepper.Step, stepper.CountedTokens, Sequences]));
        writer.Metadata["options"] = JsonSerializer.Serialize(Options);
        writer.Metadata["curve"] = JsonSerializer.Serialize(Curve);
        writer.Metadata["pending"] = JsonSerializer.Serialize(Pending);
        writer.Metadata["norms"] = JsonSerializer.Serialize(new[] { InputNorm, OutputNorm });
        writer.Save(Path.Combine(folder, FileName));
    }

    /// <summary>Reads a checkpoint into a stepper made for the same options.</summary>
    /// <exception cref="ArgumentException">It belongs to a training with other options.</exception>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static LorsaTrainingState Load(string folder, LorsaStepper stepper, SortedDictionary<string, string> options, int pending)
    {
        var path = Path.Combine(folder, FileName);
        using var scope = torch.NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        var stored = Read<SortedDictionary<string, string>>("options");
        foreach (var (name, value) in options)
        {
            if (!stored.TryGetValue(name, out var then) || !string.Equals(then, value, StringComparison.Ordinal))
            {
                throw new ArgumentException(
                    $"'{path}' belongs to a training with {name} = {then ?? "nothing"}, not {value}. Resume with the same options, or choose "
                    + "another folder.");
            }
        }

        for (var i = 0; i < stepper.Parameters.All.Count; i++)
        {
            var name = stepper.Parameters.All[i].Name;
            Fill(name, stepper.Parameters.All[i].Values);
            Fill(FirstMoment + name, stepper.Optimizer.FirstMoment.All[i].Values);
            Fill(SecondMoment + name, stepper.Optimizer.SecondMoment.All[i].Values);
        }

        Fill("optimizer.steps", stepper.Optimizer.Steps);
        Fill("silent_tokens", stepper.SilentTokens);
        var position = new long[3];
        Fill("position", position);
        (stepper.Step, stepper.CountedTokens) = (position[0], position[1]);
        var norms = Numbers("norms", 2);
        return new LorsaTrainingState
        {
            Options = options,
            InputNorm = norms[0],
            OutputNorm = norms[1],
            Sequences = position[2],
            Curve = Read<List<LorsaTrainingPoint>>("curve") is var curve && !curve.Contains(null!)
                ? curve
                : throw new InvalidDataException($"'{path}': the field 'curve' is damaged. It has a point without numbers."),
            Pending = Numbers("pending", pending),
        };

        double[] Numbers(string name, int count) => Read<double[]>(name) is var numbers && numbers.Length == count
            ? numbers
            : throw new InvalidDataException($"'{path}': the field '{name}' is damaged. Expected {count} numbers, found {numbers.Length}.");

        void Fill<T>(string name, T[] values)
            where T : unmanaged
        {
            var tensor = file.Read(name);
            if (tensor.NumberOfElements != values.Length || tensor.dtype != (typeof(T) == typeof(long) ? torch.int64 : torch.float32))
            {
                throw new InvalidDataException(
                    $"'{path}', tensor '{name}': expected {values.Length} numbers of type {typeof(T).Name}, found [{string.Join(", ", tensor.shape)}] "
                    + $"of {tensor.dtype}. Start the training anew in another folder.");
            }

            MemoryMarshal.Cast<byte, T>(tensor.bytes).CopyTo(values);
        }

        T Read<T>(string name)
        {
            try
            {
                return file.Metadata.TryGetValue(name, out var text) && JsonSerializer.Deserialize<T>(text) is { } value
                    ? value
                    : throw new InvalidDataException($"'{path}' is no checkpoint of a training: it has no '{name}'.");
            }
            catch (JsonException error)
            {
                throw new InvalidDataException(
                    string.Create(CultureInfo.InvariantCulture, $"'{path}': the field '{name}' is damaged. {error.Message}"), error);
            }
        }
    }
}
