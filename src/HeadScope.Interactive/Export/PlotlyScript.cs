using System.Security.Cryptography;

namespace HeadScope;

/// <summary>
/// plotly.js, which draws the figures. It is not part of HeadScope: pages name it with its hash and browsers fetch it, and what must work
/// without a network takes it from the user's cache, into which it is fetched once. <c>HEADSCOPE_PLOTLY</c> names a file to use instead.
/// </summary>
public static class PlotlyScript
{
    /// <summary>The version that figures are made for and tested with.</summary>
    public const string Version = "3.7.0";

    /// <summary>Where pages fetch it.</summary>
    public const string Address = $"https://cdn.jsdelivr.net/npm/plotly.js-dist-min@{Version}/plotly.min.js";

    /// <summary>Its SHA-384 as browsers check it (subresource integrity).</summary>
    public const string Integrity = "sha384-l4G4qURPwALv583BKlynU/4LiUx0rk9jcTX58Aq+Jc+jgWb52zeH2geZkSS3UPPs";

    /// <summary>The environment variable that names a plotly.min.js.</summary>
    public const string Variable = "HEADSCOPE_PLOTLY";

    /// <summary>The file in the user's cache; it may not be there yet.</summary>
    public static string CachePath => Path.Combine(CacheFolder(), "headscope", $"plotly-{Version}.min.js");

    /// <summary>The file to use: the one that <c>HEADSCOPE_PLOTLY</c> names, else the one in the cache.</summary>
    /// <returns>Its path; null when it is neither named nor in the cache.</returns>
    /// <exception cref="FileNotFoundException"><c>HEADSCOPE_PLOTLY</c> names a file that does not exist.</exception>
    public static string? Find()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            return File.Exists(named)
                ? Path.GetFullPath(named)
                : throw new FileNotFoundException($"{Variable} names '{named}', which is not there. Name a plotly.min.js, or unset it to have version {Version} fetched once.", named);
        }

        return File.Exists(CachePath) && IsGenuine(File.ReadAllBytes(CachePath)) ? CachePath : null;
    }

    /// <summary>The file to use, fetched into the user's cache when it is not there.</summary>
    /// <param name="progress">Hears how much is fetched.</param>
    /// <param name="cancellationToken">Stops the fetching.</param>
    /// <returns>Its path.</returns>
    /// <exception cref="IOException">It cannot be fetched.</exception>
    /// <exception cref="InvalidDataException">What was fetched is not plotly.js of that version: its hash differs.</exception>
    public static async Task<string> FetchAsync(IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        if (Find() is { } found)
        {
            return found;
        }

        byte[] script;
        try
        {
            using var client = new HttpClient { Timeout = TimeSpan.FromMinutes(2) };
            progress?.Report(new WorkProgress("fetching plotly.js", 0, 0, "bytes"));
            script = await client.GetByteArrayAsync(new Uri(Address), cancellationToken);
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
        {
            throw new IOException(
                $"plotly.js could not be fetched from {Address}: {exception.Message} Fetch plotly.js-dist-min {Version} on another machine and name its "
                + $"plotly.min.js in {Variable}.",
                exception);
        }

        if (!IsGenuine(script))
        {
            throw new InvalidDataException($"What {Address} sent is not plotly.js {Version}: its hash is not {Integrity}. Name a plotly.min.js that you trust in {Variable}.");
        }

        AtomicFile.Write(CachePath, stream => stream.Write(script));
        return CachePath;
    }

    private static bool IsGenuine(byte[] script) => $"sha384-{Convert.ToBase64String(SHA384.HashData(script))}" == Integrity;

    private static string CacheFolder()
    {
        if (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } named)
        {
            return named;
        }

        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : OperatingSystem.IsMacOS() ? Path.Combine(home, "Library", "Caches")
            : Path.Combine(home, ".cache");
    }
}
