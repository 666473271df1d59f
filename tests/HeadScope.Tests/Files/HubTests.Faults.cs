using System.Security.Cryptography;
using Answer = HeadScope.Tests.LocalServer.Answer;

namespace HeadScope.Tests;

/// <summary>What goes wrong on the way.</summary>
public sealed partial class HubTests
{
    [Fact]
    public async Task A_dropped_connection_is_resumed_where_it_broke()
    {
        storeFault = (_, count) => count <= 9 ? Whole(weights) with { CutAfter = 30_000 } : null;
        var snapshot = await Download(Options with { Attempts = 2 });
        Assert.Equal(weights, WeightsIn(snapshot));
        Assert.Equal(Enumerable.Range(0, 10).Select(i => i * 30_000L), store.Requests.Select(request => request.From));
    }

    [Fact]
    public async Task A_server_that_does_not_resume_sends_the_whole_again()
    {
        storeFault = (_, count) => Whole(weights) with { CutAfter = count < 3 ? 30_000 * count : int.MaxValue, Resumes = false };
        Assert.Equal(weights, WeightsIn(await Download(Options)));
        Assert.Equal([0L, 30_000, 60_000], store.Requests.Select(request => request.From));
    }

    [Fact]
    public async Task An_interrupted_download_goes_on_in_the_next_call()
    {
        using var stop = new CancellationTokenSource();
        storeFault = (_, count) =>
        {
            if (count > 1)
            {
                stop.Cancel();
            }

            return Whole(weights) with { CutAfter = 50_000 };
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Download(Options, cancellationToken: stop.Token));
        var kept = new FileInfo(Partial).Length;
        Assert.InRange(kept, 50_000, 100_000);

        storeFault = (_, _) => null;
        Assert.Equal(weights, WeightsIn(await Download(Options)));
        Assert.Equal(kept, store.Requests.Last().From);
        Assert.False(File.Exists(Partial));
    }

    [Fact]
    public async Task A_damaged_part_left_over_is_noticed_and_downloaded_again()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Partial)!);
        await File.WriteAllBytesAsync(Partial, new byte[70_000], TestContext.Current.CancellationToken);
        Assert.Equal(weights, WeightsIn(await Download(Options)));
        Assert.Equal([70_000L, 0], store.Requests.Select(request => request.From));
    }

    [Theory]
    [InlineData(400_000)]
    [InlineData(5_000_000)]
    public async Task A_part_that_is_as_long_as_the_file_or_longer_is_checked_too(int length)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Partial)!);
        length = length == 400_000 ? weights.Length : length;
        await File.WriteAllBytesAsync(Partial, new byte[length], TestContext.Current.CancellationToken);
        Assert.Equal(weights, WeightsIn(await Download(Options)));
    }

    [Theory]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(0)]
    public async Task Failures_that_pass_are_tried_again_at_every_step(int status)
    {
        hubFault = (_, count) => count % 3 != 0 ? new Answer(status) : null;
        storeFault = (_, count) => count < 3 ? new Answer(status) : null;
        Assert.Equal(weights, WeightsIn(await Download(Options with { Attempts = 10 })));
    }

    [Fact]
    public async Task Retry_After_is_heeded()
    {
        storeFault = (_, count) => count == 1 ? new Answer(429, ("Retry-After", "1")) : null;
        var watch = System.Diagnostics.Stopwatch.StartNew();
        await Download(Options);
        Assert.True(watch.ElapsedMilliseconds >= 990, $"waited {watch.ElapsedMilliseconds} ms");
        storeFault = (_, _) => new Answer(503, ("Retry-After", "3600"));
        files["model.safetensors"] = [.. weights, 0];
        Directory.Delete(Model, recursive: true);
        var error = await Assert.ThrowsAsync<HttpRequestException>(() => Download(Options));
        Assert.Contains("503", error.Message, StringComparison.Ordinal);
        Assert.Contains("60 minutes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_never_recovers_is_given_up_on()
    {
        storeFault = (_, _) => Whole(weights) with { CutAfter = 1000, Resumes = false };
        var error = await Assert.ThrowsAsync<HttpRequestException>(() => Download(Options with { Attempts = 3 }));
        Assert.Contains("byte 1000 of", error.Message, StringComparison.Ordinal);
        Assert.Contains("3 times in a row", error.Message, StringComparison.Ordinal);
        Assert.Equal(3, store.Requests.Count);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(200)]
    public async Task A_server_that_falls_silent_counts_as_dropped(int status)
    {
        storeFault = (_, count) => count == 1 ? new Answer(status) { Body = weights, CutAfter = 1000, Hangs = true } : null;
        Assert.Equal(weights, WeightsIn(await Download(Options with { Patience = TimeSpan.FromSeconds(1) })));
        Assert.Equal([0L, status == 0 ? 0 : 1000], store.Requests.Select(request => request.From).Take(2));
    }

    [Fact]
    public async Task Content_with_another_hash_is_refused_and_deleted()
    {
        storeFault = (_, _) => Whole(new byte[weights.Length]);
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Download(Options));
        Assert.Contains("model.safetensors", error.Message, StringComparison.Ordinal);
        Assert.Contains(Convert.ToHexStringLower(SHA256.HashData(weights)), error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Partial));
        Assert.False(File.Exists(Path.Combine(Model, "refs", "main")));
    }

    [Fact]
    public async Task Small_files_are_checked_by_gits_hash()
    {
        hubFault = (request, _) => request is { Method: "GET" } && request.Path.EndsWith("config.json", StringComparison.Ordinal)
            ? Whole("{\"model_type\":\"gpt3\"}"u8.ToArray())
            : null;
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Download(Options));
        Assert.Contains("config.json", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Content_that_does_not_end_is_refused()
    {
        storeFault = (_, _) => Whole([.. weights, .. new byte[1_000_000]]);
        Assert.Contains("promised", (await Assert.ThrowsAsync<InvalidDataException>(() => Download(Options))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_larger_than_the_disk_is_refused_before_it_fills_it()
    {
        hubFault = (request, _) => request is { Method: "HEAD" } && request.Path.EndsWith("model.safetensors", StringComparison.Ordinal)
            ? new Answer(302, ("Location", "/x"), ("X-Linked-Etag", new string('a', 64)), ("X-Linked-Size", "1000000000000000000"))
            : null;
        var error = await Assert.ThrowsAsync<IOException>(() => Download(Options));
        Assert.Contains("1000000000", error.Message, StringComparison.Ordinal);
        Assert.Contains("HF_HOME", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../../evil")]
    [InlineData("")]
    [InlineData(".hidden")]
    public async Task An_etag_that_is_no_name_of_a_file_is_refused(string etag)
    {
        hubFault = (request, _) => request.Method == "HEAD" ? new Answer(200, ("ETag", $"\"{etag}\"")) : null;
        await Assert.ThrowsAsync<InvalidDataException>(() => Download(Options));
    }

    [Fact]
    public async Task A_server_that_is_no_hub_is_recognised()
    {
        hubFault = (_, _) => Whole("<html>"u8.ToArray());
        Assert.Contains("HF_ENDPOINT", (await Assert.ThrowsAsync<InvalidDataException>(() => Download(Options))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a/b/c")]
    [InlineData("../x")]
    [InlineData("a--b")]
    [InlineData("a b")]
    public async Task Ids_that_cannot_be_are_refused(string id)
    {
        await Assert.ThrowsAsync<ArgumentException>(() => HubClient.DownloadAsync(id, Options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Empty(hub.Requests);
    }

    [Fact]
    public async Task Revisions_that_lead_out_of_the_cache_are_refused() =>
        await Assert.ThrowsAsync<ArgumentException>(() => Download(Options, "../../x"));
}
