using System.Runtime.CompilerServices;

namespace HeadScope.Notebooks.Tests;

/// <summary>
/// HeadScope loads libtorch before any test runs: one that makes a tensor first would leave the search to TorchSharp, which finds a
/// distribution's older libtorch, and with two of them the process ends.
/// </summary>
internal static class TorchStart
{
    [ModuleInitializer]
    internal static void Load() => Model.Load("demo").Dispose();
}
