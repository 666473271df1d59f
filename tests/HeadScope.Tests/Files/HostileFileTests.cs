using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Files made to hurt, and files that change while they are open: each ends in an error that names it.</summary>
public sealed class HostileFileTests : IDisposable
{
    private const string Lorsa =
        """
        {"sae_type":"lorsa","d_model":160,"expansion_factor":0.1,"act_fn":"topk","norm_activation":"dataset-wise","top_k":4,
         "hook_point_in":"blocks.0.ln1.hook_normalized","hook_point_out":"blocks.0.hook_attn_out","n_qk_heads":8,"d_qk_head":20,
         "positional_embedding_type":"none","n_ctx":16,"attn_scale":4.47213595499958,"use_post_qk_ln":false,"eps":1e-6}
        """;

    private readonly TemporaryFolder folder = new();

    public static TheoryData<string> Pickles => Hostile("*.pt");

    public static TheoryData<string> Ggufs => Hostile("*.gguf");

    public static TheoryData<string> Safetensors => Hostile("*.safetensors");

    public void Dispose() => folder.Dispose();

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Pickles))]
    public void A_hostile_pickle_is_refused_by_name(string name)
    {
        File.Copy(TestData.Shared("cases", "hostile", name), folder["sae_weights.pt"]);
        File.WriteAllText(folder["config.json"], Lorsa);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains(folder["sae_weights.pt"], Assert.Throws<InvalidDataException>(() => HeadScope.Lorsa.Load(folder.Path)).Message, StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000_000);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Ggufs))]
    public void A_hostile_gguf_is_refused_by_file_and_key(string name)
    {
        var path = TestData.Shared("cases", "hostile", name);
        var key = name switch
        {
            "gguf-DivideByZeroException-0-14683.gguf" or "ggufmeta-OverflowException-1-15.gguf" or "h1kv2.gguf" => "llama.attention.head_count_kv",
            "ggufmeta-ArgumentException-2-2565.gguf" or "z-context_length-0.gguf" => "llama.context_length",
            "ggufmeta-DivideByZeroException-2-35.gguf" or "z-head_count-0.gguf" => "llama.attention.head_count",
            "ggufmeta-OutOfMemoryException-0-2503.gguf" or "z-block_count-0.gguf" => "llama.block_count",
            "z-embedding_length-0.gguf" => "llama.embedding_length",
            _ => "",
        };
        if (name == "h2kv2.gguf")
        {
            // The sound twin of h1kv2.
            using var model = Model.Load(path);
            Assert.Equal(2, model.Config.KeyValueHeadCount);
            return;
        }

        var error = Assert.Throws<InvalidDataException>(() => Model.Load(path));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Contains($"'{key}' = ", error.Message, StringComparison.Ordinal);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Safetensors))]
    public void A_hostile_safetensors_file_is_read_or_refused_by_name(string name)
    {
        using var scope = torch.NewDisposeScope();
        using var file = SafetensorsFile.Open(TestData.Shared("cases", "hostile", name));
        Assert.Equal(28, file.Tensors.Count);
        Assert.All(file.Tensors.Values, info => Assert.Equal(info.Shape, file.Read(info.Name).shape));
    }

    [Theory]
    [InlineData("NUL")]
    [InlineData("nul.safetensors")]
    [InlineData("CON")]
    [InlineData("com1.safetensors")]
    [InlineData("C:x")]
    [InlineData("C:x.safetensors")]
    [InlineData("a:b")]
    [InlineData("a:b.safetensors")]
    [InlineData("..")]
    [InlineData("/dev/zero")]
    [InlineData("..\\x.safetensors")]
    [InlineData("folder/x.safetensors")]
    [InlineData("x\u0000.safetensors")]
    [InlineData("x.bin")]
    [InlineData("")]
    public void A_shard_must_have_a_plain_name(string shard)
    {
        var index = folder["model.safetensors.index.json"];
        File.WriteAllText(index, new JsonObject { ["weight_map"] = new JsonObject { ["t"] = shard } }.ToJsonString());
        var error = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder.Path));
        Assert.Contains(index, error.Message, StringComparison.Ordinal);
        Assert.Contains("tensor 't': expected the name of a shard", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("model.safetensors.index.json")]
    [InlineData("model.gguf")]
    [InlineData("config.json")]
    [InlineData("final.pth")]
    public async Task A_pipe_or_a_device_is_refused_instead_of_waited_for(string name)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no pipes and devices in folders.");
        var path = folder[name];
        Action open = name switch
        {
            "model.gguf" => () => Model.Load(path),
            "config.json" => () => Model.Load(folder.Path),
            "final.pth" => () => TorchPickle.Read(path),
            _ => () => SafetensorsFile.Open(path),
        };
        File.CreateSymbolicLink(path, "/dev/zero");
        await Refused();
        File.Delete(path);
        using (var made = Process.Start("mkfifo", [folder["pipe"]]))
        {
            await made.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        File.CreateSymbolicLink(path, folder["pipe"]);
        await Refused();
        File.Delete(path);
        File.Move(folder["pipe"], path);
        await Refused();
        File.Delete(path);

        async Task Refused()
        {
            var error = await Assert.ThrowsAsync<InvalidDataException>(() => Task.Run(open).WaitAsync(TimeSpan.FromSeconds(20)));
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
            Assert.Contains("a pipe or a device", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("F32", 0u, 4 << 20)]
    [InlineData("Q8_0", 8u, 34 << 15)]
    public void A_file_that_is_cut_while_it_is_open_is_an_error_that_says_so(string type, uint number, int bytes)
    {
        var path = folder["model.gguf"];
        File.WriteAllBytes(path, new GgufBytes().Tensor("t", number, [1024, 1024], new byte[bytes]).ToArray());
        using var file = GgufFile.Open(path);
        using (var cut = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            cut.SetLength(cut.Length - (bytes / 2) - 100);
        }

        file.ReadRows("t", 0, 511).Dispose();
        foreach (var read in new Func<torch.Tensor>[] { () => file.Read("t"), () => file.ReadRows("t", 512, 1) })
        {
            var message = Assert.Throws<InvalidDataException>(read).Message;
            Assert.Contains(path, message, StringComparison.Ordinal);
            Assert.Contains("tensor 't': expected ", message, StringComparison.Ordinal);
            Assert.Contains("another program cut it", message, StringComparison.Ordinal);
        }

        Assert.Equal(type, file.Tensors["t"].Format.Name);
    }

    [Fact]
    public void A_tensor_that_memory_cannot_hold_is_named()
    {
        const long Length = 1L << 42;
        var path = folder["huge.safetensors"];
        var header = System.Text.Encoding.UTF8.GetBytes($"{{\"t\":{{\"dtype\":\"F64\",\"shape\":[{Length / 8}],\"data_offsets\":[0,{Length}]}}}}");
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. header]);
        try
        {
            using var stream = new FileStream(path, FileMode.Open);
            stream.SetLength(8 + header.Length + Length);
        }
        catch (Exception error) when (error is IOException or ArgumentException)
        {
            Assert.Skip($"The file system takes no sparse file of 4 TB: {error.Message}");
        }

        using var file = SafetensorsFile.Open(path);
        var message = Assert.Throws<InvalidOperationException>(() => file.Read("t")).Message;
        Assert.Contains($"'{path}', tensor 't': there is no memory for [{Length / 8}] numbers", message, StringComparison.Ordinal);
        using var rows = file.ReadRows("t", (Length / 8) - 2, 2);
        Assert.Equal(new double[2], MemoryMarshal.Cast<byte, double>(rows.bytes).ToArray());
    }

    private static TheoryData<string> Hostile(string pattern)
    {
        var hostile = TestData.SharedOrNull("cases", "hostile");
        return hostile is null ? [] : [.. Directory.GetFiles(hostile, pattern).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
    }
}
