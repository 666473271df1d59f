using System.CommandLine;
using HeadScope.Notebooks.Kernel;

namespace HeadScope.Cli;

/// <summary><c>headscope kernel</c>: the Jupyter kernel "C# (HeadScope)".</summary>
internal static class KernelCommand
{
    /// <summary>Makes the verb.</summary>
    public static Command Create() => new Command("kernel", "The Jupyter kernel \"C# (HeadScope)\", for notebooks in VS Code and Jupyter.")
    {
        Install(),
        Start(),
    };

    private static Verb Install()
    {
        var user = new Option<bool>("--user") { Description = "For the present user only (the default)." };
        var prefix = new Option<string?>("--prefix") { Description = "Below an installation prefix, such as /usr/local.", HelpName = "folder" };
        var environment = new Option<bool>("--sys-prefix") { Description = "In the active Python environment (VIRTUAL_ENV or CONDA_PREFIX)." };
        var name = new Option<string>("--name")
        {
            Description = "The name that notebooks keep.",
            HelpName = "name",
            DefaultValueFactory = _ => KernelSpecification.Name,
        };
        var displayName = new Option<string>("--display-name")
        {
            Description = "The name that people see.",
            HelpName = "text",
            DefaultValueFactory = _ => KernelSpecification.DisplayName,
        };
        var verb = new Verb("install", "Makes the kernel known to Jupyter and VS Code, which then find it by themselves.")
        {
            Examples =
            [
                ("headscope kernel install", "for the present user"),
                ("headscope kernel install --sys-prefix", "for the active Python environment"),
            ],
        };
        verb.Options.Add(user);
        verb.Options.Add(prefix);
        verb.Options.Add(environment);
        verb.Options.Add(name);
        verb.Options.Add(displayName);
        verb.Does((parsed, _) =>
        {
            var chosen = parsed.GetValue(prefix);
            if ((parsed.GetValue(user) ? 1 : 0) + (chosen is null ? 0 : 1) + (parsed.GetValue(environment) ? 1 : 0) > 1)
            {
                throw new UsageException("--user, --prefix and --sys-prefix exclude each other: give one of them.");
            }

            var data = chosen is not null ? KernelSpecification.DataFolderOf(chosen)
                : parsed.GetValue(environment) ? KernelSpecification.DataFolderOf(KernelSpecification.EnvironmentPrefix())
                : KernelSpecification.UserDataFolder();
            var folder = KernelSpecification.Install(
                data, KernelSpecification.RunningCommand(), parsed.GetValue(name)!, parsed.GetValue(displayName)!);
            parsed.InvocationConfiguration.Output.WriteLine($"Installed the kernel \"{parsed.GetValue(displayName)}\" in {folder}");
        });
        return verb;
    }

    private static Verb Start()
    {
        var file = new Option<string>("--connection-file", "-f")
        {
            Description = "The connection file that the Jupyter client wrote.",
            HelpName = "file",
            Required = true,
        };
        var verb = new Verb("start", "Runs the kernel; Jupyter clients do this themselves.")
        {
            KeepsSignals = true,
            Examples = [("headscope kernel start -f connection.json", "answers the client that wrote connection.json")],
        };
        verb.Options.Add(file);
        verb.Does(async (parsed, cancellation) =>
        {
            await using var kernel = new JupyterKernel(ConnectionFile.Read(parsed.GetValue(file)!), NotebookFigures.Extension);
            await kernel.RunAsync(cancellation);
            return ExitCode.Done;
        });
        return verb;
    }
}
