namespace HeadScope.Tests;

public sealed class AtomicFileTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_file_keeps_who_may_read_it_and_a_link_what_it_leads_to()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Modes are those of Unix.");
            return;
        }

        var file = Path.Combine(folder, "file");
        File.WriteAllText(file, "old");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var near = Path.Combine(folder, "near");
        var far = Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "inner")).FullName, "far");
        File.CreateSymbolicLink(near, "file");
        File.CreateSymbolicLink(far, "../near");
        foreach (var path in new[] { file, near, far })
        {
            AtomicFile.RequireWritable(path);
            AtomicFile.WriteText(path, path);
            Assert.Equal(path, File.ReadAllText(file));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }

        Assert.Equal(("file", "../near"), (new FileInfo(near).LinkTarget, new FileInfo(far).LinkTarget));
        Assert.Equal(["file", "inner", "near"], Directory.EnumerateFileSystemEntries(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_link_whose_end_is_missing_is_filled()
    {
        File.CreateSymbolicLink(Path.Combine(folder, "link"), "new");
        AtomicFile.WriteText(Path.Combine(folder, "link"), "text");
        Assert.Equal("text", File.ReadAllText(Path.Combine(folder, "new")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("missing/")]
    [InlineData("file/inner")]
    public void What_is_a_folder_or_below_a_file_cannot_be_written(string name)
    {
        File.WriteAllText(Path.Combine(folder, "file"), "");
        Assert.Throws<IOException>(() => AtomicFile.RequireWritable(folder + Path.DirectorySeparatorChar + name));
        Assert.Equal([Path.Combine(folder, "file")], Directory.EnumerateFileSystemEntries(folder));
    }
}
