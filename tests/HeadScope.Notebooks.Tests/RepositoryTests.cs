namespace HeadScope.Notebooks.Tests;

public class RepositoryTests
{
    [Fact]
    public void No_file_of_plotly_is_kept_in_the_repository()
    {
        var kept = Directory.EnumerateFiles(TestData.Repository, "plotly*.js", SearchOption.AllDirectories)
            .Where(file => !file.Contains($"{Path.DirectorySeparatorChar}bin{Path.DirectorySeparatorChar}", StringComparison.Ordinal));
        Assert.Empty(kept);
    }

    [Fact]
    public void No_notebook_carries_plotly()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(TestData.Repository, "notebooks"), "*.ipynb"))
        {
            Assert.DoesNotContain(ChartOutput.Mark + "Packed = ", File.ReadAllText(file), StringComparison.Ordinal);
        }
    }
}
