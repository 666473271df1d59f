using System.Diagnostics;
using System.Globalization;

namespace HeadScope.Notebooks.Kernel;

/// <summary>The server that started the kernel, which may die without saying so.</summary>
internal static class ParentProcess
{
    /// <summary>Waits for its end; for ever where it is not known.</summary>
    public static async Task WaitForEndAsync(CancellationToken cancellationToken)
    {
        var named = Environment.GetEnvironmentVariable("JPY_PARENT_PID");
        if (OperatingSystem.IsWindows() || !int.TryParse(named, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || id <= 1)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
            return;
        }

        while (true)
        {
            await Task.Delay(TimeSpan.FromSeconds(2), cancellationToken);
            try
            {
                using var parent = Process.GetProcessById(id);
            }
            catch (ArgumentException)
            {
                return;
            }
        }
    }
}
