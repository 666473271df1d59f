using System.Net;
using System.Net.Http.Headers;

namespace HeadScope;

/// <summary>Requests to the hub about one revision of a model: redirects followed by hand, so that the token goes to the hub alone; failures that
/// pass are tried again; the others become errors that say what to do.</summary>
internal sealed class HubRequests(HubOptions options, string id, string revision, CancellationToken cancellationToken) : IDisposable
{
    private const int MostRedirects = 10;

    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(5);

    // A mirror on this machine is not behind the proxy of the environment. Lengths are those of the file.
    private readonly HttpClient client = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = !options.Endpoint.IsLoopback })
    {
        Timeout = options.Patience, // for the headers; bodies are watched where they are read
        MaxResponseContentBufferSize = 1 << 26,
        DefaultRequestHeaders = { { "User-Agent", "headscope/0.1" }, { "Accept-Encoding", "identity" } },
    };

    /// <summary>Asks the hub, once or until it answers, which commit the revision is, and which files that has.</summary>
    public async Task<(string Commit, HashSet<string> Files)> DescribeAsync(bool retry)
    {
        var path = $"api/models/{id}/revision/{Uri.EscapeDataString(revision)}";
        async Task<byte[]> Ask()
        {
            using var response = await SendAsync(HttpMethod.Get, path).ConfigureAwait(false);
            return await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
        }

        var json = retry ? await RetryAsync(Ask, () => false).ConfigureAwait(false) : await Ask().ConfigureAwait(false);
        try
        {
            var root = JsonField.Parse($"{Address(path)}", json);
            var commit = root.Required("sha").Text();
            return HubRepository.IsCommit(commit)
                ? (commit, root.Required("siblings").Items().Select(sibling => sibling.Required("rfilename").Text()).ToHashSet(StringComparer.Ordinal))
                : throw new InvalidDataException($"{Address(path)} names no commit; expected 40 hexadecimal digits as 'sha', found '{commit}'.");
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"The address does not answer as the Hugging Face hub does; check HF_ENDPOINT. {error.Message}", error);
        }
    }

    /// <summary>Asks for a file of a commit, from a byte on, or only for what describes it.</summary>
    /// <exception cref="PassingFailureException">Trying again may help.</exception>
    public Task<HttpResponseMessage> SendAsync(HttpMethod method, string commit, string file, long from = 0) =>
        SendAsync(method, $"{id}/resolve/{commit}/{string.Join('/', file.Split('/').Select(Uri.EscapeDataString))}", from, file);

    // Along redirects until an answer that is none or that already describes the file. It is a success, or says that there is nothing from that byte on.
    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, long from = 0, string? file = null)
    {
        var address = Address(path);
        for (var redirects = 0; redirects <= MostRedirects; redirects++)
        {
            using var request = new HttpRequestMessage(method, address);
            request.Headers.Range = from > 0 ? new RangeHeaderValue(from, null) : null;
            if (options.Token is not null && address.GetLeftPart(UriPartial.Authority) == options.Endpoint.GetLeftPart(UriPartial.Authority))
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", options.Token);
            }

            var response = await SendOnceAsync(request, wholeBody: file is null).ConfigureAwait(false);
            var isRedirect = response.StatusCode is HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;
            if (response.IsSuccessStatusCode || (isRedirect && method == HttpMethod.Head && response.Headers.Contains("X-Linked-Etag"))
                || response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
            {
                return response;
            }

            using (response)
            {
                address = !isRedirect ? throw Error(response, file)
                    : response.Headers.Location is { } location && new Uri(address, location) is { Scheme: "http" or "https" } next ? next
                    : throw new HttpRequestException($"{Show(address)} redirects to no address of the web.");
            }
        }

        throw new HttpRequestException($"More than {MostRedirects} redirects, the last to {Show(address)}.");
    }

    /// <summary>Does something with requests in it, again after each failure that may pass; what progressed starts their count again.</summary>
    /// <exception cref="HttpRequestException">It failed too often.</exception>
    public async Task<T> RetryAsync<T>(Func<Task<T>> action, Func<bool> progressed)
    {
        for (var failures = 1; ; failures++)
        {
            try
            {
                return await action().ConfigureAwait(false);
            }
            catch (PassingFailureException failure)
            {
                failures = progressed() ? 1 : failures;
                if (failures >= options.Attempts || failure.RetryAfter > LongestWait)
                {
                    var wait = failure.RetryAfter > LongestWait
                        ? string.Create(CultureInfo.InvariantCulture, $" and asks to wait for {failure.RetryAfter.TotalMinutes:F0} minutes")
                        : string.Create(CultureInfo.InvariantCulture, $", {failures} times in a row");
                    throw new HttpRequestException($"{failure.Message}{wait}. Try again later: what has been downloaded is kept.", failure.InnerException);
                }

                var delay = options.RetryDelay * Math.Pow(2, failures - 1);
                await Task.Delay(failure.RetryAfter > delay ? failure.RetryAfter : delay, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    public void Dispose() => client.Dispose();

    private Uri Address(string path) => new($"{options.Endpoint.AbsoluteUri.TrimEnd('/')}/{path}");

    private async Task<HttpResponseMessage> SendOnceAsync(HttpRequestMessage request, bool wholeBody)
    {
        try
        {
            var completion = wholeBody ? HttpCompletionOption.ResponseContentRead : HttpCompletionOption.ResponseHeadersRead;
            return await client.SendAsync(request, completion, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            var reason = error is HttpRequestException ? error.Message : "no answer in time";
            throw new PassingFailureException($"{Show(request.RequestUri!)} cannot be reached ({reason})", inner: error);
        }
    }

    // What a status that is not a success means.
    private Exception Error(HttpResponseMessage response, string? file)
    {
        var (page, status) = (Address(id), (int)response.StatusCode);
        var said = $"{Show(response.RequestMessage!.RequestUri!)} answers {status} {response.ReasonPhrase}";
        var code = response.Headers.TryGetValues("X-Error-Code", out var codes) ? codes.First() : "";
        return (code, status) switch
        {
            (_, 408 or 429 or >= 500) => new PassingFailureException(said, response.Headers.RetryAfter switch
            {
                { Delta: { } delta } => delta,
                { Date: { } date } => date - DateTimeOffset.UtcNow,
                _ => TimeSpan.Zero,
            }),
            ("GatedRepo", _) or (_, 403) => new UnauthorizedAccessException(
                options.Token is null
                    ? $"The model '{id}' is gated: accept its conditions at {page}, then set HF_TOKEN to an access token of that account."
                    : $"The model '{id}' is gated or forbidden, and the access token is not enough ({status}): accept its conditions at {page}, "
                        + "or use a token that may read it."),
            ("RevisionNotFound", _) => new FileNotFoundException(
                $"The model '{id}' has no revision '{revision}'; see its branches, tags and commits at {page}/tree/main."),
            ("EntryNotFound", _) => new FileNotFoundException($"The model '{id}' has no file '{file}' at revision '{revision}'."),
            (_, 401) => new UnauthorizedAccessException(
                options.Token is null
                    ? $"The hub has no public model '{id}': check the name at {page}; for a private or gated model set HF_TOKEN to an access token."
                    : $"The hub refuses the access token, or there is no model '{id}' that it may read: check HF_TOKEN and the name at {page}."),
            (_, 404) => new FileNotFoundException(
                $"The hub has no model '{id}'{(file is null ? "" : $" with a file '{file}'")} at revision '{revision}': check the name at {page}."),
            _ => new HttpRequestException($"{said}.", null, response.StatusCode),
        };
    }

    // Redirects carry signatures in their queries: nothing to show.
    private static string Show(Uri address) => address.GetLeftPart(UriPartial.Path);
}

/// <summary>A failure of a request that may pass when it is tried again, after as long as the server asks; never leaves the hub client.</summary>
internal sealed class PassingFailureException(string message, TimeSpan retryAfter = default, Exception? inner = null) : Exception(message, inner)
{
    public TimeSpan RetryAfter => retryAfter;
}
