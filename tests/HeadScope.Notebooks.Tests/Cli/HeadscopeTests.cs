using System.CommandLine;
using HeadScope.Cli;

namespace HeadScope.Notebooks.Tests;

public class HeadscopeTests
{
    [Fact]
    public async Task Help_is_written_to_standard_output_and_ends_with_the_exit_codes()
    {
        var (code, output, error) = await CommandLine.RunAsync("--help");
        Assert.Equal(ExitCode.Done, code);
        Assert.Contains("Exit codes:", output, StringComparison.Ordinal);
        Assert.Contains("wrong usage", output, StringComparison.Ordinal);
        Assert.Equal("", error);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("--threads", "0")]
    [InlineData("--threads", "many")]
    public async Task Wrong_usage_ends_with_2_and_points_to_the_help(params string[] arguments)
    {
        var (code, output, error) = await CommandLine.RunAsync(arguments);
        Assert.Equal(ExitCode.WrongUsage, code);
        Assert.Equal("", output);
        Assert.StartsWith("headscope: ", error, StringComparison.Ordinal);
        Assert.Contains("--help", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_more_threads_are_used_than_there_are_processors()
    {
        var (code, _, _) = await CommandLine.RunAsync("tokenize", "--text", "a", "--threads", "100000");
        Assert.Equal(ExitCode.Done, code);
        Assert.InRange(Parallelism.Threads, 1, Environment.ProcessorCount);
    }

    [Fact]
    public void Every_verb_shows_examples_that_parse()
    {
        var root = Headscope.CreateRoot();
        foreach (var verb in Verbs(root))
        {
            Assert.NotEmpty(verb.Examples);
            foreach (var (line, meaning) in verb.Examples)
            {
                Assert.NotEmpty(meaning);
                var words = System.CommandLine.Parsing.CommandLineParser.SplitCommandLine(line).ToArray();
                Assert.Equal("headscope", words[0]);
                var parsed = root.Parse(words[1..]);
                Assert.True(parsed.Errors.Count == 0, $"{line}: {string.Join(' ', parsed.Errors)}");
                Assert.Contains(Headscope.CommandPath(verb)["headscope ".Length..], Headscope.CommandPath(parsed.CommandResult.Command), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public async Task Every_verb_has_help_also_without_its_required_options()
    {
        foreach (var verb in Verbs(Headscope.CreateRoot()))
        {
            var words = Headscope.CommandPath(verb).Split(' ')[1..];
            var (code, output, error) = await CommandLine.RunAsync([.. words, "--help"]);
            Assert.Equal((ExitCode.Done, ""), (code, error));
            Assert.Contains("Examples:", output, StringComparison.Ordinal);
            Assert.Contains("Exit codes:", output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_verb_and_option_is_described()
    {
        foreach (var command in Headscope.CreateRoot().Subcommands.SelectMany(WithSubcommands))
        {
            Assert.False(string.IsNullOrWhiteSpace(command.Description), Headscope.CommandPath(command));
            foreach (var symbol in command.Options.Cast<Symbol>().Concat(command.Arguments))
            {
                Assert.False(string.IsNullOrWhiteSpace(symbol.Description), $"{Headscope.CommandPath(command)} {symbol.Name}");
            }
        }
    }

    private static IEnumerable<Command> WithSubcommands(Command command) =>
        command.Subcommands.SelectMany(WithSubcommands).Prepend(command);

    private static IEnumerable<Verb> Verbs(Command command) =>
        command.Subcommands.SelectMany(Verbs).Concat(command is Verb verb ? [verb] : []);
}
