using Spectre.Console;

namespace HeadScope.Cli;

/// <summary>Text for people: with colours on a terminal, without them in files, pipes and where <c>NO_COLOR</c> asks for none.</summary>
internal static class TerminalOutput
{
    /// <summary>Makes a console that writes to a writer.</summary>
    /// <param name="output">The writer.</param>
    /// <returns>The console; lines of files and pipes are as long as they need to be.</returns>
    public static IAnsiConsole Create(TextWriter output)
    {
        var target = new AnsiConsoleOutput(output);
        var plain = !target.IsTerminal || !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = target,
            Ansi = plain ? AnsiSupport.No : AnsiSupport.Detect,
            ColorSystem = plain ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
        });
        if (!target.IsTerminal)
        {
            console.Profile.Width = 1000;
        }

        return console;
    }
}
