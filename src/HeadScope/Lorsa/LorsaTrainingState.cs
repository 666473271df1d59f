namespace HeadScope;

/// <summary>
/// A checkpoint of a training in one file, written whole or not at all: parameters, moments and step counts of the optimiser, the silence of
/// every head, the position in the data, the norms, the curve, and the options that must not change.
/// </summary>
internal sealed class LorsaTrainingState : IDisposable
{
    private const string FileName = "training.safetensors", MeanNorms = "norms", Points = "curve", Option = "option.";

    private readonly SafetensorsFile file;

    private LorsaTrainingState(SafetensorsFile file) => this.file = file;

    /// <summary>The mean norms of input and output.</summary>
    public (double Input, double Output) Norms
    {
        get
        {
            var norms = Read(MeanNorms, [2], float64).Copied<double>();
            Require(MeanNorms, norms.All(norm => norm > 0 && double.IsFinite(norm)), "positive numbers");
            return (norms[0], norms[1]);
        }
    }

    /// <summary>Opens the checkpoint of a training and deletes what one that was killed while it wrote left behind.</summary>
    /// <returns>The checkpoint; null where there is none.</returns>
    public static LorsaTrainingState? Open(LorsaTrainingOptions options, LorsaConfig config)
    {
        if (options.Folder is null)
        {
            return null;
        }

        // Before the first step, not at the first checkpoint.
        AtomicFile.RequireWritable(Path.Combine(options.Folder, FileName));
        foreach (var leftover in Directory.GetFiles(options.Folder, $".{FileName}.*"))
        {
            File.Delete(leftover);
        }

        if (!File.Exists(Path.Combine(options.Folder, FileName)))
        {
            return null;
        }

        var state = new LorsaTrainingState(SafetensorsFile.Open(Path.Combine(options.Folder, FileName)));
        foreach (var (name, value) in options.Fingerprint(config))
        {
            var then = state.file.Metadata.GetValueOrDefault(Option + name);
            if (!string.Equals(then, value, StringComparison.Ordinal))
            {
                state.Dispose();
                throw new ArgumentException(
                    $"'{state.file.Path}' belongs to a training with {name} = {then ?? "nothing"}, not {value}. Resume with the same options, or choose another folder.");
            }
        }

        return state;
    }

    /// <summary>Writes the checkpoint, where the options name a folder.</summary>
    public static void Save(LorsaTrainingOptions options, LorsaStepper stepper, LorsaCurve curve)
    {
        if (options.Folder is null)
        {
            return;
        }

        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(
            Path.Combine(options.Folder, FileName),
            Parameters(stepper).Concat(Rest(stepper, curve)).Append((Name: MeanNorms, Numbers: tensor([stepper.Lorsa.InputNorm, stepper.Lorsa.OutputNorm])))
                .Select(part => KeyValuePair.Create(part.Name, part.Numbers)),
            options.Fingerprint(stepper.Lorsa.Config).Select(option => KeyValuePair.Create(Option + option.Key, option.Value)));
    }

    /// <summary>Reads the checkpoint into what was made for the same options, a training of so many steps.</summary>
    public void Restore(LorsaStepper stepper, LorsaCurve curve, long steps)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        foreach (var (name, numbers) in Parameters(stepper))
        {
            numbers.copy_(Read(name, numbers.shape, float32));
        }

        var rest = Rest(stepper, curve).Select(part =>
            Read(part.Name, part.Name == Points ? [-1, part.Numbers.shape[1]] : part.Numbers.shape, part.Numbers.dtype)).ToList();
        rest[0].Copied<long>().CopyTo(stepper.Optimizer.Steps, 0);
        rest[1].Copied<long>().CopyTo(stepper.SilentTokens, 0);
        (stepper.Step, stepper.CountedTokens) = rest[2].Copied<long>() is var position ? (position[0], position[1]) : default;
        Require("position", stepper.Step >= 0 && stepper.Step <= steps && stepper.CountedTokens >= 0, $"a step of at most {steps}, and the tokens before it");
        Require("optimizer.steps", Array.TrueForAll(stepper.Optimizer.Steps, taken => taken >= 0 && taken <= stepper.Step), $"at most {stepper.Step} steps");
        curve.Kept = (rest[3], rest[4]);
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private static IEnumerable<(string Name, Tensor Numbers)> Parameters(LorsaStepper stepper) =>
        Lorsa.Shapes(stepper.Lorsa.Config).SelectMany(p => new (string, Tensor)[]
        {
            (p.Name, stepper.Lorsa.Weight(p.Name)), ($"optimizer.m.{p.Name}", stepper.Optimizer.First[p.Name]),
            ($"optimizer.v.{p.Name}", stepper.Optimizer.Second[p.Name]),
        });

    private static IEnumerable<(string Name, Tensor Numbers)> Rest(LorsaStepper stepper, LorsaCurve curve) =>
    [
        ("optimizer.steps", tensor(stepper.Optimizer.Steps)), ("silent_tokens", tensor(stepper.SilentTokens)),
        ("position", tensor([stepper.Step, stepper.CountedTokens])), ("pending", curve.Kept.Pending), (Points, curve.Kept.Points),
    ];

    private void Require(string name, bool isSo, string what) =>
        Fault.InvalidDataIf(!isSo, $"'{file.Path}', tensor '{name}': expected {what}. The file is damaged: start the training anew in another folder.");

    private Tensor Read(string name, long[] shape, ScalarType dtype)
    {
        var stored = file.Read(name);
        Fault.InvalidDataIf(
            stored.dtype != dtype || stored.ndim != shape.Length || stored.shape.Zip(shape).Any(pair => pair.First != pair.Second && pair.Second != -1),
            $"'{file.Path}', tensor '{name}': expected [{string.Join(", ", shape)}] of {dtype}, found [{string.Join(", ", stored.shape)}] of {stored.dtype}. "
            + $"Start the training anew in another folder.");
        return stored;
    }
}
