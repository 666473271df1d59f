namespace HeadScope.Cli;

/// <summary>The exit codes of <c>headscope</c>, the same for every verb.</summary>
internal static class ExitCode
{
    /// <summary>The work is done and its output is written.</summary>
    public const int Done = 0;

    /// <summary>The work failed: one line on standard error says why. No output file is left half written.</summary>
    public const int Failed = 1;

    /// <summary>The command line is not one that the verb understands; nothing was started.</summary>
    public const int WrongUsage = 2;

    /// <summary>Stopped by Ctrl-C or by SIGTERM, as shells expect it (128 + SIGINT). No output file is left half written.</summary>
    public const int Stopped = 130;
}
