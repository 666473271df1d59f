using System.Diagnostics;
using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>
/// A Python program that does the same work with PyTorch or NumPy and times itself. It reads one request a line and answers each
/// with one line (peers/peer.py); its thread count is <see cref="Parallelism.Threads"/>.
/// </summary>
internal sealed class Peer : IDisposable
{
    private readonly Process process;

    private Peer(Process process, string description)
    {
        this.process = process;
        Description = description;
    }

    /// <summary>What the program says it runs on: libraries, versions, instruction set.</summary>
    public string Description { get; }

    /// <summary>
    /// Starts a script of the folder peers; the interpreter is HEADSCOPE_PYTHON, else /usr/bin/python3, else python3, and node for
    /// .js files.
    /// </summary>
    public static Peer Start(string script, params string[] arguments)
    {
        var python = Environment.GetEnvironmentVariable("HEADSCOPE_PYTHON")
            ?? (File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3");
        var interpreter = script.EndsWith(".js", StringComparison.Ordinal) ? "node" : python;
        var start = new ProcessStartInfo(interpreter, [Path.Combine(AppContext.BaseDirectory, "peers", script), .. arguments])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        var threads = Parallelism.Threads.ToString(CultureInfo.InvariantCulture);
        start.Environment["OMP_NUM_THREADS"] = threads;
        start.Environment["OPENBLAS_NUM_THREADS"] = threads;
        var started = Process.Start(start) ?? throw new InvalidOperationException($"{interpreter} did not start.");
        var description = started.StandardOutput.ReadLine()
            ?? throw new InvalidOperationException($"{script} ended at once: see its message above.");
        return new Peer(started, description);
    }

    /// <summary>Sends a request and waits for its answer.</summary>
    public string Ask(string request)
    {
        process.StandardInput.WriteLine(request);
        process.StandardInput.Flush();
        return process.StandardOutput.ReadLine()
            ?? throw new InvalidOperationException($"The peer ended on '{request}': see its message above.");
    }

    /// <summary>Has the peer do a piece of work several times and returns the seconds, or the processor seconds, of one time.</summary>
    public double Seconds(string work, int repetitions, bool processorTime = false) => double.Parse(
        Ask(string.Create(CultureInfo.InvariantCulture, $"{(processorTime ? "cpu " : "")}{repetitions} {work}")), CultureInfo.InvariantCulture);

    /// <inheritdoc/>
    public void Dispose()
    {
        process.StandardInput.Close();
        process.WaitForExit();
        process.Dispose();
    }
}
