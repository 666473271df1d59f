using System.Diagnostics;
using HeadScope.Cli;

namespace HeadScope.Notebooks.Tests;

public sealed class LorsaVerbTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-lorsa-").FullName;

    public LorsaVerbTests()
    {
        string[] words = ["river", "Paris", "the", "king", "of", "blue", "a", "house", "France", "city", "one", "two", "three", "and"];
        var random = new Random(1);
        File.WriteAllLines(
            At("corpus.txt"), Enumerable.Range(0, 200).Select(_ => string.Join(' ', Enumerable.Range(0, 40).Select(_ => words[random.Next(words.Length)]))));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task A_Lorsa_is_trained_evaluated_inspected_and_exported()
    {
        var (code, output, error) = await CommandLine.RunAsync([.. Training(At("lorsa"), steps: 20)]);
        Assert.True(code == ExitCode.Done, error);
        Assert.Contains("explained variance", output, StringComparison.Ordinal);
        Assert.True(File.Exists(At("lorsa", "sae_weights.safetensors")));
        Assert.StartsWith("step,tokens", await File.ReadAllTextAsync(At("lorsa", "curve.csv"), TestContext.Current.CancellationToken), StringComparison.Ordinal);

        (code, output, error) = await CommandLine.RunAsync("lorsa", "evaluate", At("lorsa"), "--corpus", At("corpus.txt"), "--sequences", "4", "--loss");
        Assert.True(code == ExitCode.Done, error);
        Assert.Contains("loss recovered", output, StringComparison.Ordinal);

        (code, output, error) = await CommandLine.RunAsync(
            "lorsa", "inspect", At("lorsa"), "--head", "3", "--text", "one two three one two", "--corpus", At("corpus.txt"), "--tokens", "2000");
        Assert.True(code == ExitCode.Done, error);
        Assert.Contains("head 3, QK head 0", output, StringComparison.Ordinal);
        Assert.Contains("promotes", output, StringComparison.Ordinal);

        (code, _, error) = await CommandLine.RunAsync("lorsa", "export", At("lorsa"), "--output", At("exported"), "--fold", "--unit-norms");
        Assert.True(code == ExitCode.Done, error);
        Assert.Contains("\"inference\"", await File.ReadAllTextAsync(At("exported", "config.json"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongUsage, (await CommandLine.RunAsync("lorsa", "inspect", At("lorsa"), "--head", "9999")).Code);
    }

    [Fact]
    public void A_training_killed_at_any_moment_goes_on_bit_for_bit()
    {
        const int Steps = 120;
        Assert.Equal(0, Finish(Start(At("whole"), Steps)));
        var random = new Random();
        var kills = 0;
        for (var attempt = 0; attempt < 3; attempt++)
        {
            // From the first checkpoint on, at a moment of its own each time; checkpoints are written at every step, so many kills fall into one.
            using var training = Start(At("killed"), Steps);
            var before = Stamp();
            while (!training.HasExited && Stamp() == before)
            {
                Thread.Sleep(1);
            }

            Thread.Sleep(random.Next(150));
            training.Kill();
            training.WaitForExit();
            kills += File.Exists(At("killed", "sae_weights.safetensors")) ? 0 : 1;
        }

        Assert.True(kills > 0, "The training was over before it was killed.");
        Assert.Equal(0, Finish(Start(At("killed"), Steps)));
        foreach (var file in new[] { "sae_weights.safetensors", "config.json" })
        {
            Assert.Equal(File.ReadAllBytes(At("whole", file)), File.ReadAllBytes(At("killed", file)));
        }

        DateTime Stamp() => File.GetLastWriteTimeUtc(At("killed", "training.safetensors"));
    }

    private string At(params string[] parts) => Path.Combine([folder, .. parts]);

    private IEnumerable<string> Training(string output, int steps) =>
    [
        "lorsa", "train", "--layer", "1", "--corpus", At("corpus.txt"), "--output", output, "--heads", "128", "--k", "8", "--context", "32",
        "--tokens", $"{steps * 128}", "--held-out", "4", "--checkpoint-every", "1",
    ];

    /// <summary>The command line in a process of its own.</summary>
    private Process Start(string output, int steps)
    {
        var start = new ProcessStartInfo(
            Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
            [Path.Combine(AppContext.BaseDirectory, "HeadScope.Cli.dll"), .. Training(output, steps)])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return Process.Start(start)!;
    }

    private static int Finish(Process process)
    {
        using (process)
        {
            var error = process.StandardError.ReadToEndAsync();
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, error.Result);
            return process.ExitCode;
        }
    }
}
