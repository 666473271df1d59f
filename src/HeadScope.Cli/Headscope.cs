using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;

namespace HeadScope.Cli;

/// <summary>The whole command line: its verbs, and the one place where exceptions become exit codes.</summary>
internal static class Headscope
{
    /// <summary>Options that every verb has.</summary>
    private static readonly Option<bool> Verbose = new("--verbose")
    {
        Description = "Show the stack of an error, not only its message.",
        Recursive = true,
    };

    private static readonly Option<int?> Threads = new("--threads")
    {
        Description = "The largest number of threads; all processors when not given. No result depends on it.",
        HelpName = "n",
        Recursive = true,
    };

    /// <summary>Makes the command with all its verbs.</summary>
    /// <returns>The root command.</returns>
    public static Command CreateRoot()
    {
        // A plain Command: RootCommand would call itself by the name of the assembly in its help.
        var root = new Command(
            "headscope",
            "What the attention heads of a language model do. Three published methods, each one verb away: MAPS finds the heads that "
            + "implement a relation, Sparse Attention Decomposition traces the circuit behind a task, Lorsa takes an attention layer apart. "
            + "A small model is built in, so everything runs without a download; start with: headscope map")
        {
            Verbose,
            Threads,
            ModelOption.Device,
            ModelOption.Dtype,
            MapCommand.Create(),
            MergeCommand.Create(),
            SalientCommand.Create(),
            DescribeCommand.Create(),
            AblateCommand.Create(),
            CompareCommand.Create(),
            TraceCommand.Create(),
            SignalsCommand.Create(),
            TokenizeCommand.Create(),
            LogitsCommand.Create(),
            ActivationsCommand.Create(),
            LorsaCommand.Create(),
            ModelsCommand.Create(),
            NotebookCommand.Create(),
            KernelCommand.Create(),
            new HelpOption { Action = new HelpWithExamples(new HelpAction()), Description = "Show this help." },
            new VersionOption(),
        };

        return root;
    }

    /// <summary>Runs one command line.</summary>
    /// <param name="arguments">The arguments, without the program's name; none stands for <c>--help</c>.</param>
    /// <param name="output">Where results go.</param>
    /// <param name="error">Where messages and progress go.</param>
    /// <returns>One of <see cref="ExitCode"/>.</returns>
    public static Task<int> RunAsync(IReadOnlyList<string> arguments, TextWriter output, TextWriter error) =>
        RunAsync(CreateRoot(), arguments, output, error);

    /// <summary>Runs one line of a command.</summary>
    internal static async Task<int> RunAsync(Command command, IReadOnlyList<string> arguments, TextWriter output, TextWriter error)
    {
        var parsed = command.Parse(arguments.Count > 0 ? arguments : ["--help"]);
        var verbose = false;
        try
        {
            if (parsed.Errors.Count > 0)
            {
                throw new UsageException(string.Join(" ", parsed.Errors.Select(Message)));
            }

            verbose = parsed.GetValue(Verbose);
            if (parsed.GetValue(Threads) is { } threads)
            {
                // More threads than processors only wait for each other.
                Parallelism.Threads = threads >= 1
                    ? Math.Min(threads, Environment.ProcessorCount)
                    : throw new UsageException($"--threads {threads} is not possible: expected 1 or more.");
            }

            return await parsed.InvokeAsync(new InvocationConfiguration
            {
                Output = output,
                Error = error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = parsed.CommandResult.Command is Verb { KeepsSignals: true } ? null : TimeSpan.FromSeconds(10),
            });
        }
        catch (Exception exception)
        {
            return Report(exception, parsed, verbose, error);
        }
    }

    private static int Report(Exception exception, ParseResult parsed, bool verbose, TextWriter error)
    {
        while (exception is AggregateException { InnerExceptions: [var only] })
        {
            exception = only;
        }

        switch (exception)
        {
            case OperationCanceledException:
                error.WriteLine("headscope: stopped.");
                return ExitCode.Stopped;
            case UsageException:
                error.WriteLine($"headscope: {exception.Message}");
                error.WriteLine($"See: {CommandPath(parsed.CommandResult.Command)} --help");
                return ExitCode.WrongUsage;
            default:
                error.WriteLine($"headscope: {(verbose ? exception : Message(exception))}");
                return ExitCode.Failed;
        }
    }

    /// <summary>The words that lead to a command: <c>headscope models pull</c>.</summary>
    internal static string CommandPath(Command command) =>
        command.Parents.OfType<Command>().FirstOrDefault() is { } parent ? $"{CommandPath(parent)} {command.Name}" : "headscope";

    /// <summary>What is wrong with the command line, without the names of .NET types.</summary>
    private static string Message(ParseError error) =>
        error.Message.IndexOf(" as expected type 'System.", StringComparison.Ordinal) is >= 0 and var end
            ? $"{error.Message[..end]}; expected a {(error.Message.Contains("Int", StringComparison.Ordinal) ? "whole " : "")}number."
            : error.Message;

    /// <summary>The message in one line, without the name of a parameter of the library, which says nothing here.</summary>
    private static string Message(Exception exception)
    {
        var message = exception is ArgumentException { ParamName: { } name }
            ? exception.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)
            : exception.Message;
        return string.Join(' ', message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries));
    }
}
