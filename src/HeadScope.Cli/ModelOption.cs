using System.CommandLine;
using System.Globalization;
using static TorchSharp.torch;

namespace HeadScope.Cli;

/// <summary>The option <c>--model</c>, the same for every verb, and the loading of what it names.</summary>
internal static class ModelOption
{
    /// <summary>Makes the option.</summary>
    /// <returns>The option; the demo model when not given.</returns>
    public static Option<string> Create() => new("--model", "-m")
    {
        Description = "demo (built in, the default), a folder in Hugging Face style, a .gguf file, or a hub id such as gpt2, "
            + "EleutherAI/pythia-160m or microsoft/phi-2@main.",
        HelpName = "model",
        DefaultValueFactory = _ => "demo",
        Validators =
        {
            result =>
            {
                if (string.IsNullOrWhiteSpace(result.GetValueOrDefault<string>()))
                {
                    result.AddError("--model is empty: expected demo, a folder, a .gguf file or a hub id.");
                }
            },
        },
    };

    /// <summary>Where a model runs; an option of every verb.</summary>
    public static Option<string?> Device { get; } = new("--device")
    {
        Description = "Where the model runs: cpu (the default), cuda, cuda:1, mps. A GPU needs a libtorch for it: see HEADSCOPE_LIBTORCH in README.",
        HelpName = "device",
        Recursive = true,
    };

    /// <summary>The type of its numbers; an option of every verb.</summary>
    public static Option<string?> Dtype { get; } = new("--dtype")
    {
        Description = "The type of the model's numbers: float32 (the default), float64, float16 or bfloat16.",
        HelpName = "dtype",
        Recursive = true,
    };

    /// <summary>Loads a model, with a progress bar where it has to be downloaded.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="name">What <c>--model</c> names.</param>
    /// <param name="cancellationToken">Stops the download.</param>
    /// <returns>The model.</returns>
    /// <exception cref="UsageException">The device or the dtype is none.</exception>
    public static Model Load(ParseResult parsed, string name, CancellationToken cancellationToken)
    {
        var dtype = parsed.GetValue(Dtype) switch
        {
            null or "float32" => ScalarType.Float32,
            "float64" => ScalarType.Float64,
            "float16" => ScalarType.Float16,
            "bfloat16" => ScalarType.BFloat16,
            var other => throw new UsageException($"--dtype {other} is not possible: expected float32, float64, float16 or bfloat16."),
        };
        return TerminalProgress.Show(progress => Model.Load(name, DeviceOf(parsed.GetValue(Device)), dtype, progress: progress, cancellationToken: cancellationToken));
    }

    private static Device? DeviceOf(string? text)
    {
        if (text is null)
        {
            return null;
        }

        var parts = text.Split(':');
        var index = -1;
        if (parts.Length > 2 || parts[0] is not ("cpu" or "cuda" or "mps")
            || (parts.Length == 2 && !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out index)))
        {
            throw new UsageException($"--device {text} is not possible: expected cpu, cuda, cuda:0, cuda:1, … or mps.");
        }

        LibTorch.Require();
        return new Device(parts[0], index);
    }
}
