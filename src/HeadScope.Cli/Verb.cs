using System.CommandLine;

namespace HeadScope.Cli;

/// <summary>
/// One verb of <c>headscope</c>: a command whose <c>--help</c> ends with examples. Each verb has a file of its own, named after it,
/// with <c>static Command Create()</c> as its only entry; <see cref="Headscope.CreateRoot"/> lists them.
/// </summary>
/// <param name="name">The word on the command line.</param>
/// <param name="description">What it does, as the first paragraph of its help.</param>
internal sealed class Verb(string name, string description) : Command(name, description)
{
    /// <summary>Command lines that work as they stand, each with what it does.</summary>
    public IReadOnlyList<(string Line, string Meaning)> Examples { get; init; } = [];

    /// <summary>True for work that gives Ctrl-C and SIGTERM a meaning of its own; its token is then never cancelled by them.</summary>
    public bool KeepsSignals { get; init; }

    /// <summary>
    /// Sets what the verb does. It runs off the main thread, so that Ctrl-C is heard; when it returns the exit code is 0,
    /// and when it throws, <see cref="Headscope.RunAsync"/> turns the exception into a line on standard error and an exit code.
    /// </summary>
    /// <param name="work">The work; the token is cancelled by Ctrl-C and SIGTERM.</param>
    public void Does(Action<ParseResult, CancellationToken> work) =>
        SetAction(async (parsed, cancellation) =>
        {
            await Task.Run(() => work(parsed, cancellation), CancellationToken.None);
            return ExitCode.Done;
        });

    /// <summary>Sets what the verb does, for work that awaits and chooses its own exit code.</summary>
    /// <param name="work">The work; its result is the exit code.</param>
    public void Does(Func<ParseResult, CancellationToken, Task<int>> work) =>
        SetAction((parsed, cancellation) => Task.Run(() => work(parsed, cancellation), CancellationToken.None));
}
