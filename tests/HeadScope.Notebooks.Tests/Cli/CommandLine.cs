using HeadScope.Cli;

namespace HeadScope.Notebooks.Tests;

/// <summary>Runs command lines inside the test's process.</summary>
internal static class CommandLine
{
    public static async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await Headscope.RunAsync(arguments, output, error);
        return (code, output.ToString(), error.ToString());
    }
}
