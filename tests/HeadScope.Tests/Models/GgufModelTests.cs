using System.Runtime.InteropServices;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Reference models rewritten as GGUF files, with the names, orders and metadata of that format.</summary>
public class GgufModelTests
{
    [Theory]
    [InlineData("llama", "llama")]
    [InlineData("llama-bf16", "llama")]
    [InlineData("qwen2", "qwen2")]
    [InlineData("gpt2", "gpt2")]
    [InlineData("phi", "phi2")]
    public void A_gguf_file_gives_the_reference_logits(string folder, string architecture)
    {
        var path = TestData.Shared("reference", "models", folder);
        using var expected = SafetensorsFile.Open(Path.Combine(path, "expected.safetensors"));
        var gguf = Path.Combine(AppContext.BaseDirectory, "made-models", $"{folder}.gguf");
        Directory.CreateDirectory(Path.GetDirectoryName(gguf)!);
        File.WriteAllBytes(gguf, Convert(path, architecture).ToArray());
        using var model = Model.Load(gguf);
        var logits = model.Run(expected.Batch(), new Hooks().Keep("*.hook_q", "*.hook_k", "*.hook_v"));
        ReferenceTensors.AssertClose("logits", expected.Values("logits"), logits.Logits!.Flat(), 5e-5);
        foreach (var (name, found) in logits.Activations)
        {
            var values = expected.Values(name);
            ReferenceTensors.AssertClose(name, values, found.Flat(), 1e-5 * ReferenceTensors.Largest(values));
        }

        Assert.False(model.HasTokenizer);
    }

    [Theory]
    [InlineData("general.architecture", "mamba", "'general.architecture' = \"mamba\"")]
    [InlineData("llama.rope.scaling.type", "yarn", "'llama.rope.scaling.type' = \"yarn\"")]
    [InlineData("llama.expert_count", 8, "'llama.expert_count' = 8")]
    [InlineData("llama.rope.scaling.factor", 2, "'llama.rope.scaling.factor' = 2")]
    [InlineData("llama.attention.value_length", 4, "'llama.attention.value_length' = 4")]
    public void Unsupported_features_are_refused_naming_the_key(string key, object value, string message)
    {
        var metadata = LlamaMetadata();
        metadata[key] = value;
        var error = Assert.Throws<NotSupportedException>(() => Read(metadata));
        Assert.Contains(message, error.Message);
    }

    [Theory]
    [InlineData("llama.block_count", null, "has no 'llama.block_count'")]
    [InlineData("llama.block_count", "2", "expected a positive whole number")]
    [InlineData("llama.block_count", 1.5, "expected a positive whole number")]
    [InlineData("llama.block_count", int.MaxValue, "'llama.block_count' = 2147483647; expected at most 2")]
    [InlineData("llama.block_count", 0, "expected a positive whole number")]
    [InlineData("llama.context_length", 0, "expected a positive whole number")]
    [InlineData("llama.embedding_length", 0, "expected a positive whole number")]
    [InlineData("llama.attention.head_count", 0, "expected a positive whole number")]
    [InlineData("llama.attention.head_count", 3, "expected a number that divides the width 32")]
    [InlineData("llama.attention.head_count_kv", 3, "expected a number that divides the 4 query heads")]
    [InlineData("llama.attention.key_length", 1_000_000_000, "'llama.attention.key_length' = 1000000000; expected 4 heads of a width")]
    [InlineData("llama.attention.layer_norm_rms_epsilon", 0f, "expected a positive number")]
    [InlineData("llama.rope.freq_base", float.NaN, "expected a positive number")]
    [InlineData("general.architecture", 3, "expected a text")]
    public void Malformed_metadata_is_named(string key, object? value, string message)
    {
        var metadata = LlamaMetadata();
        metadata.Remove(key);
        if (value is not null)
        {
            metadata[key] = value;
        }

        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => Read(metadata)).Message);
    }

    [Fact]
    public void A_number_for_each_layer_is_read_when_all_are_the_same()
    {
        var metadata = LlamaMetadata();
        metadata["llama.attention.head_count_kv"] = new[] { 2u, 2u };
        Assert.Equal(2, Read(metadata).KeyValueHeadCount);
        metadata["llama.attention.head_count_kv"] = new[] { 2u, 4u };
        Assert.Contains("[2,4]", Assert.Throws<NotSupportedException>(() => Read(metadata)).Message);
    }

    private static Dictionary<string, object> LlamaMetadata() => new()
    {
        ["general.architecture"] = "llama",
        ["llama.block_count"] = 2u,
        ["llama.context_length"] = 64u,
        ["llama.embedding_length"] = 32u,
        ["llama.feed_forward_length"] = 48u,
        ["llama.attention.head_count"] = 4u,
        ["llama.attention.layer_norm_rms_epsilon"] = 1e-5f,
    };

    private static TransformerConfig Read(Dictionary<string, object> metadata)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["model.gguf"], new GgufBytes()
            .Tensor("token_embd.weight", 0, [32, 50], new byte[4 * 32 * 50]).Tensor("output_norm.weight", 0, [32], new byte[4 * 32]).ToArray());
        using var file = GgufFile.Open(folder["model.gguf"]);
        return GgufConfig.Read(file, metadata);
    }

    // What a converter does: other names, matrices as [out, in], llama's query and key rows for rotation of neighbouring channels.
    private static GgufBytes Convert(string folder, string architecture)
    {
        using var source = SafetensorsFile.Open(folder);
        using var model = Model.Load(folder);
        var config = model.Config;
        var gguf = new GgufBytes();
        gguf.Entry("general.architecture", 8, GgufBytes.Text(architecture));
        UInt("block_count", config.LayerCount);
        UInt("context_length", config.ContextLength);
        UInt("embedding_length", config.ModelWidth);
        UInt("feed_forward_length", config.MlpWidth);
        UInt("attention.head_count", config.HeadCount);
        if (config.KeyValueHeadCount != config.HeadCount)
        {
            UInt("attention.head_count_kv", config.KeyValueHeadCount);
        }

        Float(config.Norm == NormKind.RmsNorm ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", config.NormEpsilon);
        if (config.Rotary is { } rotary)
        {
            UInt("rope.dimension_count", rotary.Dimensions);
            Float("rope.freq_base", rotary.Base);
            if (rotary.FrequencyDivisors is { } divisors)
            {
                Tensor("rope_freqs.weight", [divisors.Count], [.. divisors.Select(divisor => (float)divisor)]);
            }
        }

        Matrix("token_embd.weight", model.Net.W_E);
        if (config.LearnedPositions)
        {
            Matrix("position_embd.weight", model.Net.W_pos!);
        }

        Norm("output_norm", model.Net.LnFinal);
        if (!config.TiedEmbeddings)
        {
            Linear("output", model.Net.Unembedding);
        }

        for (var layer = 0; layer < config.LayerCount; layer++)
        {
            var block = model.Net.Blocks[layer];
            var start = $"blk.{layer}.";
            Norm(start + "attn_norm", block.Ln1);
            var (query, key, value) = (block.Attention.Query, block.Attention.Key, block.Attention.Value);
            if (architecture == "gpt2" || (architecture == "phi2" && layer == 0))
            {
                Tensor(start + "attn_qkv.weight", [config.ModelWidth, query.Outputs + (2 * key.Outputs)], [.. Stored(query), .. Stored(key), .. Stored(value)]);
                Tensor(start + "attn_qkv.bias", [query.Outputs + (2 * key.Outputs)], [.. Bias(query), .. Bias(key), .. Bias(value)]);
            }
            else
            {
                Linear(start + "attn_q", query, permuted: architecture == "llama");
                Linear(start + "attn_k", key, permuted: architecture == "llama");
                Linear(start + "attn_v", value);
            }

            Linear(start + "attn_output", block.Attention.Output);
            if (!config.SharedNorm)
            {
                Norm(start + "ffn_norm", block.Ln2);
            }

            Linear(start + "ffn_up", block.Mlp.Input);
            Linear(start + "ffn_down", block.Mlp.Output);
            if (block.Mlp.Gate is { } gate)
            {
                Linear(start + "ffn_gate", gate);
            }
        }

        return gguf;

        void UInt(string key, int value) => gguf.Entry($"{architecture}.{key}", 4, BitConverter.GetBytes((uint)value));

        void Float(string key, double value) => gguf.Entry($"{architecture}.{key}", 6, BitConverter.GetBytes((float)value));

        void Tensor(string name, long[] dimensions, float[] values) =>
            gguf.Tensor(name, 0, dimensions, MemoryMarshal.AsBytes(values.AsSpan()).ToArray());

        void Matrix(string name, torch.Tensor matrix) => Tensor(name, [matrix.shape[1], matrix.shape[0]], matrix.Flat());

        void Norm(string name, Norm norm)
        {
            Tensor($"{name}.weight", [norm.Width], norm.w!.Flat());
            if (norm.b is not null)
            {
                Tensor($"{name}.bias", [norm.Width], norm.b.Flat());
            }
        }

        void Linear(string name, Linear linear, bool permuted = false)
        {
            var rows = Stored(linear).Chunk((int)linear.Inputs).ToArray();
            if (permuted)
            {
                var half = config.HeadWidth / 2;
                rows = [.. rows.Chunk(config.HeadWidth).SelectMany(head => Enumerable.Range(0, half).SelectMany(i => new[] { head[i], head[i + half] }))];
            }

            Tensor($"{name}.weight", [linear.Inputs, linear.Outputs], [.. rows.SelectMany(row => row)]);
            if (linear.Bias is not null)
            {
                Tensor($"{name}.bias", [linear.Outputs], Bias(linear));
            }
        }

        static float[] Stored(Linear linear) => linear.Transposed().t().Flat();

        static float[] Bias(Linear linear) => linear.Bias!.Fresh().Flat();
    }
}
