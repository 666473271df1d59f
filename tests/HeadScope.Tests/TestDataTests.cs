namespace HeadScope.Tests;

public sealed class TestDataTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_named_folder_without_data_fails_and_a_missing_usual_one_skips()
    {
        Assert.Null(TestData.Find(null, folder));
        Assert.Null(TestData.Find("", folder));
        var error = Assert.Throws<DirectoryNotFoundException>(() => TestData.Find(folder, folder));
        Assert.Contains($"HEADSCOPE_TEST_DATA is '{folder}'", error.Message, StringComparison.Ordinal);
        Assert.Throws<DirectoryNotFoundException>(() => TestData.Find(Path.Combine(folder, "none"), folder));

        var data = Directory.CreateDirectory(Path.Combine(folder, "shared")).FullName;
        Directory.CreateDirectory(Path.Combine(data, "reference"));
        Assert.Equal(data, TestData.Find(data, folder));
        Assert.Equal(data, TestData.Find(null, data));
    }
}
