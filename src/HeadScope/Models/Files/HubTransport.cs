using System.Globalization;
using System.Net;
using System.Net.Http.Headers;

namespace HeadScope;

/// <summary>
/// Requests to the hub: redirects followed by hand, so that the token goes to the hub alone; failures that pass are tried again; the
/// others become errors that say what to do.
/// </summary>
internal sealed class HubTransport : IDisposable
{
    private const int MostRedirects = 10;

    /// <summary>A server that asks for a longer wait than this is given up on.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(5);

    private readonly HubOptions options;
    private readonly HttpClient client;

    public HubTransport(HubOptions options)
    {
        this.options = options;
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = !options.Endpoint.IsLoopback, // a mirror on this machine is not behind the proxy of the environment
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        };
        client = new HttpClient(handler)
        {
            Timeout = options.Patience, // for the headers; bodies are watched where they are read
        };
        client.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("headscope", "0.1"));
        client.DefaultRequestHeaders.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity")); // lengths are those of the file
    }

    /// <summary>An address below the hub's.</summary>
    /// <param name="path">The path, without '/' at its start.</param>
    public Uri Address(string path) => new($"{options.Endpoint.AbsoluteUri.TrimEnd('/')}/{path}");

    /// <summary>Sends a request along its redirects until an answer that is none, or one that <paramref name="enough"/> accepts.</summary>
    /// <param name="method">The method.</param>
    /// <param name="address">Where to begin.</param>
    /// <param name="from">The first byte wanted; 0 for the whole.</param>
    /// <param name="enough">Whether a redirect already holds what is asked for; null for never.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="PassingFailureException">Trying again may help.</exception>
    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, Uri address, long from, Func<HttpResponseMessage, bool>? enough, CancellationToken cancellationToken)
    {
        for (var redirects = 0; redirects <= MostRedirects; redirects++)
        {
            using var request = new HttpRequestMessage(method, address);
            request.Headers.Range = from > 0 ? new RangeHeaderValue(from, null) : null;
            if (options.Token is not null && IsHub(address))
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", options.Token);
            }

            var response = await SendOnceAsync(request, cancellationToken).ConfigureAwait(false);
            if (response.StatusCode is not (HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect) || enough?.Invoke(response) == true)
            {
                return response;
            }

            using (response)
            {
                address = response.Headers.Location is { } location && new Uri(address, location) is { Scheme: "http" or "https" } next
                    ? next
                    : throw new HttpRequestException($"{Show(address)} redirects to no address of the web.");
            }
        }

        throw new HttpRequestException($"More than {MostRedirects} redirects, the last to {Show(address)}.");
    }

    /// <summary>Does something with requests in it, again after each failure that may pass.</summary>
    /// <param name="action">What to do.</param>
    /// <param name="progressed">Whether the last try came further than those before, which starts the count of failures again.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="HttpRequestException">It failed too often.</exception>
    public async Task<T> RetryAsync<T>(Func<Task<T>> action, Func<bool> progressed, CancellationToken cancellationToken)
    {
        for (var failures = 1; ; failures++)
        {
            try
            {
                return await action().ConfigureAwait(false);
            }
            catch (PassingFailureException failure)
            {
                if (progressed())
                {
                    failures = 1;
                }

                if (failures >= options.Attempts || failure.RetryAfter > LongestWait)
                {
                    var wait = failure.RetryAfter > LongestWait
                        ? string.Create(CultureInfo.InvariantCulture, $" and asks to wait for {failure.RetryAfter.TotalMinutes:F0} minutes")
                        : string.Create(CultureInfo.InvariantCulture, $", {failures} times in a row");
                    throw new HttpRequestException(
                        $"{failure.Message}{wait}. Try again later: what has been downloaded is kept.", failure.InnerException, failure.Status);
                }

                var delay = options.RetryDelay * Math.Pow(2, failures - 1);
                await Task.Delay(failure.RetryAfter > delay ? failure.RetryAfter : delay, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Throws what a status that is not a success means.</summary>
    /// <param name="response">The answer.</param>
    /// <param name="id">The model.</param>
    /// <param name="revision">The revision asked for.</param>
    /// <param name="file">The file asked for; null for the model itself.</param>
    /// <exception cref="FileNotFoundException">There is no such model, revision or file.</exception>
    /// <exception cref="UnauthorizedAccessException">It is gated, or private.</exception>
    /// <exception cref="PassingFailureException">Trying again may help.</exception>
    /// <exception cref="HttpRequestException">Any other status.</exception>
    public void Check(HttpResponseMessage response, string id, string revision, string? file)
    {
        if (response.IsSuccessStatusCode || response.StatusCode is HttpStatusCode.Redirect or HttpStatusCode.TemporaryRedirect
            or HttpStatusCode.MovedPermanently or HttpStatusCode.PermanentRedirect or HttpStatusCode.SeeOther)
        {
            return;
        }

        var status = (int)response.StatusCode;
        var page = Address(id);
        var code = response.Headers.TryGetValues("X-Error-Code", out var codes) ? codes.First() : string.Empty;
        if (status is 408 or 429 or >= 500)
        {
            throw new PassingFailureException(
                $"{Show(response.RequestMessage!.RequestUri!)} answers {status} {response.ReasonPhrase}", response.StatusCode, RetryAfter(response));
        }

        throw (code, status) switch
        {
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
                $"The hub has no model '{id}'{(file is null ? string.Empty : $" with a file '{file}'")} at revision '{revision}': check the name at {page}."),
            _ => new HttpRequestException(
                $"{Show(response.RequestMessage!.RequestUri!)} answers {status} {response.ReasonPhrase}.", null, response.StatusCode),
        };
    }

    /// <inheritdoc/>
    public void Dispose() => client.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            return await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            var reason = error is HttpRequestException ? error.Message : "no answer in time";
            throw new PassingFailureException($"{Show(request.RequestUri!)} cannot be reached ({reason})", null, TimeSpan.Zero, error);
        }
    }

    private bool IsHub(Uri address) =>
        Uri.Compare(address, options.Endpoint, UriComponents.SchemeAndServer, UriFormat.SafeUnescaped, StringComparison.OrdinalIgnoreCase) == 0;

    private static TimeSpan RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } when date > DateTimeOffset.UtcNow => date - DateTimeOffset.UtcNow,
        _ => TimeSpan.Zero,
    };

    // Redirects carry signatures in their queries: nothing to show.
    private static string Show(Uri address) => address.GetLeftPart(UriPartial.Path);
}

/// <summary>A failure of a request that may pass when it is tried again; never leaves the hub client.</summary>
internal sealed class PassingFailureException(string message, HttpStatusCode? status, TimeSpan retryAfter, Exception? inner = null)
    : Exception(message, inner)
{
    /// <summary>The server's status; null where there was no answer.</summary>
    public HttpStatusCode? Status => status;

    /// <summary>How long the server asks to wait; zero where it does not.</summary>
    public TimeSpan RetryAfter => retryAfter;
}
