using System.Diagnostics;
using HeadScope.Notebooks.Running;

namespace HeadScope.Notebooks.Tests;

/// <summary>The tool and its kernel with the libtorch of another folder, each in a process of its own.</summary>
public sealed class OtherLibtorchTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Cells_compute_with_it()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Looks at the libraries of a process as Linux lists them.");
        using (var link = Process.Start("sh", ["-c", "ln -L \"$1\"/* \"$2\" 2>/dev/null || cp -fL \"$1\"/* \"$2\"", "sh", Own, folder]))
        {
            link.WaitForExit();
        }

        var (exit, said) = Run("""
            ["Console.WriteLine(TorchSharp.torch.ones(3).sum().item<float>());\n",
             "File.ReadLines(\"/proc/self/maps\").Where(l => l.EndsWith(\"/libtorch_cpu.so\")).Select(l => l[l.IndexOf('/')..]).Distinct().Single()"]
            """);
        Assert.True(exit == 0, said);
        var outputs = NotebookFile.Read(Notebook).Cells[0]!["outputs"]!.AsArray();
        Assert.Equal("3\n", NotebookFile.Joined(outputs[0]!["text"]));
        Assert.Equal(Path.Combine(folder, "libtorch_cpu.so"), NotebookFile.Joined(outputs[1]!["data"]!["text/plain"]));
    }

    [Theory]
    [InlineData("TorchSharp.torch.ones(3)")]
    [InlineData("Model.Load(\\\"demo\\\")")]
    public void A_folder_without_it_is_named(string code)
    {
        var (exit, said) = Run($"\"{code}\"");
        Assert.NotEqual(0, exit);
        Assert.Contains($"System.DllNotFoundException: HEADSCOPE_LIBTORCH={folder} holds no ", said, StringComparison.Ordinal);
    }

    private static string Own => Path.Combine(AppContext.BaseDirectory, "libtorch");

    private string Notebook => Path.Combine(folder, "cells.ipynb");

    private (int Exit, string Said) Run(string source)
    {
        File.WriteAllText(Notebook, $$"""
            {"cells": [{"cell_type": "code", "id": "a", "metadata": {}, "source": {{source}}, "outputs": [], "execution_count": null}],
             "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            """);
        var start = new ProcessStartInfo(
            Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
            [Path.Combine(AppContext.BaseDirectory, "HeadScope.Cli.dll"), "notebook", "run", "--in-place", Notebook])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["HEADSCOPE_LIBTORCH"] = folder;
        start.Environment["NUGET_PACKAGES"] = folder; // where TorchSharp looks when its own search fails, and copies what it finds
        using var process = Process.Start(start)!;
        var said = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, said.Result);
    }
}
