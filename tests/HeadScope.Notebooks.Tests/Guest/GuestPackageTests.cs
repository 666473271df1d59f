using System.IO.Compression;
using System.Xml.Linq;

namespace HeadScope.Notebooks.Tests;

/// <summary>The packages that others reference: what lies in them.</summary>
/// <param name="guest">The folder with them.</param>
public sealed class GuestPackageTests(Guest guest)
{
    [Theory]
    [InlineData("HeadScope", "models/demo/config.json", "models/demo/model.safetensors", "models/demo/tokenizer.json", "buildTransitive/HeadScope.targets")]
    [InlineData("HeadScope.Interactive", "interactive-extensions/dotnet/extension.dib")]
    public async Task A_package_is_complete(string id, params string[] files)
    {
        await using var package = await OpenAsync(id);
        AssertHolds(package.Entries.Select(entry => entry.FullName), [.. files, $"lib/net10.0/{id}.dll", $"lib/net10.0/{id}.xml", "README.md"]);
        var about = await Metadata(package, id);
        Assert.Equal("MIT", Value(about, "license"));
        Assert.Equal("README.md", Value(about, "readme"));
        Assert.NotEqual("", Value(about, "description"));
    }

    [Fact]
    public async Task The_library_leaves_the_choice_of_libtorch_to_the_program()
    {
        await using var package = await OpenAsync("HeadScope");
        Assert.Equal(
            ["CsvHelper", "MathNet.Numerics", "Microsoft.Data.Analysis", "Microsoft.Extensions.AI.Abstractions", "TorchSharp"],
            Dependencies(await Metadata(package, "HeadScope")).Select(dependency => dependency.Id));
    }

    [Fact]
    public async Task What_is_seen_comes_with_the_library_of_its_version()
    {
        await using var package = await OpenAsync("HeadScope.Interactive");
        var about = await Metadata(package, "HeadScope.Interactive");
        var dependencies = Dependencies(about).ToDictionary(dependency => dependency.Id, dependency => dependency.Version, StringComparer.Ordinal);
        Assert.Equal(Value(about, "version"), dependencies["HeadScope"]);
        AssertHolds(
            dependencies.Keys, ["Plotly.NET", "Plotly.NET.CSharp", "Plotly.NET.Interactive", "Microsoft.DotNet.Interactive.Formatting", "PuppeteerSharp", "FSharp.Core"]);
        Assert.DoesNotContain(dependencies.Keys, id => id.StartsWith("TorchSharp-", StringComparison.Ordinal) || id.StartsWith("libtorch", StringComparison.Ordinal));
    }

    private async Task<ZipArchive> OpenAsync(string id)
    {
        var file = Directory.EnumerateFiles(await guest.Packages(), $"{id}.*.nupkg").Single(path => char.IsAsciiDigit(Path.GetFileName(path)[id.Length + 1]));
        return await ZipFile.OpenReadAsync(file);
    }

    private static void AssertHolds(IEnumerable<string> all, string[] some) => Assert.Equal([], some.Except(all, StringComparer.Ordinal));

    private static async Task<XElement> Metadata(ZipArchive package, string id)
    {
        await using var stream = await package.GetEntry(id + ".nuspec")!.OpenAsync();
        return XDocument.Load(stream).Root!.Elements().Single();
    }

    private static string Value(XElement about, string name) => about.Elements().Single(element => element.Name.LocalName == name).Value;

    private static IEnumerable<(string Id, string Version)> Dependencies(XElement about) => about.Descendants()
        .Where(element => element.Name.LocalName == "dependency").Select(element => ((string)element.Attribute("id")!, (string)element.Attribute("version")!));
}
