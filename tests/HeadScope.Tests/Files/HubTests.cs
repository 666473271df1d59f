using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TorchSharp;
using Answer = HeadScope.Tests.LocalServer.Answer;
using Request = HeadScope.Tests.LocalServer.Request;

namespace HeadScope.Tests;

/// <summary>Downloads from a hub on this machine: two servers, the hub and the one it redirects large files to.</summary>
public sealed partial class HubTests : IDisposable
{
    private const string Id = "org/model";
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly TemporaryFolder folder = new();
    private readonly ConcurrentDictionary<string, byte[]> files = new();
    private readonly ConcurrentDictionary<string, int> served = new();
    private readonly LocalServer hub;
    private readonly LocalServer store;
    private readonly byte[] weights;

    // What goes wrong: asked before every answer; null lets the answer be right.
    private Func<Request, int, Answer?> hubFault = (_, _) => null;
    private Func<Request, int, Answer?> storeFault = (_, _) => null;

    public HubTests()
    {
        hub = new LocalServer(AnswerAsHub);
        store = new LocalServer(AnswerAsStore);
        var path = folder["weights.safetensors"];
        SafetensorsWriter.Write(path, new Dictionary<string, torch.Tensor>
        {
            ["a"] = torch.arange(100_000, dtype: torch.float32),
        });
        weights = File.ReadAllBytes(path);
        files["config.json"] = "{\"model_type\":\"gpt2\"}"u8.ToArray();
        files["tokenizer.json"] = "{}"u8.ToArray();
        files["README.md"] = "not needed"u8.ToArray();
        files["pytorch_model.bin"] = new byte[100];
        files["model.safetensors"] = weights;
    }

    private string Cache => folder["cache"];

    private string Model => Path.Combine(Cache, "models--org--model");

    private string Partial => Path.Combine(Model, "blobs", Convert.ToHexStringLower(SHA256.HashData(weights)) + ".incomplete");

    private HubOptions Options => new()
    {
        Endpoint = hub.Address,
        CacheFolder = Cache,
        RetryDelay = TimeSpan.FromMilliseconds(1),
        Patience = TimeSpan.FromSeconds(20),
    };

    public void Dispose()
    {
        hub.Dispose();
        store.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task A_model_arrives_in_the_layout_of_the_Python_tools_with_only_the_files_needed()
    {
        var reports = new ConcurrentQueue<WorkProgress>();
        var snapshot = await Download(Options, progress: new Collect(reports));

        Assert.Equal(Path.Combine(Model, "snapshots", Commit), snapshot);
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.GetFiles(snapshot).Select(Path.GetFileName).Order());
        Assert.Equal(Commit, File.ReadAllText(Path.Combine(Model, "refs", "main")));
        var sha256 = Convert.ToHexStringLower(SHA256.HashData(weights));
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(Model, "blobs", sha256)));
        Assert.Equal(files["config.json"], File.ReadAllBytes(Path.Combine(Model, "blobs", GitHash(files["config.json"]))));
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal($"../../blobs/{sha256}", new FileInfo(Path.Combine(snapshot, "model.safetensors")).LinkTarget);
        }

        Assert.Equal(3, Directory.GetFiles(Path.Combine(Model, "blobs")).Length);
        var total = weights.Length + files["config.json"].Length + files["tokenizer.json"].Length;
        Assert.Equal(total, reports.Last().Done);
        Assert.All(reports, report => Assert.Equal((total, "bytes"), (report.Total, report.Unit)));
        Assert.Equal(reports.Select(report => report.Done).Order(), reports.Select(report => report.Done));
        using var file = SafetensorsFile.Open(snapshot);
        Assert.Equal(99_999, file.Values("a")[99_999]);
    }

    [Fact]
    public async Task A_second_call_only_asks_whether_the_revision_has_moved()
    {
        await Download(Options);
        var requests = hub.Requests.Count;
        await Download(Options);
        await Download(Options, Commit);
        Assert.Equal(requests + 2, hub.Requests.Count);
        Assert.Single(store.Requests);
    }

    [Fact]
    public async Task A_snapshot_that_another_tool_left_without_tokenizer_is_completed()
    {
        var snapshot = await Download(Options);
        File.Delete(Path.Combine(snapshot, "tokenizer.json"));
        Assert.Equal(snapshot, await Download(Options with { Offline = true }));
        Assert.False(File.Exists(Path.Combine(snapshot, "tokenizer.json")));
        await Download(Options, Commit);
        Assert.True(File.Exists(Path.Combine(snapshot, "tokenizer.json")));
    }

    [Fact]
    public async Task The_older_pair_of_tokenizer_files_comes_where_the_newer_file_is_missing()
    {
        files["vocab.json"] = "{}"u8.ToArray();
        files["merges.txt"] = "#"u8.ToArray();
        var snapshot = await Download(Options);
        Assert.False(File.Exists(Path.Combine(snapshot, "vocab.json")));
        files.Remove("tokenizer.json", out _);
        Directory.Delete(Model, recursive: true);
        await Download(Options);
        Assert.Equal(["config.json", "merges.txt", "model.safetensors", "vocab.json"], Directory.GetFiles(snapshot).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task A_tokenizer_comes_without_the_weights_which_come_when_they_are_asked_for()
    {
        var tokenizer = await HubClient.DownloadAsync(Id, Options, tokenizerOnly: true, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(["tokenizer.json"], Directory.GetFiles(tokenizer).Select(Path.GetFileName));
        Assert.Empty(store.Requests);
        Assert.Equal(tokenizer, await Download(Options));
        Assert.Equal(3, Directory.GetFiles(tokenizer).Length);

        files.Remove("tokenizer.json", out _);
        Directory.Delete(Model, recursive: true);
        await Assert.ThrowsAsync<NotSupportedException>(() => HubClient.DownloadAsync(Id, Options, tokenizerOnly: true));
    }

    [Fact]
    public async Task The_token_goes_to_the_hub_and_never_to_where_it_redirects()
    {
        await Download(Options with { Token = "secret" });
        Assert.All(hub.Requests, request => Assert.Equal("Bearer secret", request.Headers["Authorization"]));
        Assert.NotEmpty(store.Requests);
        Assert.All(store.Requests, request => Assert.DoesNotContain("Authorization", request.Headers.Keys));
        Assert.DoesNotContain("secret", (Options with { Token = "secret" }).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_renamed_model_is_found_through_the_hubs_own_redirect()
    {
        hubFault = (request, _) => request.Path.Contains("org/model", StringComparison.Ordinal)
            ? new Answer(307, ("Location", request.Path.Replace("org/model", "new/model", StringComparison.Ordinal)))
            : null;
        var snapshot = await Download(Options with { Token = "secret" });
        Assert.Equal(weights, File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors")));
        Assert.All(hub.Requests, request => Assert.Equal("Bearer secret", request.Headers["Authorization"]));
    }

    [Fact]
    public async Task Shards_come_by_their_index()
    {
        files.Remove("model.safetensors", out _);
        files["model-00001-of-00002.safetensors"] = weights;
        files["model-00002-of-00002.safetensors"] = weights;
        files["other.safetensors"] = weights;
        files["model.safetensors.index.json"] =
            """{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"""u8.ToArray();
        var snapshot = await Download(Options);
        Assert.Equal(
            ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json"],
            Directory.GetFiles(snapshot).Select(Path.GetFileName).Order());
        Assert.Single(store.Requests); // two shards of the same content are one blob
    }

    [Fact]
    public async Task Two_at_once_download_once()
    {
        using var go = new SemaphoreSlim(0);
        storeFault = (_, _) =>
        {
            go.Wait(TimeSpan.FromSeconds(10));
            return null;
        };
        var reports = new ConcurrentQueue<WorkProgress>();
        var both = Enumerable.Range(0, 2).Select(_ => Task.Run(() => Download(Options, progress: new Collect(reports)))).ToArray();
        while (!reports.Any(report => report.Detail?.Contains("waiting for another", StringComparison.Ordinal) == true))
        {
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        go.Release(2);
        Assert.All(await Task.WhenAll(both), snapshot => Assert.Equal(weights, WeightsIn(snapshot)));
        Assert.Single(store.Requests);
    }

    [Fact]
    public async Task Offline_uses_the_cache_and_says_what_to_do_without_it()
    {
        var error = await Assert.ThrowsAsync<FileNotFoundException>(() => Download(Options with { Offline = true }));
        Assert.Contains("HF_HUB_OFFLINE", error.Message, StringComparison.Ordinal);
        Assert.Empty(hub.Requests);

        var snapshot = await Download(Options);
        var requests = hub.Requests.Count;
        Assert.Equal(snapshot, await Download(Options with { Offline = true }));
        Assert.Equal(requests, hub.Requests.Count);
        File.Delete(Path.Combine(snapshot, "config.json"));
        await Assert.ThrowsAsync<FileNotFoundException>(() => Download(Options with { Offline = true }));
    }

    [Fact]
    public async Task A_hub_out_of_reach_is_replaced_by_the_cache_where_it_can_be()
    {
        hubFault = (_, _) => new Answer(0);
        var error = await Assert.ThrowsAsync<HttpRequestException>(() => Download(Options with { Attempts = 2 }));
        Assert.Contains("cannot be reached", error.Message, StringComparison.Ordinal);
        hubFault = (_, _) => null;
        var snapshot = await Download(Options);
        hubFault = (_, _) => new Answer(503);
        Assert.Equal(snapshot, await Download(Options));
    }

    [Theory]
    [InlineData(403, "GatedRepo", null, "HF_TOKEN")]
    [InlineData(403, "GatedRepo", "secret", "accept its conditions")]
    [InlineData(401, "GatedRepo", null, "HF_TOKEN")]
    [InlineData(401, "RepoNotFound", null, "check the name")]
    [InlineData(401, null, "secret", "check HF_TOKEN")]
    public async Task What_needs_a_permission_says_how_to_get_it(int status, string? code, string? token, string said)
    {
        hubFault = (request, _) => request.Method == "HEAD" || code == "RepoNotFound" || code is null
            ? new Answer(status, ("X-Error-Code", code ?? "none"))
            : null;
        var error = await Assert.ThrowsAsync<UnauthorizedAccessException>(() => Download(Options with { Token = token }));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
        Assert.Contains($"{hub.Address}org/model", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_not_there_is_named()
    {
        hubFault = (_, _) => new Answer(404, ("X-Error-Code", "RevisionNotFound"));
        Assert.Contains("'v9'", (await Assert.ThrowsAsync<FileNotFoundException>(() => Download(Options, "v9"))).Message, StringComparison.Ordinal);
        hubFault = (_, _) => new Answer(404, ("X-Error-Code", "RepoNotFound"));
        Assert.Contains("'org/model'", (await Assert.ThrowsAsync<FileNotFoundException>(() => Download(Options))).Message, StringComparison.Ordinal);
        hubFault = (_, _) => new Answer(418);
        Assert.Contains("418", (await Assert.ThrowsAsync<HttpRequestException>(() => Download(Options))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Models_without_safetensors_say_what_can_be_done()
    {
        files.Remove("model.safetensors", out _);
        Assert.Contains("safe_serialization", (await Assert.ThrowsAsync<NotSupportedException>(() => Download(Options))).Message, StringComparison.Ordinal);
        files["q8.gguf"] = new byte[1];
        Assert.Contains("org/model/q8.gguf", (await Assert.ThrowsAsync<NotSupportedException>(() => Download(Options))).Message, StringComparison.Ordinal);
        files["model.safetensors"] = weights;
        files.Remove("config.json", out _);
        Assert.Contains("config.json", (await Assert.ThrowsAsync<NotSupportedException>(() => Download(Options))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_cache_lists_what_it_holds()
    {
        Assert.Empty(HubRepository.List(Cache));
        await Download(Options);
        await Download(Options, "refs/pr/1");
        var model = Assert.Single(HubRepository.List(Cache));
        Assert.Equal((Id, "main, refs/pr/1", Commit), (model.Name, model.Revision, model.Commit));
        Assert.Equal(weights.Length + files["config.json"].Length + files["tokenizer.json"].Length, model.Size);
        Assert.Equal(Path.Combine(Model, "snapshots", Commit), model.Path);
    }

    [Fact]
    public void Names_are_resolved_to_files()
    {
        files["deep/q8.gguf"] = weights;
        var cancel = TestContext.Current.CancellationToken;
        var model = ModelFiles.Resolve(Id, Options, cancellationToken: cancel);
        Assert.Equal((Id, Path.Combine(Model, "snapshots", Commit), false), (model.Name, model.Location, model.IsGguf));
        Assert.Equal(model, ModelFiles.Resolve($"{Id}@{Commit}", Options, cancellationToken: cancel));
        Assert.Equal(model, ModelFiles.Resolve(model.Location, Options, cancellationToken: cancel));
        var gguf = ModelFiles.Resolve($"{Id}/deep/q8.gguf@main", Options, cancellationToken: cancel);
        Assert.True(gguf.IsGguf);
        Assert.Equal(weights, File.ReadAllBytes(gguf.Location));
        Assert.Equal(gguf, ModelFiles.Resolve($"{Id}/deep/q8.gguf@main", Options with { Offline = true }, cancellationToken: cancel));
        Assert.Throws<FileNotFoundException>(() => ModelFiles.Resolve($"{Id}/none.gguf", Options, cancellationToken: cancel));

        Directory.CreateDirectory(folder["here"]);
        File.WriteAllBytes(folder["x.gguf"], []);
        Assert.Equal(("here", folder["here"]), (ModelFiles.Resolve(folder["here"] + "/", Options).Name, ModelFiles.Resolve(folder["here"], Options).Location));
        Assert.Equal(("x", folder["x.gguf"]), (ModelFiles.Resolve(folder["x.gguf"], Options).Name, ModelFiles.Resolve(folder["x.gguf"], Options).Location));
        Assert.True(File.Exists(Path.Combine(ModelFiles.Resolve("demo", Options).Location, "config.json")));
        Assert.All(
            ["/no/such/folder", "./none", "../none", "none.gguf", "a/b/c", @"C:\none"],
            path => Assert.Throws<FileNotFoundException>(() => ModelFiles.Resolve(path, Options, cancellationToken: cancel)));
        Assert.Throws<NotSupportedException>(() => ModelFiles.Resolve(folder["weights.safetensors"], Options, cancellationToken: cancel));
    }

    [Fact]
    public void The_environment_is_read_as_the_Python_tools_read_it()
    {
        HubOptions Read(params (string Name, string Value)[] variables) =>
            HubOptions.FromEnvironment(name => variables.FirstOrDefault(variable => variable.Name == name).Value);

        var home = folder["home"];
        Directory.CreateDirectory(Path.Combine(home, ".cache", "huggingface"));
        File.WriteAllText(Path.Combine(home, ".cache", "huggingface", "token"), "from-file\n");
        var plain = Read(("HOME", home));
        Assert.Equal(Path.Combine(home, ".cache", "huggingface", "hub"), plain.CacheFolder);
        Assert.Equal("https://huggingface.co/", plain.Endpoint.AbsoluteUri);
        Assert.Equal("from-file", plain.Token);
        Assert.False(plain.Offline);
        Assert.Equal("direct", Read(("HOME", home), ("HF_TOKEN", "direct")).Token);
        Assert.Null(Read(("HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")).Token);
        Assert.Equal(Path.Combine(home, "hf", "hub"), Read(("HOME", home), ("HF_HOME", "~/hf")).CacheFolder);
        Assert.Equal("/c", Read(("HOME", home), ("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")).CacheFolder);
        Assert.True(Read(("HOME", home), ("HF_HUB_OFFLINE", "yes")).Offline);
        Assert.False(Read(("HOME", home), ("HF_HUB_OFFLINE", "0")).Offline);
        Assert.Equal("http://mirror/hf", Read(("HOME", home), ("HF_ENDPOINT", "http://mirror/hf")).Endpoint.AbsoluteUri);
        Assert.Throws<ArgumentException>(() => Read(("HOME", home), ("HF_ENDPOINT", "mirror")));
    }

    private static Answer Whole(byte[] body) => new(200) { Body = body };

    private static byte[] WeightsIn(string snapshot) => File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors"));

    private static string GitHash(byte[] content) =>
        Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {content.Length}\0"), .. content]));

    private static Task<string> Download(
        HubOptions options, string revision = "main", IProgress<WorkProgress>? progress = null, CancellationToken? cancellationToken = null) =>
        HubClient.DownloadAsync(Id, options, revision, progress: progress, cancellationToken: cancellationToken ?? TestContext.Current.CancellationToken);

    private Answer AnswerAsHub(Request request)
    {
        var count = served.AddOrUpdate("hub", 1, (_, before) => before + 1);
        if (hubFault(request, count) is { } fault)
        {
            return fault;
        }

        if (request.Path.StartsWith("/api/models/", StringComparison.Ordinal))
        {
            var siblings = string.Join(",", files.Keys.Select(name => $$"""{"rfilename":"{{name}}"}"""));
            return Whole(Encoding.UTF8.GetBytes($$"""{"sha":"{{Commit}}","siblings":[{{siblings}}]}"""));
        }

        var name = request.Path.Split($"/resolve/{Commit}/")[^1];
        if (!files.TryGetValue(name, out var content))
        {
            return new Answer(404, ("X-Error-Code", "EntryNotFound"));
        }

        if (content.Length < 1000)
        {
            return Whole(content) with { Headers = [("ETag", $"\"{GitHash(content)}\""), ("X-Repo-Commit", Commit)] };
        }

        var sha256 = Convert.ToHexStringLower(SHA256.HashData(content));
        return new Answer(
            302,
            ("Location", $"{store.Address}{name}?signature=1"),
            ("ETag", "\"other\""),
            ("X-Linked-Etag", $"\"{sha256}\""),
            ("X-Linked-Size", content.Length.ToString(CultureInfo.InvariantCulture)),
            ("X-Repo-Commit", Commit));
    }

    private Answer AnswerAsStore(Request request)
    {
        var count = served.AddOrUpdate("store", 1, (_, before) => before + 1);
        return storeFault(request, count) ?? Whole(files[request.Path[1..].Split('?')[0]]);
    }

    private sealed class Collect(ConcurrentQueue<WorkProgress> reports) : IProgress<WorkProgress>
    {
        public void Report(WorkProgress value) => reports.Enqueue(value);
    }
}
