using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>A file as large as an 8B model's, with holes instead of numbers: what loading and looking at one head touch.</summary>
public class BigModelTests
{
    private const string Config =
        """
        {"model_type":"llama","hidden_size":4096,"num_attention_heads":32,"num_key_value_heads":8,"num_hidden_layers":32,
         "intermediate_size":14336,"vocab_size":128256,"max_position_embeddings":131072,"hidden_act":"silu","rms_norm_eps":1e-5,
         "rope_theta":500000.0,"tie_word_embeddings":false}
        """;

    [Fact]
    public void One_head_of_a_16_GB_model_is_read_without_the_rest()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "made-models", "big");
        Directory.CreateDirectory(folder);
        try
        {
            File.WriteAllText(Path.Combine(folder, "config.json"), Config);
            WriteSparse(Path.Combine(folder, "model.safetensors"), out var size);
            Assert.True(size > 16_000_000_000);

            var before = GC.GetAllocatedBytesForCurrentThread();
            using var model = Model.Load(folder);
            var loaded = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(loaded < 20_000_000, $"Loading allocated {loaded} bytes.");

            using (torch.NewDisposeScope())
            {
                var attention = model.Net.Blocks[17].Attention;
                Assert.Equal([32, 4096, 128], attention.W_Q.shape);
                Assert.Equal([8, 4096, 128], attention.W_K.shape);
                Assert.Equal([32, 128, 4096], attention.W_O.shape);
            }

            Assert.DoesNotContain(model.Net.Matrices, matrix => matrix.IsHeld);
        }
        catch (IOException error) when (error is not FileNotFoundException && error is not DirectoryNotFoundException)
        {
            Assert.Skip($"The file system takes no sparse file of 16 GB: {error.Message}");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void WriteSparse(string path, out long size)
    {
        var header = new StringBuilder("{");
        var offset = 0L;
        void Add(string name, params long[] shape)
        {
            var end = offset + (2 * shape.Aggregate(1L, (a, b) => a * b));
            header.Append(CultureInfo.InvariantCulture, $"\"{name}\":{{\"dtype\":\"BF16\",\"shape\":[{string.Join(',', shape)}],");
            header.Append(CultureInfo.InvariantCulture, $"\"data_offsets\":[{offset},{end}]}},");
            offset = end;
        }

        Add("model.embed_tokens.weight", 128256, 4096);
        Add("lm_head.weight", 128256, 4096);
        Add("model.norm.weight", 4096);
        for (var layer = 0; layer < 32; layer++)
        {
            var start = $"model.layers.{layer}.";
            Add(start + "input_layernorm.weight", 4096);
            Add(start + "post_attention_layernorm.weight", 4096);
            Add(start + "self_attn.q_proj.weight", 4096, 4096);
            Add(start + "self_attn.k_proj.weight", 1024, 4096);
            Add(start + "self_attn.v_proj.weight", 1024, 4096);
            Add(start + "self_attn.o_proj.weight", 4096, 4096);
            Add(start + "mlp.gate_proj.weight", 14336, 4096);
            Add(start + "mlp.up_proj.weight", 14336, 4096);
            Add(start + "mlp.down_proj.weight", 4096, 14336);
        }

        header[^1] = '}';
        var bytes = Encoding.UTF8.GetBytes(header.ToString());
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, bytes.Length);
        using var stream = new FileStream(path, FileMode.Create);
        stream.Write(length);
        stream.Write(bytes);
        size = 8 + bytes.Length + offset;
        stream.SetLength(size);
    }
}
