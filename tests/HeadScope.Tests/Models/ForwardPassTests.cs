using TorchSharp;

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
        var together = m.Run(batch, new Hooks().Keep("*"));
        Assert.Equal([5, 1, 8, 2], together.Lengths);
        for (var b = 0; b < batch.Length; b++)
        {
            var length = batch[b].Length;
            var alone = m.Run(batch[b], new Hooks().Keep("*"));
            Assert.Equal(m.ActivationNames, alone.Activations.Keys);
            foreach (var (activation, expected) in alone.Activations.Append(new("logits", alone.Logits!)))
            {
                var found = activation == "logits" ? together.Logits! : together[activation];
                var cut = activation.EndsWith("hook_attn_scores") || activation.EndsWith("hook_pattern")
                    ? CutSquare(found.Flat(), b, heads: m.Config.HeadCount, size: 8, length)
                    : [.. found.Flat().Chunk((int)found.numel() / 4 / 8).Skip(b * 8).Take(length).SelectMany(row => row)];
                var largest = ReferenceTensors.Largest(expected.Flat());
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
        var first = m.Run([[5, 6, 7], [3]], cache: cache).Logits!;
        Assert.Equal([3, 1], cache.Lengths);
        var second = m.Run([[8], [2]], cache: cache).Logits!;
        var third = m.Run([[9, 10, 11], [1, 4]], new Hooks().Keep("blocks.1.attn.hook_pattern"), cache: cache);
        Assert.Equal([7, 4], cache.Lengths);
        Assert.Equal([2, m.Config.HeadCount, 3, 7], third["blocks.1.attn.hook_pattern"].shape);

        foreach (var (b, t, found, at) in new[]
        {
            (0, 0, first, 0), (0, 2, first, 2), (1, 0, first, 0), (0, 3, second, 0), (1, 1, second, 0),
            (0, 4, third.Logits!, 0), (0, 6, third.Logits!, 2), (1, 3, third.Logits!, 1),
        })
        {
            ReferenceTensors.AssertClose(
                $"logits of {b} at {t}",
                whole.Row((b * 7) + t),
                found.Row((b * (int)found.shape[1]) + at),
                2e-5);
        }
    }

    [Fact]
    public void Asking_for_every_activation_changes_nothing()
    {
        int[] tokens = [5, 9, 100, 2000, 7];
        var plain = model.Run(tokens);
        var asked = model.Run(tokens, new Hooks().Keep("blocks.*.hook_resid_p*"));
        Assert.Empty(plain.Activations);
        Assert.Equal(8, asked.Activations.Count);
        Assert.Equal(plain.Logits!.Flat(), asked.Logits!.Flat());
        ReferenceTensors.AssertClose(
            "logits with patterns", plain.Logits!.Flat(), model.Run(tokens, new Hooks().Keep("*hook_pattern")).Logits!.Flat(), 1e-5);
        Assert.Throws<KeyNotFoundException>(() => asked["blocks.0.attn.hook_z"]);
    }

    [Fact]
    public void Only_what_is_asked_for_is_kept()
    {
        int[][] batch = [[1, 2, 3], [4, 5]];
        using var scope = torch.NewDisposeScope();
        using var nothing = model.Run(batch, logits: LogitsOf.None, stopAfterLayer: 3);
        Assert.Equal(0, scope.DisposablesCount);
        var one = model.Run(batch, new Hooks().Keep("blocks.3.attn.hook_pattern"), LogitsOf.None, stopAfterLayer: 3);
        Assert.Equal(1, scope.DisposablesCount);
        one.Dispose();
        Assert.Equal(0, scope.DisposablesCount);
    }

    [Fact]
    public void Logits_of_the_last_position_are_the_last_ones()
    {
        int[][] batch = [[5, 6, 7], [8, 9]];
        var all = model.Run(batch).Logits!;
        var last = model.Run(batch, logits: LogitsOf.LastPosition).Logits!;
        Assert.Equal([2, 1, model.Config.VocabularySize], last.shape);
        ReferenceTensors.AssertClose("first", all.Row(2), last.Row(0), 1e-5);
        ReferenceTensors.AssertClose("second", all.Row(4), last.Row(1), 1e-5);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Setting_a_heads_z_to_zero_takes_its_output_away(string name)
    {
        using var m = TinyModels.Load(name);
        var head = new Head(1, 1);
        int[] tokens = [5, 6, 7, 8];
        const string attention = "blocks.1.hook_attn_out";
        var whole = m.Run(tokens, new Hooks().Keep(attention, "blocks.1.attn.hook_z"));
        var ablated = m.Run(tokens, new Hooks().Keep(attention).Edit("blocks.1.attn.hook_z", z =>
        {
            z[.., .., head.Index] = 0;
            return z;
        }));

        var output = whole["blocks.1.attn.hook_z"][.., .., head.Index].matmul(m.Net.Blocks[1].Attention.W_O[head.Index]);
        ReferenceTensors.AssertClose("output", output.Flat(), (whole[attention] - ablated[attention]).Flat(), 1e-5);
        Assert.NotEqual(whole.Logits!.Flat(), ablated.Logits!.Flat());
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Outputs_of_the_heads_and_the_bias_add_up_to_the_attention_output(string name)
    {
        using var m = TinyModels.Load(name);
        var pass = m.Run([5, 6, 7], new Hooks().Keep("blocks.0.attn.hook_result", "blocks.0.hook_attn_out"), LogitsOf.None);
        var sum = pass["blocks.0.attn.hook_result"].sum(2);
        sum = m.Net.Blocks[0].Attention.b_O is { } bias ? sum + bias : sum;
        ReferenceTensors.AssertClose("sum", sum.Flat(), pass["blocks.0.hook_attn_out"].Flat(), 1e-5);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void An_activation_of_another_run_put_in_at_any_name_has_its_effect(string name)
    {
        // Patching all of an activation that everything later depends on turns the one run into the other.
        using var m = TinyModels.Load(name);
        int[] clean = [5, 6, 7, 8];
        int[] corrupt = [9, 3, 2, 8];
        var source = m.Run(clean, new Hooks().Keep("*"));
        var untouched = m.Run(corrupt).Logits!.Flat();
        var last = m.Config.LayerCount - 1;
        foreach (var activation in m.ActivationNames.Where(activation => activation != "hook_pos_embed"))
        {
            var patched = m.Run(corrupt, new Hooks().Edit(activation, _ => source[activation])).Logits!.Flat();
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
        model.Run([[5, 6, 7], [1, 2]], new Hooks().Edit("*", (value, point) =>
        {
            seen.Add(point.Name);
            layers.Add(point.Layer);
            Assert.Equal(2, value.shape[0]);
            Assert.Equal([3, 2], point.Lengths);
            Assert.Equal([true, true, true, true, true, false], point.Mask.data<bool>().ToArray());
            return value;
        }));
        Assert.Equal(model.ActivationNames, seen);
        Assert.Null(layers[0]);
        Assert.Equal(3, layers[^4]);
    }

    [Fact]
    public void Layers_nobody_asks_about_are_not_run()
    {
        var seen = new List<string>();
        var hooks = new Hooks().Edit("*", (value, point) =>
        {
            seen.Add(point.Name);
            return value;
        });
        model.Run([5, 6], hooks, stopAfterLayer: 1);
        Assert.Equal("blocks.1.hook_resid_post", seen[^1]);

        var pass = model.Run([5, 6], new Hooks().Keep("blocks.2.attn.hook_z"), LogitsOf.None);
        Assert.Null(pass.Logits);
        Assert.Equal(["blocks.2.attn.hook_z"], pass.Activations.Keys);
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads()
    {
        int[][] batch = [[.. Enumerable.Range(0, 100)], [7, 8, 9]];
        var before = torch.get_num_threads();
        try
        {
            torch.set_num_threads(1);
            var one = model.Run(batch).Logits!.Flat();
            torch.set_num_threads(4);
            Assert.Equal(one, model.Run(batch).Logits!.Flat());
        }
        finally
        {
            torch.set_num_threads(before);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_model_that_streams_its_weights_gives_the_same(string name)
    {
        using var kept = TinyModels.Load(name);
        Assert.True(kept.KeepsWeights);
        var expected = kept.Run([5, 6, 7], new Hooks().Keep("*"));
        var free = WeightMemory.Free;
        WeightMemory.Free = () => kept.WeightBytes;
        try
        {
            foreach (var processing in new WeightProcessing[][] { [], [WeightProcessing.FoldLayerNorm, WeightProcessing.FoldValueBiases] })
            {
                using var streamed = TinyModels.Load(name).With(processing);
                Assert.False(streamed.KeepsWeights);
                using var scope = torch.NewDisposeScope();
                WeightMemory.Free = free;
                using var pass = streamed.Run([5, 6, 7], new Hooks().Keep(processing.Length == 0 ? ["*"] : []));
                Assert.Equal(1 + pass.Activations.Count, scope.DisposablesCount);
                ReferenceTensors.AssertClose("logits", expected.Logits!.Flat(), pass.Logits!.Flat(), processing.Length == 0 ? 0 : 2e-5);
                Assert.All(pass.Activations, activation => Assert.Equal(expected[activation.Key].Flat(), activation.Value.Flat()));
                Assert.False(streamed.Net.Blocks[0].Mlp.Input.Weight.IsHeld);
                WeightMemory.Free = () => kept.WeightBytes;
            }
        }
        finally
        {
            WeightMemory.Free = free;
        }
    }

    [Fact]
    public void A_pass_that_does_not_fit_says_so_before_it_begins()
    {
        var seen = 0;
        var hooks = new Hooks().Edit("*", value =>
        {
            seen++;
            return value;
        });
        model.Run([1]).Dispose();
        var free = WeightMemory.Free;
        WeightMemory.Free = () => 10_000;
        try
        {
            Assert.Contains("needs about", Assert.Throws<InsufficientMemoryException>(() => model.Run([1, 2, 3], hooks)).Message);
            Assert.Equal(0, seen);
        }
        finally
        {
            WeightMemory.Free = free;
        }
    }

    [Theory]
    [InlineData(torch.ScalarType.Float64, 1e-5)]
    [InlineData(torch.ScalarType.BFloat16, 0.15)]
    [InlineData(torch.ScalarType.Float16, 0.02)]
    public void Other_dtypes_give_the_same_within_their_rounding(torch.ScalarType dtype, double tolerance)
    {
        foreach (var name in new[] { "demo", "rotary", "parallel" })
        {
            using var m = TinyModels.Load(name);
            using var other = TinyModels.Load(name, dtype);
            var (expected, found) = (m.Run([5, 6, 7], new Hooks().Keep("*")), other.Run([5, 6, 7], new Hooks().Keep("*")));
            Assert.Equal(dtype, found.Logits!.dtype);
            Assert.Equal(dtype, other.Net.Blocks[1].Attention.W_Q.dtype);
            ReferenceTensors.AssertClose(name, expected.Logits!.Flat(), found.Logits.Flat(), tolerance * ReferenceTensors.Largest(expected.Logits!.Flat()));
            Assert.Equal(other.Run([5, 6, 7]).Logits!.argmax(-1).cpu().data<long>().ToArray(), found.Logits.argmax(-1).cpu().data<long>().ToArray());
        }
    }

    [Fact]
    public void Generation_takes_the_most_probable_token_each_time()
    {
        var prompt = model.Tokenizer.Encode("The capital city of France is called");
        var text = prompt.ToList();
        for (var i = 0; i < 4; i++)
        {
            text.Add(TopK.Indices(model.Run(text.ToArray(), logits: LogitsOf.LastPosition).Logits!.Flat(), 1)[0]);
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
        Refused("nearest name is 'blocks.3.attn.hook_pattern'", () => model.Run([1], new Hooks().Keep("blocks.3.attn.pattern")));
        Refused("nearest name is 'blocks.0.hook_resid_pre'", () => model.Run([1], new Hooks().Edit("blocks.4.hook_resid_pre", x => x)));
        Refused("layers are 0 to 3", () => model.Run([1], stopAfterLayer: 4));
        Refused("'blocks.2.*' lies behind layer 1", () => model.Run([1], new Hooks().Keep("blocks.2.*"), stopAfterLayer: 1));
        Refused("at least one token to begin with", () => model.Generate([], 0));
        Refused("100 tokens after 30", () => model.Generate(new int[30], 100));
        Refused("cache is for 1 sequences; the batch has 2", () => model.Run([[1], [2]], cache: new(model)));
        Refused("cache was made for another model", () => model.With(WeightProcessing.FoldValueBiases).Run([1], cache: new(model)));
        Refused("leave the cache without the later layers", () => model.Run([1], cache: new(model), stopAfterLayer: 0));
        Refused("hook at 'blocks.0.attn.hook_z' returned Float32 [1, 1, 8] on cpu; expected Float32 [1, 1, 8, 20] on cpu", () =>
            model.Run([1], new Hooks().Edit("blocks.0.attn.hook_z", z => z.sum(-1))));
        Refused("hook at 'blocks.0.attn.hook_z' returned Float32 [1, 1, 8, 20] on meta; expected Float32 [1, 1, 8, 20] on cpu", () =>
            model.Run([1], new Hooks().Edit("blocks.0.attn.hook_z", z => z.to(torch.META))));
        Refused("hook at 'blocks.0.attn.hook_z' returned Float32 [1, 8, 20] on cpu; expected Float32 [1, 1, 8, 20] on cpu", () =>
            model.Run([1], new Hooks().Edit("blocks.0.attn.hook_z", z => z.squeeze_(0))));
        Refused("hook at 'blocks.0.attn.hook_z' returned a tensor that is disposed", () => model.Run([1], new Hooks().Edit("blocks.0.attn.hook_z", z =>
        {
            using var scope = torch.NewDisposeScope();
            return z.neg();
        })));
        Refused("returned null", () => model.Run([1], new Hooks().Edit("blocks.0.attn.hook_z", _ => null!)));
        Refused("can be float32, float64, float16 or bfloat16; found Int64", () => Model.Load("demo", dtype: torch.ScalarType.Int64));
        Refused("There is no device 'cuda:77' here", () => Model.Load("demo", device: new torch.Device("cuda:77")));
        Refused("There is no device 'meta' here", () => Model.Load("demo", device: torch.META));
        Refused("through FoldLayerNorm already", () => model.With(WeightProcessing.FoldLayerNorm, WeightProcessing.FoldLayerNorm));
        using var rms = TinyModels.Load("rotary");
        var error = Assert.Throws<NotSupportedException>(() => rms.With(WeightProcessing.CenterWritingWeights));
        Assert.Contains("needs LayerNorm", error.Message);
        Assert.Contains("Run it on token ids", Assert.Throws<InvalidOperationException>(() => rms.Tokenizer).Message);

        static void Refused(string reason, Action action) =>
            Assert.Contains(reason, Assert.ThrowsAny<ArgumentException>(action).Message);
    }

    [Fact]
    public void A_hook_may_dispose_what_it_gets()
    {
        var hooks = new Hooks().Edit("*", value =>
        {
            var same = value.clone();
            value.Dispose();
            return same;
        });
        Assert.Equal(model.Run([1, 2, 3], new Hooks().Edit("*", value => value)).Logits!.Flat(), model.Run([1, 2, 3], hooks).Logits!.Flat());
    }

    [Fact]
    public void What_a_pass_needs_follows_what_it_is_asked()
    {
        int[][] batch = [.. Enumerable.Repeat(new int[128], 128)];
        using var half = Model.Load("demo", dtype: torch.ScalarType.BFloat16);
        model.Run([1]).Dispose();
        half.Run([1]).Dispose();
        var free = WeightMemory.Free;
        WeightMemory.Free = () => 0;
        try
        {
            // 182.7 MiB of logits, 16 Mi scores (thrice in fp32), 80 MiB of the heads' outputs (twice; half as much in bfloat16).
            Assert.InRange(Needed(model, null, LogitsOf.All) - Needed(model, "hook_embed", LogitsOf.None), 180, 184);
            Assert.InRange(Needed(model, "blocks.0.attn.hook_pattern", LogitsOf.None) - Needed(model, "hook_embed", LogitsOf.None), 191, 193);
            Assert.InRange(Needed(half, "blocks.0.attn.hook_pattern", LogitsOf.None) - Needed(half, "hook_embed", LogitsOf.None), 191, 193);
            Assert.InRange(Needed(half, "blocks.0.attn.hook_result", LogitsOf.None) - Needed(half, "hook_embed", LogitsOf.None), 79, 81);
        }
        finally
        {
            WeightMemory.Free = free;
        }

        int Needed(Model m, string? edited, LogitsOf logits)
        {
            var hooks = edited is null ? null : new Hooks().Edit(edited, value => value);
            var message = Assert.Throws<InsufficientMemoryException>(() => m.Run(batch, hooks, logits)).Message;
            return int.Parse(message.Split("needs about ")[1].Split(" MB")[0], System.Globalization.NumberStyles.AllowThousands, System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public void A_disposed_cache_is_refused()
    {
        var cache = new KeyValueCache(model);
        model.Run([1, 2], cache: cache).Dispose();
        cache.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.Run([3], cache: cache));
    }

    [Fact]
    public void A_cancelled_pass_stops_and_leaves_the_cache_as_it_was()
    {
        using var source = new CancellationTokenSource();
        var cache = new KeyValueCache(model);
        var hooks = new Hooks().Edit("blocks.1.hook_resid_post", value =>
        {
            source.Cancel();
            return value;
        });
        Assert.ThrowsAny<OperationCanceledException>(() => model.Run([1, 2], hooks, cache: cache, cancellationToken: source.Token));
        Assert.Equal([0], cache.Lengths);
    }
}
