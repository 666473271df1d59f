namespace HeadScope.Tests;

/// <summary>What a forward pass promises for every model, shown on the demo model and on tiny models of the other families.</summary>
public sealed class ForwardPassTests : IDisposable
{
    private readonly Model model = Model.Load("demo");

    public static TheoryData<string> Models => ["demo", "rotary", "parallel"];

    public void Dispose() => model.Dispose();

    [Theory]
    [MemberData(nameof(Models))]
    public void A_padded_batch_gives_what_each_sequence_gives_alone(string name)
    {
        using var m = TinyModels.Load(name);
        int[][] batch = [[5, 6, 7, 8, 9], [3], [11, 12, 5, 5, 7, 31, 2, 3], [40, 1]];
        var together = m.Run(batch, new() { Activations = ["*"] });
        Assert.Equal([5, 1, 8, 2], together.Lengths);
        for (var b = 0; b < batch.Length; b++)
        {
            var length = batch[b].Length;
            var alone = m.Run(batch[b], new() { Activations = ["*"] });
            Assert.Equal(m.ActivationNames, alone.Activations.Keys);
            foreach (var (activation, expected) in alone.Activations.Append(new("logits", alone.Logits!)))
            {
                var found = activation == "logits" ? together.Logits! : together[activation];
                var cut = activation.EndsWith("hook_attn_scores") || activation.EndsWith("hook_pattern")
                    ? CutSquare(found.Flat(), b, heads: m.Config.HeadCount, size: 8, length)
                    : [.. found.Flat().Chunk(found.AsFlatSpan().Length / 4 / 8).Skip(b * 8).Take(length).SelectMany(row => row)];
                var largest = ReferenceTensors.Largest(expected.AsFlatSpan());
                ReferenceTensors.AssertClose($"{activation} of {b}", expected.Flat(), cut, 1e-5 * Math.Max(largest, 1e-3));
            }
        }

        // Of [batch, head, size, size] the first length × length of one sequence.
        static float[] CutSquare(float[] all, int b, int heads, int size, int length) =>
        [
            .. from head in Enumerable.Range(0, heads)
               from query in Enumerable.Range(0, length)
               from value in all.AsSpan(((((b * heads) + head) * size) + query) * size, length).ToArray()
               select value,
        ];
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Passes_with_a_cache_give_what_one_pass_gives(string name)
    {
        using var m = TinyModels.Load(name);
        int[][] batch = [[5, 6, 7, 8, 9, 10, 11], [3, 2, 1, 4]];
        var whole = m.Run(batch).Logits!;
        var cache = new KeyValueCache(m, sequences: 2);
        var first = m.Run([[5, 6, 7], [3]], new() { Cache = cache }).Logits!;
        Assert.Equal([3, 1], cache.Lengths);
        var second = m.Run([[8], [2]], new() { Cache = cache }).Logits!;
        var third = m.Run(
            [[9, 10, 11], [1, 4]], new() { Cache = cache, Activations = ["blocks.1.attn.hook_pattern"] });
        Assert.Equal([7, 4], cache.Lengths);
        Assert.Equal([2, m.Config.HeadCount, 3, 7], third["blocks.1.attn.hook_pattern"].Lengths.ToArray().Select(n => (int)n));

        foreach (var (b, t, found, at) in new[]
        {
            (0, 0, first, 0), (0, 2, first, 2), (1, 0, first, 0), (0, 3, second, 0), (1, 1, second, 0),
            (0, 4, third.Logits!, 0), (0, 6, third.Logits!, 2), (1, 3, third.Logits!, 1),
        })
        {
            ReferenceTensors.AssertClose(
                $"logits of {b} at {t}",
                whole.AsMatrix().Row((b * 7) + t),
                found.AsMatrix().Row((b * (int)found.Lengths[1]) + at),
                2e-5);
        }
    }

    [Fact]
    public void Asking_for_every_activation_changes_nothing()
    {
        int[] tokens = [5, 9, 100, 2000, 7];
        var plain = model.Run(tokens);
        var asked = model.Run(tokens, new() { Activations = ["blocks.*.hook_resid_p*"] });
        Assert.Empty(plain.Activations);
        Assert.Equal(8, asked.Activations.Count);
        Assert.Equal(plain.Logits!.Flat(), asked.Logits!.Flat());
        ReferenceTensors.AssertClose(
            "logits with patterns", plain.Logits!.Flat(), model.Run(tokens, new() { Activations = ["*hook_pattern"] }).Logits!.Flat(), 1e-5);
        Assert.Throws<KeyNotFoundException>(() => asked["blocks.0.attn.hook_z"]);
    }

    [Fact]
    public void Memory_is_taken_for_what_is_asked_for()
    {
        int[][] batch = [.. Enumerable.Repeat(new int[128], 16)];
        const long pattern = 16L * 8 * 128 * 128 * sizeof(float);
        model.Run(batch, new() { Logits = LogitsOf.None, StopAfterLayer = 3 });
        var nothing = Allocated(new() { Logits = LogitsOf.None, StopAfterLayer = 3 });
        var one = Allocated(new() { Logits = LogitsOf.None, StopAfterLayer = 3, Activations = ["blocks.3.attn.hook_pattern"] });

        // Residual stream, norm, q, k, v, z, two outputs (each 160 wide) and the hidden layer (640): no [128, 128] patterns.
        var buffers = 16L * 128 * ((8 * 160) + 640) * sizeof(float);
        Assert.True(nothing < buffers + (pattern / 4), $"{nothing} bytes were allocated; the buffers need {buffers}.");
        Assert.True(one < nothing + (2.2 * pattern), $"{one} bytes were allocated; one pattern needs {pattern}.");

        long Allocated(RunOptions options)
        {
            var threads = Parallelism.Threads;
            Parallelism.Threads = 1;
            var before = GC.GetAllocatedBytesForCurrentThread();
            model.Run(batch, options);
            Parallelism.Threads = threads;
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    [Fact]
    public void Logits_of_the_last_position_are_the_last_ones()
    {
        int[][] batch = [[5, 6, 7], [8, 9]];
        var all = model.Run(batch).Logits!;
        var last = model.Run(batch, new() { Logits = LogitsOf.LastPosition }).Logits!;
        Assert.Equal([2, 1, model.Config.VocabularySize], last.Lengths.ToArray().Select(n => (int)n));
        ReferenceTensors.AssertClose("first", all.AsMatrix().Row(2), last.AsMatrix().Row(0), 1e-5);
        ReferenceTensors.AssertClose("second", all.AsMatrix().Row(4), last.AsMatrix().Row(1), 1e-5);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Setting_a_heads_z_to_zero_takes_its_output_away(string name)
    {
        using var m = TinyModels.Load(name);
        var head = new Head(1, 1);
        int[] tokens = [5, 6, 7, 8];
        const string attention = "blocks.1.hook_attn_out";
        var whole = m.Run(tokens, new() { Activations = [attention, "blocks.1.attn.hook_z"] });
        var ablated = m.Run(tokens, new()
        {
            Activations = [attention],
            Hooks = [new("blocks.1.attn.hook_z", z =>
            {
                for (var t = 0; t < z.Lengths[0]; t++)
                {
                    z.At(0, t, head.Index).Clear();
                }
            })],
        });

        var output = new float[m.Config.ModelWidth];
        for (var t = 0; t < tokens.Length; t++)
        {
            var zRow = whole["blocks.1.attn.hook_z"].AsMatrix().Row((t * m.Config.HeadCount) + head.Index);
            MatrixProduct.Multiply(new(zRow, 1, zRow.Length), m.OutputWeight(head), new(output, 1, output.Length));
            var difference = whole[attention].AsMatrix().Row(t).ToArray()
                .Zip(ablated[attention].AsMatrix().Row(t).ToArray(), (with, without) => with - without).ToArray();
            ReferenceTensors.AssertClose($"output at {t}", output, difference, 1e-5);
        }

        Assert.NotEqual(whole.Logits!.Flat(), ablated.Logits!.Flat());
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Outputs_of_the_heads_and_the_bias_add_up_to_the_attention_output(string name)
    {
        using var m = TinyModels.Load(name);
        var (heads, d) = (m.Config.HeadCount, m.Config.ModelWidth);
        var pass = m.Run([5, 6, 7], new() { Activations = ["blocks.0.attn.hook_result", "blocks.0.hook_attn_out"], Logits = LogitsOf.None });
        var results = pass["blocks.0.attn.hook_result"].AsMatrix();
        for (var t = 0; t < 3; t++)
        {
            var sum = m.Blocks[0].Attention.Output.Bias.ToArray();
            sum = sum.Length == 0 ? new float[d] : sum;
            for (var head = 0; head < heads; head++)
            {
                for (var i = 0; i < d; i++)
                {
                    sum[i] += results.Row((t * heads) + head)[i];
                }
            }

            ReferenceTensors.AssertClose($"sum at {t}", sum, pass["blocks.0.hook_attn_out"].AsMatrix().Row(t), 1e-5);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void An_activation_of_another_run_put_in_at_any_name_has_its_effect(string name)
    {
        // Patching all of an activation that everything later depends on turns the one run into the other.
        using var m = TinyModels.Load(name);
        int[] clean = [5, 6, 7, 8];
        int[] corrupt = [9, 3, 2, 8];
        var source = m.Run(clean, new() { Activations = ["*"] });
        var untouched = m.Run(corrupt).Logits!.Flat();
        var last = m.Config.LayerCount - 1;
        foreach (var activation in m.ActivationNames.Where(activation => activation != "hook_pos_embed"))
        {
            var patched = m.Run(corrupt, new()
            {
                Hooks = [new(activation, context => source[activation].AsFlatSpan().CopyTo(context.Values))],
            }).Logits!.Flat();
            Assert.NotEqual(untouched, patched);
            if (activation == $"blocks.{last}.hook_resid_post" || activation is "ln_final.hook_normalized" or "ln_final.hook_out")
            {
                ReferenceTensors.AssertClose(activation, source.Logits!.Flat(), patched, 1e-5);
            }
        }
    }

    [Fact]
    public void Hooks_see_names_layers_and_shapes_in_the_order_of_the_pass()
    {
        var seen = new List<string>();
        var layers = new List<int?>();
        model.Run([[5, 6, 7], [1, 2]], new()
        {
            Hooks = [new("*", context =>
            {
                seen.Add(context.Name);
                layers.Add(context.Layer);
                Assert.Equal(context.Values.Length, context.Shape.Aggregate(1, (a, b) => a * b));
                Assert.Equal(2, context.Shape[0]);
                Assert.Equal([3, 2], context.Lengths);
                Assert.Equal(context.Values.Length / 2, context.At(1).Length);
            })],
        });
        Assert.Equal(model.ActivationNames, seen);
        Assert.Null(layers[0]);
        Assert.Equal(3, layers[^4]);
    }

    [Fact]
    public void Layers_nobody_asks_about_are_not_run()
    {
        var seen = new List<string>();
        var hook = new ActivationHook("*", context => seen.Add(context.Name));
        model.Run([5, 6], new() { StopAfterLayer = 1, Hooks = [hook] });
        Assert.Equal("blocks.1.hook_resid_post", seen[^1]);

        var pass = model.Run([5, 6], new() { Activations = ["blocks.2.attn.hook_z"], Logits = LogitsOf.None });
        Assert.Null(pass.Logits);
        Assert.Equal(["blocks.2.attn.hook_z"], pass.Activations.Keys);
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads()
    {
        int[][] batch = [[.. Enumerable.Range(0, 100)], [7, 8, 9]];
        var before = Parallelism.Threads;
        try
        {
            Parallelism.Threads = 1;
            var one = model.Run(batch).Logits!.Flat();
            Parallelism.Threads = 4;
            Assert.Equal(one, model.Run(batch).Logits!.Flat());
        }
        finally
        {
            Parallelism.Threads = before;
        }
    }

    [Fact]
    public void Weights_can_be_released_on_the_way()
    {
        var kept = model.Run([5, 6, 7]).Logits!.Flat();
        Assert.Equal(kept, model.Run([5, 6, 7], new() { ReleaseWeights = true }).Logits!.Flat());
        Assert.False(model.Blocks[0].Mlp.In.Stored.IsDecoded);
    }

    [Fact]
    public void Generation_takes_the_most_probable_token_each_time()
    {
        var prompt = model.Tokenizer.Encode("The capital city of France is called");
        var text = prompt.ToList();
        for (var i = 0; i < 4; i++)
        {
            text.Add(TopK.Indices(model.Run(text.ToArray(), new() { Logits = LogitsOf.LastPosition }).Logits!.AsFlatSpan(), 1)[0]);
        }

        Assert.Equal(text.Skip(prompt.Length), model.Generate(prompt, 4));
        Assert.Equal([text[prompt.Length]], model.Generate(prompt, 4, stopToken: text[prompt.Length]));
        Assert.Empty(model.Generate(prompt, 0));
    }

    [Fact]
    public void What_cannot_be_run_is_refused_with_the_reason()
    {
        Refused("The batch has no sequences", () => model.Run(Array.Empty<int[]>()));
        Refused("Sequence 1 of the batch has no tokens", () => model.Run([[1], []]));
        Refused("has the token 2923; the model's tokens are 0 to 2922", () => model.Run([2923]));
        Refused("has the token -1", () => model.Run([-1]));
        Refused("has 129 tokens; the model takes at most 128", () => model.Run(new int[129]));
        Refused("nearest name is 'blocks.3.attn.hook_pattern'", () => model.Run([1], new() { Activations = ["blocks.3.attn.pattern"] }));
        Refused("nearest name is 'blocks.0.hook_resid_pre'", () => model.Run([1], new() { Hooks = [new("blocks.4.hook_resid_pre", _ => { })] }));
        Refused("layers are 0 to 3", () => model.Run([1], new() { StopAfterLayer = 4 }));
        Refused("cache is for 1 sequences; the batch has 2", () => model.Run([[1], [2]], new() { Cache = new(model) }));
        Refused("leave the cache without the later layers", () => model.Run([1], new() { Cache = new(model), StopAfterLayer = 0 }));
        Refused("There is no head 4.0", () => model.QueryWeight(new(4, 0)));
        Refused("through FoldLayerNorm already", () => model.With(WeightProcessing.FoldLayerNorm, WeightProcessing.FoldLayerNorm));
        using var rms = TinyModels.Load("rotary");
        var error = Assert.Throws<NotSupportedException>(() => rms.With(WeightProcessing.CenterWritingWeights));
        Assert.Contains("needs LayerNorm", error.Message);
        Assert.Contains("Run it on token ids", Assert.Throws<InvalidOperationException>(() => rms.Tokenizer).Message);

        static void Refused(string reason, Action action) =>
            Assert.Contains(reason, Assert.ThrowsAny<ArgumentException>(action).Message);
    }

    [Fact]
    public void A_cancelled_pass_stops_and_leaves_the_cache_as_it_was()
    {
        using var source = new CancellationTokenSource();
        var cache = new KeyValueCache(model);
        var hook = new ActivationHook("blocks.1.hook_resid_post", _ => source.Cancel());
        Assert.ThrowsAny<OperationCanceledException>(() => model.Run([1, 2], new() { Cache = cache, Hooks = [hook] }, source.Token));
        Assert.Equal([0], cache.Lengths);
    }
}
