using System.Runtime.CompilerServices;

namespace HeadScope;

/// <summary>Where and as what a model's parameters live, and whether they stay there: on the CPU they stay while all of them take at most half of
/// the memory that was free when the first one was used; else each is read anew when it is needed. Elsewhere they always stay.</summary>
internal sealed class WeightMemory(Device device, ScalarType dtype) : IDisposable
{
    private static readonly AsyncLocal<Func<long>?> FreeInTest = new();

    // Weakly: a rewritten model that nobody holds any more takes its weights along.
    private readonly ConditionalWeakTable<Parameter, object?> parameters = [];
    private bool? stays;

    /// <summary>Free memory in bytes; replaced by a test for itself alone.</summary>
    internal static Func<long> Free
    {
        get => FreeInTest.Value ?? FreeMemory;
        set => FreeInTest.Value = value;
    }

    public Device Device { get; } = device;

    public ScalarType Dtype { get; } = dtype;

    public long Bytes { get; private set; }

    public bool IsDisposed { get; private set; }

    /// <summary>Whether parameters stay in memory once they are read.</summary>
    public bool Stays => stays ??= Device.type != DeviceType.CPU || Bytes <= Free() / 2;

    public void Add(Parameter parameter) => parameters.Add(parameter, null);

    /// <summary>Ends reading: what was added until now is the model; what is added later replaces parts of it.</summary>
    public void Close() => Bytes = BytesOf(parameters.Select(entry => entry.Key));

    public long BytesOf(IEnumerable<Parameter> some) => some.Sum(parameter => parameter.Length) * Dtype.ElementSize();

    public void Dispose()
    {
        IsDisposed = true;
        foreach (var (parameter, _) in parameters)
        {
            parameter.Release();
        }
    }

    private static long FreeMemory()
    {
        // What Linux can give without swapping counts the cache of files, which the collector's figures do not. A container's limit is not seen there.
        const string file = "/proc/meminfo", container = "/sys/fs/cgroup/memory.";
        if (Number(file, lines => lines.FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal))?.Split(' ')[^2]) is { } kilobytes)
        {
            return Number(container + "max") is { } limit && Number(container + "current") is { } used
                ? Math.Min(kilobytes << 10, Math.Max(0, limit - used))
                : kilobytes << 10;
        }

        var memory = GC.GetGCMemoryInfo();
        return memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes;

        static long? Number(string path, Func<IEnumerable<string>, string?>? find = null) =>
            File.Exists(path) && long.TryParse((find ?? Enumerable.FirstOrDefault)(File.ReadLines(path)), CultureInfo.InvariantCulture, out var number)
                ? number
                : null;
    }
}
