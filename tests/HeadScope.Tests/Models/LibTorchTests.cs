using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;

namespace HeadScope.Tests;

public sealed class LibTorchTests : IDisposable
{
    private static readonly TorchPlatform Debian = new("linux", Architecture.X64, new Version(2, 36));

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-").FullName;

    /// <summary>Tests make tensors before they use anything of HeadScope.</summary>
    [ModuleInitializer]
    internal static void Prepare() => LibTorch.Prepare();

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void TensorsCanBeMade()
    {
        LibTorch.Require();
        using var ones = torch.ones(3);
        using var sum = ones.sum();
        Assert.Equal(3f, sum.item<float>());
    }
}
