using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope.Benchmarks;

/// <summary>How long a person at a notebook waits: for the first cell of a new kernel, for small cells and for completions after it.</summary>
internal static class KernelBenchmark
{
    private const int Starts = 7;

    /// <summary>Runs it; arguments are the program whose kernel is measured, as built, published or installed as a tool, and the program of
    /// .NET Interactive where that is the peer, not Python's kernel.</summary>
    public static void Run(string[] arguments)
    {
        if (arguments is not [var program, .. { Length: <= 1 } others])
        {
            throw new ArgumentException(
                "Give the headscope program, such as src/HeadScope.Cli/bin/Release/net10.0/HeadScope.Cli, and where that is to be the peer the program dotnet-interactive.",
                nameof(arguments));
        }

        var (other, otherName) = others is [_] ? (".net-csharp", ".NET Interactive") : ("python3", "ipykernel");
        var prefix = Directory.CreateTempSubdirectory("headscope-kernel-").FullName;
        try
        {
            using (var install = Process.Start(Path.GetFullPath(program), ["kernel", "install", "--prefix", prefix]))
            {
                install.WaitForExit();
            }

            if (others is [var interactive])
            {
                var specification = Directory.CreateDirectory(Path.Combine(prefix, "share", "jupyter", "kernels", other)).FullName;
                File.WriteAllText(Path.Combine(specification, "kernel.json"), new JsonObject
                {
                    ["argv"] = new JsonArray(Path.GetFullPath(interactive), "jupyter", "--default-kernel", "csharp", "--http-local-only", "{connection_file}"),
                    ["display_name"] = otherName,
                    ["language"] = "C#",
                }.ToJsonString());
            }

            // Both kernels are found by their specifications, and the peer's process hands the folder on to them.
            Environment.SetEnvironmentVariable("JUPYTER_PATH", Path.Combine(prefix, "share", "jupyter"));
            using var peer = Peer.Start("kernel.py");
            Console.WriteLine($"{Starts} starts of each in turns; peer: {peer.Description}\n");
            var ours = new List<JsonElement>();
            var theirs = new List<JsonElement>();
            for (var i = 0; i < Starts; i++)
            {
                ours.Add(JsonElement.Parse(peer.Ask("headscope")));
                theirs.Add(JsonElement.Parse(peer.Ask(other)));
            }

            Console.WriteLine($"| what | HeadScope | {otherName} |\n|---|---|---|");
            Report("says what it is, from the start of the process", "ready", 0.5);
            Report("first cell, from the start of the process", "first", 0.5);
            Report("the shortest of them", "first", 0);
            Report("the longest of them", "first", 1);
            Report("processor time by then", "processor", 0.5);
            Report("the least of it", "processor", 0);
            Report("the most of it", "processor", 1);
            Console.WriteLine($"| memory by then | {Quantile(ours, "memory", 0.5) / 1e6:0} MB | {Quantile(theirs, "memory", 0.5) / 1e6:0} MB |");
            Report("first completion after it", "complete", 0.5);
            Report("`1+1` thereafter", "cells", 0.5);
            Report("the same, 95th percentile", "cells", 0.95);
            Report("completion thereafter", "completions", 0.5);
            Report("the same, 95th percentile", "completions", 0.95);

            void Report(string what, string field, double quantile) => Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {what} | {Quantile(ours, field, quantile) * 1e3:0.0} ms | {Quantile(theirs, field, quantile) * 1e3:0.0} ms |"));
        }
        finally
        {
            Directory.Delete(prefix, recursive: true);
        }
    }

    private static double Quantile(List<JsonElement> runs, string field, double quantile)
    {
        var values = runs.Select(run => run.GetProperty(field))
            .SelectMany(value => value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().Select(v => v.GetDouble()) : [value.GetDouble()])
            .Order().ToList();
        return values[Math.Max(0, (int)Math.Ceiling(quantile * values.Count) - 1)];
    }
}
