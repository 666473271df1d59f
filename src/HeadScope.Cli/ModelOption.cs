using System.CommandLine;

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

    /// <summary>Loads a model, with a progress bar where it has to be downloaded.</summary>
    /// <param name="name">What <c>--model</c> names.</param>
    /// <param name="cancellationToken">Stops the download.</param>
    /// <returns>The model.</returns>
    public static Model Load(string name, CancellationToken cancellationToken) =>
        TerminalProgress.Show(progress => Model.Load(name, progress: progress, cancellationToken: cancellationToken));
}
