namespace HeadScope.Notebooks.Tests;

/// <summary>HeadScope in a single file that <c>dotnet run</c> compiles, with packages instead of a project.</summary>
/// <param name="guest">The folder with the packages.</param>
[Collection(nameof(PythonClient))]
public sealed class PlainFileTests(Guest guest)
{
    private static readonly string Example = Path.Combine(TestData.Repository, "docs", "explore.cs");

    [Fact]
    public void The_example_asks_for_the_libtorch_that_the_packages_are_made_for() =>
        Assert.Contains($"#:package TorchSharp-cpu@{Guest.TorchVersion}\n", File.ReadAllText(Example), StringComparison.Ordinal);

    [Fact]
    public async Task The_example_prints_a_table_and_saves_a_figure()
    {
        await guest.Packages();
        var folder = guest.Folder("explore");
        File.Copy(Example, Path.Combine(folder, "explore.cs"));
        var (code, said) = await ChildProgram.RunAsync(
            ChildProgram.Dotnet, ["run", "explore.cs"], folder, guest.Environment.Append(new("XDG_DATA_HOME", guest.Folder("data"))));
        Assert.SkipWhen(code != 0 && said.Contains("NU1301", StringComparison.Ordinal), "The packages that the example asks for could not be restored.");
        Assert.True(code == 0, said);
        Assert.Contains("0.5     0.59  Italy→Rome, Spain→Madrid, Greece→Athens, Turkey→Ankara", said, StringComparison.Ordinal);
        Assert.Contains("The figure is head-map.html.", said, StringComparison.Ordinal);
        Assert.Contains("Plotly.newPlot", await File.ReadAllTextAsync(Path.Combine(folder, "head-map.html"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }
}
