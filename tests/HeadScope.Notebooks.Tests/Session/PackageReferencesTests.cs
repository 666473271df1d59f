using System.IO.Compression;
using HeadScope.Cli;
using HeadScope.Notebooks.Session;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace HeadScope.Notebooks.Tests;

/// <summary><c>#r "nuget: …"</c> with packages made here, in a folder that the restore takes as one more source.</summary>
public sealed class PackageReferencesTests : IDisposable
{
    // What MSBuild and NuGet read from the environment; the packages must not stay in the user's cache.
    private const string Sources = "RestoreAdditionalProjectSources";
    private const string Cache = "NUGET_PACKAGES";

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-packages-").FullName;
    private readonly CSharpSession session = new(NotebookFigures.Extension);
    private readonly RecordedOutput output = new();
    private readonly string? sources = Environment.GetEnvironmentVariable(Sources);
    private readonly string? cache = Environment.GetEnvironmentVariable(Cache);

    public PackageReferencesTests()
    {
        Environment.SetEnvironmentVariable(Sources, folder);
        Environment.SetEnvironmentVariable(Cache, Path.Combine(folder, "cache"));
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(Sources, sources);
        Environment.SetEnvironmentVariable(Cache, cache);
        session.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_package_and_what_it_depends_on_are_installed_and_used()
    {
        var inner = Pack("HeadScope.Test.Inner", "1.2.0", "public static class Inner { public static int Six => 6; }");
        Pack("HeadScope.Test.Outer", "2.0.1", "public static class Outer { public static int Answer => 7 * Inner.Six; }", ("HeadScope.Test.Inner", "1.2.0"), inner);
        Assert.Equal(42, (await Run("#r \"nuget: HeadScope.Test.Outer, 2.0.1\"\nOuter.Answer")).Value);
        Assert.Contains("Installed HeadScope.Test.Outer, 2.0.1", output.Text, StringComparison.Ordinal);
        Assert.Equal(6, (await Run("Inner.Six")).Value);
    }

    [Fact]
    public async Task An_assembly_that_the_program_has_but_cells_do_not_see_is_the_programs_own()
    {
        // The package's file has the name of one that the web server's framework brings, and nothing of use in it.
        Assert.False((await session.RunAsync("typeof(Microsoft.Extensions.Options.Options)", output)).Succeeded);
        Pack("HeadScope.Test.Hidden", "1.0.0", "public class Empty { }", file: "Microsoft.Extensions.Options");
        await Run("#r \"nuget: HeadScope.Test.Hidden, 1.0.0\"");
        Assert.Contains("HeadScope.Test.Hidden: the running version is used.", output.Text, StringComparison.Ordinal);
        Assert.Equal(3, (await Run("Microsoft.Extensions.Options.Options.Create(\"abc\").Value.Length")).Value);
    }

    [Theory]
    [InlineData("HeadScope")]
    [InlineData("HeadScope.Interactive")]
    [InlineData("HeadScope.Interactive, 1.0.0")]
    [InlineData("Plotly.NET")]
    [InlineData("TorchSharp")]
    [InlineData("torchsharp-cpu")]
    [InlineData("TorchSharp-cpu, 0.107.0")]
    [InlineData("libtorch-cpu")]
    [InlineData("libtorch-cpu-linux-x64, 2.10.0")]
    public async Task What_the_program_runs_on_is_not_restored_again(string package)
    {
        Assert.Equal(3f, (await Run($"#r \"nuget: {package}\"\nusing TorchSharp;\ntorch.ones(3).sum().item<float>()")).Value);
        Assert.Equal(package.Split(',') is [var id, _] ? $"{id}: the running version is used.\n" : "", output.Text);
        Assert.False(Directory.Exists(Path.Combine(folder, "cache")));
    }

    [Theory]
    [InlineData("TorchSharp-cuda-linux")]
    [InlineData("TorchSharp-cuda-windows, 0.107.0")]
    [InlineData("libtorch-cuda-12.8-linux-x64")]
    public async Task A_libtorch_for_a_gpu_is_named_at_the_start(string package)
    {
        Assert.Equal(3f, (await Run($"#r \"nuget: {package}\"\nTorchSharp.torch.ones(3).sum().item<float>()")).Value);
        Assert.Contains("for a GPU start it with HEADSCOPE_LIBTORCH=FOLDER", output.Text, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(folder, "cache")));
    }

    [Fact]
    public async Task A_source_that_a_cell_names_is_looked_in_by_it_and_later_ones()
    {
        var elsewhere = Directory.CreateDirectory(Path.Combine(folder, "elsewhere")).FullName;
        Pack("HeadScope.Test.Far", "1.0.0", "public static class Far { public static int Away => 8; }", into: elsewhere);
        Pack("HeadScope.Test.Further", "1.0.0", "public static class Further { public static int Away => 9; }", into: elsewhere);
        Assert.Equal(8, (await Run($"#i \"nuget:{elsewhere}\"\n#r \"nuget: HeadScope.Test.Far, 1.0.0\"\nFar.Away")).Value);
        Assert.Equal(9, (await Run("#r \"nuget: HeadScope.Test.Further, 1.0.0\"\nFurther.Away")).Value);
    }

    [Fact]
    public async Task A_packages_extension_for_notebooks_is_run_once_and_a_compiled_one_is_named()
    {
        const string Greeting = "#!meta\n\n{\"kernelInfo\":{}}\n\n#!csharp\n\nusing static Greeting;\nFormatter.Register<Stone>(s => $\"<i>{s.Grams} g</i>\", \"text/html\");\nConsole.WriteLine(Hello);\n";
        Pack("HeadScope.Test.Greeting", "1.0.0", "public static class Greeting { public static string Hello => \"hello\"; } public class Stone { public int Grams => 5; }", extension: ("extension.dib", Greeting));
        Pack("HeadScope.Test.Faulty", "1.0.0", "public class Faulty { }", extension: ("extension.dib", "#!fsharp\nlet x = 1\n"));
        Pack("HeadScope.Test.Compiled", "1.0.0", "public static class Compiled { public static int Six => 6; }", extension: ("HeadScope.Test.Compiled.dll", "any"));
        Assert.Equal("<i>5 g</i>", (await Run("#r \"nuget: HeadScope.Test.Greeting, 1.0.0\"\nnew Stone()")).Shown!.Data["text/html"]);
        Assert.Equal("hello", (await Run("#r \"nuget: HeadScope.Test.Greeting, 1.0.0\"\nHello")).Value);
        Assert.Equal(2, output.Text.Split("hello\n").Length);
        await Run("#r \"nuget: HeadScope.Test.Faulty, 1.0.0\"\nnew Faulty()");
        Assert.StartsWith("HeadScope.Test.Faulty: its extension for notebooks did not run: #!fsharp: of .NET Interactive", output.Errors, StringComparison.Ordinal);
        Assert.Equal(6, (await Run("#r \"nuget: HeadScope.Test.Compiled, 1.0.0\"\nCompiled.Six")).Value);
        Assert.Contains("HeadScope.Test.Compiled: its extension for notebooks is compiled for .NET Interactive and needs Microsoft's kernel", output.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_culture_that_a_package_asks_for_is_there()
    {
        Pack("HeadScope.Test.Culture", "1.0.0", "public static class Culture { public static string Name => new System.Globalization.CultureInfo(\"de-DE\").Name; }");
        Assert.Equal("de-DE", (await Run("#r \"nuget: HeadScope.Test.Culture, 1.0.0\"\nCulture.Name")).Value);
    }

    [Fact]
    public async Task A_package_that_is_nowhere_is_named()
    {
        var result = await session.RunAsync("#r \"nuget: HeadScope.Test.Nowhere, 1.0.0\"", output);
        Assert.Contains("HeadScope.Test.Nowhere", result.Error!.Message, StringComparison.Ordinal);
        Assert.Equal(2, (await Run("1 + 1")).Value);
    }

    private async Task<CellResult> Run(string code)
    {
        var result = await session.RunAsync(code, output);
        var message = result.Error?.Message ?? "";
        Assert.SkipWhen(
            message.Contains("NU1301", StringComparison.Ordinal) || message.Contains(".NET SDK", StringComparison.Ordinal),
            "dotnet restore cannot reach its sources here, or there is no .NET SDK.");
        Assert.True(result.Succeeded, message);
        return result;
    }

    /// <summary>Compiles a library and packs it; gives the assembly's path.</summary>
    private string Pack(string id, string version, string code, (string Id, string Version)? dependency = null, string? reference = null, string? file = null, string? into = null,
        (string Name, string Text)? extension = null)
    {
        var dll = Path.Combine(folder, $"{file ?? id}.dll");
        string?[] references = [typeof(object).Assembly.Location, Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "System.Runtime.dll"), reference];
        var compiled = CSharpCompilation.Create(
            file ?? id,
            [CSharpSyntaxTree.ParseText(code, cancellationToken: TestContext.Current.CancellationToken)],
            references.OfType<string>().Select(path => MetadataReference.CreateFromFile(path)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary)).Emit(dll, cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(compiled.Success, string.Join('\n', compiled.Diagnostics));

        using var package = ZipFile.Open(Path.Combine(into ?? folder, $"{id}.{version}.nupkg"), ZipArchiveMode.Create);
        package.CreateEntryFromFile(dll, $"lib/net8.0/{Path.GetFileName(dll)}");
        if (extension is var (name, text))
        {
            using var ofNotebooks = new StreamWriter(package.CreateEntry($"interactive-extensions/dotnet/{name}").Open());
            ofNotebooks.Write(text);
        }

        using var description = new StreamWriter(package.CreateEntry($"{id}.nuspec").Open());
        description.Write($"""
            <package><metadata><id>{id}</id><version>{version}</version><authors>test</authors><description>For a test.</description>
            <dependencies><group targetFramework="net8.0">{(dependency is { } d ? $"<dependency id=\"{d.Id}\" version=\"{d.Version}\" />" : "")}</group></dependencies>
            </metadata></package>
            """);
        return dll;
    }
}
