using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace HeadScope.Cli;

/// <summary>The usual help, and after it the examples of the verb, the exit codes and the environment variables.</summary>
/// <param name="usual">System.CommandLine's own help.</param>
internal sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
{
    private const string ExitCodes = """
        Exit codes:
          0    done
          1    the work failed; one line on standard error says why
          2    wrong usage
          130  stopped by Ctrl-C; no file is left half written
        """;

    private const string Environment = """
        Environment:
          HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE
                              where models are kept and fetched from, as in the Hugging Face tools
          HEADSCOPE_BROWSER   the Chromium, Chrome or Edge that draws SVG, PDF and PNG
          NO_COLOR            no colours in the terminal
        """;

    /// <summary>True: who asks for help has not given the required options yet.</summary>
    public override bool ClearsParseErrors => true;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        ArgumentNullException.ThrowIfNull(parseResult);
        var code = usual.Invoke(parseResult);
        var output = parseResult.InvocationConfiguration.Output;
        if (parseResult.CommandResult.Command is Verb { Examples.Count: > 0 } verb)
        {
            output.WriteLine("Examples:");
            foreach (var (line, meaning) in verb.Examples)
            {
                output.WriteLine($"  {line}");
                output.WriteLine($"      {meaning}");
            }

            output.WriteLine();
        }

        output.WriteLine(ExitCodes);
        output.WriteLine();
        output.WriteLine(Environment);
        return code;
    }
}
