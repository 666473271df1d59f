using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace HeadScope.Benchmarks;

/// <summary>
/// How long a person waits for the first result, from the start of the process, against another build of the project: that of an earlier
/// commit, cloned and built elsewhere.
/// </summary>
internal static partial class StartBenchmark
{
    private const int Children = -1;

    /// <summary>Runs it; arguments are <c>--before FOLDER</c>, the other clone, and rows: load, logits, map, kernel; none for all.</summary>
    public static void Run(string[] arguments)
    {
        if (arguments is ["load-of", var program])
        {
            var (wall, processor) = OtherBuild.FirstLogits(program, SmolLm2.Path);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{wall} {processor}"));
            return;
        }

        var option = Array.IndexOf(arguments, "--before");
        if (option < 0 || option + 1 >= arguments.Length)
        {
            throw new ArgumentException(
                "Name the folder of the other build, a clone in which `dotnet build src/HeadScope.Cli -c Release` was run: start --before FOLDER.");
        }

        var before = arguments[option + 1];
        string[] rows = [.. arguments[..option], .. arguments[(option + 2)..]];
        var output = Directory.CreateTempSubdirectory("headscope-start-").FullName;
        try
        {
            Console.WriteLine(PairedComparison.TableHead("before"));
            Report(
                "load", "SmolLM2 from GGUF to first logits, libtorch loaded",
                build => Seconds(Answer(Environment.ProcessPath!, "start", "load-of", Program(build))));

            // Token ids, so that the tokenizer is not waited for.
            Report("logits", "SmolLM2 from GGUF to first logits, from the start of the process", build => Ended(
                build, "logits", "--model", SmolLm2.Path, "--ids", "1,2,3,4,5", "--output", Path.Combine(output, "logits.safetensors")));
            Report("map", "`headscope map` on the demo, from the start of the process to the figure", build => Ended(
                build, "map", "--output", Path.Combine(output, "map.html")));
            var client = new Lazy<Peer>(() => Peer.Start("start.py"));
            Report("kernel", "kernel, from the start of the process to `Model.Load(\"demo\")` shown", build => Shown(client.Value, build));
        }
        finally
        {
            Directory.Delete(output, recursive: true);
        }

        void Report(string row, string what, Func<string, Cost> measure)
        {
            if (rows.Length == 0 || rows.Contains(row, StringComparer.OrdinalIgnoreCase))
            {
                Console.WriteLine(PairedComparison.Measure(what, () => measure(Repository()), () => measure(before), $"start --before {before} {row}"));
            }
        }
    }

    private static Cost Shown(Peer client, string build)
    {
        // The class had another name when its folder had.
        var type = Directory.Exists(Path.Combine(build, "src", "HeadScope", "Models")) ? "Model" : "TransformerModel";
        return Seconds(client.Ask($"{Program(build)}\t{type}.Load(\"demo\")"));
    }

    private static Cost Ended(string build, params string[] arguments)
    {
        var processor = ProcessorSecondsOfChildren();
        var start = Stopwatch.GetTimestamp();
        Answer(Program(build), arguments);
        return new(Stopwatch.GetElapsedTime(start).TotalSeconds, ProcessorSecondsOfChildren() - processor);
    }

    private static string Answer(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true })
            ?? throw new InvalidOperationException($"{program} did not start.");
        var answer = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? answer
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} failed: see its message above.");
    }

    private static Cost Seconds(string answer)
    {
        double[] seconds = [.. answer.Split(' ').Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
        return new(seconds[0], seconds[1]);
    }

    private static string Program(string folder)
    {
        var program = Path.GetFullPath(Path.Combine(folder, "src", "HeadScope.Cli", "bin", "Release", "net10.0", "HeadScope.Cli"));
        return File.Exists(program)
            ? program
            : throw new FileNotFoundException($"'{program}' is not there; run `dotnet build src/HeadScope.Cli -c Release` in '{folder}'.", program);
    }

    private static string Repository()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Notebooks.sln")))
        {
            folder = folder.Parent ?? throw new InvalidOperationException($"Notebooks.sln was not found above {AppContext.BaseDirectory}.");
        }

        return folder.FullName;
    }

    // Of those that have ended. struct rusage begins with two struct timeval: user and system time, each seconds and microseconds.
    private static double ProcessorSecondsOfChildren()
    {
        Span<long> usage = stackalloc long[18];
        return GetResourceUsage(Children, ref usage[0]) == 0
            ? usage[0] + usage[2] + ((usage[1] + usage[3]) * 1e-6)
            : throw new InvalidOperationException("The system does not tell the processor time of ended processes.");
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int GetResourceUsage(int who, ref long usage);
}
