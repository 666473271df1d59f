namespace HeadScope;

/// <summary>Where models are downloaded from and to, and how patiently.</summary>
internal sealed record HubOptions
{
    public Uri Endpoint { get; init; } = new("https://huggingface.co");

    public required string CacheFolder { get; init; }

    /// <summary>An access token for private and gated models, sent to <see cref="Endpoint"/> only; null for none.</summary>
    public string? Token { get; init; }

    public bool Offline { get; init; }

    /// <summary>How many times in a row a request may fail before the download does; progress in between starts the count again.</summary>
    public int Attempts { get; init; } = 6;

    /// <summary>The wait after the first failure; it doubles with each further one, and a longer Retry-After of the server is heeded.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a server may be silent before the connection counts as dropped.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The settings of Hugging Face's own tools, whose cache, endpoint, token and offline switch these options share.</summary>
    /// <exception cref="ArgumentException"><c>HF_ENDPOINT</c> is not an address.</exception>
    public static HubOptions FromEnvironment(Func<string, string?>? variable = null)
    {
        variable ??= Environment.GetEnvironmentVariable;
        string? Get(params string[] names) => names.Select(variable).FirstOrDefault(value => !string.IsNullOrWhiteSpace(value))?.Trim();
        bool IsOn(string name) => Get(name)?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";

        var user = Get("HOME") ?? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        string Expand(string path) => path is "~" || path.StartsWith("~/", StringComparison.Ordinal) ? Path.Join(user, path[1..]) : path;

        var home = Expand(Get("HF_HOME") ?? Path.Combine(Get("XDG_CACHE_HOME") ?? Path.Combine(user, ".cache"), "huggingface"));
        var endpoint = Get("HF_ENDPOINT") ?? "https://huggingface.co";
        return new HubOptions
        {
            Endpoint = Uri.TryCreate(endpoint, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
                ? address
                : throw new ArgumentException($"HF_ENDPOINT is '{endpoint}'; expected an address such as https://huggingface.co."),
            CacheFolder = Expand(Get("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? Path.Combine(home, "hub")),
            Token = Get("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
                ?? (IsOn("HF_HUB_DISABLE_IMPLICIT_TOKEN") ? null : ReadToken(Expand(Get("HF_TOKEN_PATH") ?? Path.Combine(home, "token")))),
            Offline = IsOn("HF_HUB_OFFLINE") || IsOn("TRANSFORMERS_OFFLINE"),
        };
    }

    /// <summary>Without the token.</summary>
    public override string ToString() => $"{Endpoint}, cache {CacheFolder}{(Offline ? ", offline" : "")}";

    private static string? ReadToken(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim() is { Length: > 0 } token ? token : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null; // Most users have no token, and public models need none.
        }
    }
}
