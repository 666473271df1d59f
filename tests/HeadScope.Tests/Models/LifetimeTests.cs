using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope.Tests;

/// <summary>
/// TorchSharp hands bare handles to native code and frees what no managed object holds, also while native code reads it. So public calls
/// are repeated while a second thread collects, and must return the same bits; and they must neither keep a tensor nor lose one.
/// </summary>
[Collection(nameof(LifetimeTests))]
public sealed class LifetimeTests : IDisposable
{
    private const string Text = "When Anna and Peter went to the park, Anna gave a ball to";

    private static readonly Lazy<Model> Folded = new(() => Circuit.Fold(Model.Load("demo")));

    // Made once: for every parameter that a module is made of, TorchSharp counts a tensor for ever that is none any more.
    private static readonly Lazy<(ActivationSource Source, Lorsa Layer, IDisposable Both)> Planted = new(() => LorsaUnderTest.Planted(1));

    /// <summary>The public calls that compute tensors; each returns the bits of its results, and leaves these to the scope around it.</summary>
    private static readonly Dictionary<string, Func<Model, byte[]>> Calls = new(StringComparer.Ordinal)
    {
        ["Load"] = _ => Loaded(float32, model => Bits(model.Run(Text).Logits!)),
        ["Load, float64"] = _ => Loaded(float64, model => Bits(model.Run(Text).Logits!)),
        ["Load, bfloat16"] = _ => Loaded(bfloat16, model => Bits(model.Run(Text).Logits!)),
        ["With"] = _ => Loaded(float32, model => Bits(model.With(Enum.GetValues<WeightProcessing>()).Run(Text).Logits!)),
        ["Weights"] = model => Bits([.. Weights(model.Net)]),
        ["Run"] = model => Bits(model.Run(Text).Logits!),
        ["Run, a batch"] = model => Bits(model.Run([[1, 2, 3, 4, 5, 6, 7], [8, 9], [10, 11, 12]], logits: LogitsOf.LastPosition).Logits!),
        ["Run, all kept"] = model =>
        {
            var pass = model.Run(Text, new Hooks().Keep("*"));
            return Bits([pass.Logits!, .. model.ActivationNames.Select(name => pass[name])]);
        },
        ["Run, stopped early"] = model => Bits(model.Run(Text, new Hooks().Keep("blocks.1.hook_mlp_out"), stopAfterLayer: 1)["blocks.1.hook_mlp_out"]),
        ["Run, changed in place"] = model => Bits(model.Run(Text, new Hooks().Edit("blocks.*.attn.hook_z", z =>
        {
            var head = z.select(2, 5);
            head.copy_(head.mean([0, 1], keepdim: true));
            return z;
        })).Logits!),
        ["Run, replaced"] = model => Bits(model.Run(Text, new Hooks()
            .Edit("blocks.0.hook_resid_pre", x => x.mul(Scalars.Of(2)))
            .Edit("blocks.2.attn.hook_pattern", pattern => zeros_like(pattern))).Logits!),
        ["Run, cache"] = model =>
        {
            using var cache = new KeyValueCache(model, 2);
            model.Run([[1, 2, 3], [4, 5]], logits: LogitsOf.None, cache: cache);
            cache.RemoveLast(1);
            return Bits(model.Run([[6], [7]], cache: cache).Logits!);
        },
        ["Scores"] = model =>
        {
            var scores = HeadMap.Score(model, Relations.CountryToCapital).Relations[0];
            return Bits(scores.Scores, scores.Suppression, scores.Hits, scores.SuppressionHits);
        },
        ["Omega"] = model =>
        {
            var (omega, width) = (Omega.Of(Folded.Value, new(1, 2)), model.Config.ModelWidth);
            return Bits(omega.S, omega.U, omega.V, omega.Contributions(linspace(-1, 1, width), linspace(1, 2, width)));
        },
        ["DirectEffects"] = model => Bits(Circuit.DirectEffects(Folded.Value, Ioi.Prompts(2))),
        ["Upstream"] = model =>
        {
            var signals = Signals.Find(model, Ioi.Prompts(1));
            return Bits([.. Upstream.Of(model, signals.Prompts, [.. signals.Firings.Take(3)]).SelectMany(u => new[] { u.Source, u.Destination })
                .SelectMany(u => new[] { u.Parts, u.PerSourceToken })]);
        },
        ["Trace"] = model => System.Text.Encoding.UTF8.GetBytes(Circuit.Trace(model, Ioi.Prompts(2)).ToJson()),
        ["Intervention"] = model =>
        {
            var changed = Intervention.Run(model, Ioi.Prompts(2), [new("0.1", new(3, 1), SignalSide.Source, "IO", "end")], local: true);
            return Bits(changed.LogitDifferences, changed.Scores, changed.NormRatios, changed.Cosines, changed.ChangeNorms, changed.Fired);
        },
        ["ActivationPatching"] = model =>
        {
            var patched = ActivationPatching.Run(model, Text, Text.Replace("Anna gave", "Peter gave", StringComparison.Ordinal), " Peter", " Anna", outputs: true);
            return Bits(patched.Residual, patched.Heads, patched.AttentionOutput!, patched.MlpOutput!);
        },
        ["LogitLens"] = model =>
        {
            var lens = LogitLens.Of(model, Text);
            return Bits(lens.Logits, lens.Probabilities, lens.Ranks, lens.TopTokens, lens.TopProbabilities);
        },
        ["Lorsa"] = model =>
        {
            var (planted, lorsa, _) = Planted.Value;
            var batch = planted.Batches(0, 3).First();
            var activations = lorsa.Encode(batch.Input);
            return Bits(
            [
                batch.Input, batch.Output, batch.Mask, activations.PreActivations, activations.Output, lorsa.forward(batch.Input),
                activations.Patterns, activations.ZPattern(3), .. lorsa.state_dict().Values,
            ]);
        },
        ["Generate"] = model => [.. model.Generate([1, 2, 3, 4], 8).SelectMany(BitConverter.GetBytes)],
    };

    private readonly Model model = Model.Load("demo");

    public static TheoryData<string> Names => new(Calls.Keys);

    public void Dispose() => model.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void Calls_return_the_same_bits_while_another_thread_collects(string name) => Repeat(() => Calls[name](model));

    [Fact]
    public void A_model_that_nobody_holds_lives_through_its_pass() =>
        Repeat(() => Bits(Model.Load("demo").Run(Text, logits: LogitsOf.LastPosition).Logits!));

    [Fact]
    public void A_weight_outlives_a_model_that_nobody_holds() => Repeat(() => Bits(Model.Load("demo").Net.Blocks[3].Attention.W_O));

    [Theory]
    [MemberData(nameof(Names))]
    public void Calls_leave_no_tensor_behind(string name)
    {
        // What other tests forgot is gone before the count begins.
        for (var i = 0; i < 2; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        var (early, late) = (0L, 0L);
        for (var call = 1; call <= 50; call++)
        {
            using (NewDisposeScope())
            {
                Calls[name](model);
            }

            (early, late) = (call == 2 ? Tensor.TotalCount : early, Tensor.TotalCount);
        }

        Assert.Equal(early, late);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_users_scope_takes_results_and_no_weight(string name)
    {
        byte[] inside;
        using (NewDisposeScope())
        {
            inside = Calls[name](model);
        }

        Assert.Equal(inside, Calls[name](model));
        Assert.Equal(inside, Calls[name](model.With()));
    }

    [Fact]
    public void Results_belong_to_the_scope_around_the_call_or_to_nobody()
    {
        var outside = model.Run(Text, new Hooks().Keep("blocks.0.hook_resid_pre"));
        ForwardPass inside;
        Tensor weight;
        using (var scope = NewDisposeScope())
        {
            inside = model.Run(Text, new Hooks().Keep("blocks.0.hook_resid_pre"));
            weight = model.Net.W_E;
            Assert.True(scope.Contains(inside.Logits!));
            Assert.True(scope.Contains(inside["blocks.0.hook_resid_pre"]));
            Assert.True(scope.Contains(weight));
            Assert.Equal(3, scope.DisposablesCount);
            Assert.False(scope.Contains(outside.Logits!));
        }

        Assert.True(inside.Logits!.IsInvalid);
        Assert.True(inside["blocks.0.hook_resid_pre"].IsInvalid);
        Assert.True(weight.IsInvalid);
        Assert.False(outside.Logits!.IsInvalid);
        outside.Dispose();
        Assert.True(outside["blocks.0.hook_resid_pre"].IsInvalid);
    }

    [Fact]
    public void Disposing_a_weight_or_training_with_it_leaves_the_model_as_it_is()
    {
        using var scope = NewDisposeScope();
        var before = Bits(model.Run(Text).Logits!);
        foreach (var weight in Weights(model.Net))
        {
            Assert.False(weight.requires_grad);
            weight.requires_grad = true;
            weight.Dispose();
        }

        Assert.All(Weights(model.Net), weight => Assert.False(weight.requires_grad));
        var after = model.Run(Text).Logits!;
        Assert.False(after.requires_grad);
        Assert.Equal(before, Bits(after));
    }

    [Fact]
    public void A_model_disposed_in_another_thread_ends_its_passes_with_an_error()
    {
        int[][] batch = [.. Enumerable.Range(0, 8).Select(start => Enumerable.Range(start, 14).ToArray())];
        for (var i = 0; i < 30; i++)
        {
            var doomed = Model.Load("demo");
            doomed.Run([1]).Dispose();
            using var began = new ManualResetEventSlim();
            Exception? ended = null;
            var passes = new Thread(() => ended = Record.Exception((Action)(() =>
            {
                while (true)
                {
                    doomed.Run(batch).Dispose();
                    began.Set();
                }
            })));
            passes.Start();
            began.Wait(TestContext.Current.CancellationToken);
            Thread.Sleep(i % 10);
            doomed.Dispose();
            passes.Join();
            Assert.IsType<ObjectDisposedException>(ended);
        }
    }

    [Fact]
    public void With_and_passes_may_go_on_side_by_side()
    {
        var with = new Thread(() =>
        {
            for (var i = 0; i < 300; i++)
            {
                model.With(WeightProcessing.FoldLayerNorm);
            }
        });
        with.Start();
        while (with.IsAlive)
        {
            model.Run([1]).Dispose();
        }
    }

    [Fact]
    public void What_is_first_read_in_inference_mode_is_as_any_other()
    {
        using var scope = NewDisposeScope();
        using var cache = new KeyValueCache(model);
        using (inference_mode())
        {
            model.Run([1, 2, 3, 4], cache: cache);
        }

        model.Run([5], cache: cache);
        var weight = model.Net.W_E;
        weight.requires_grad = true;
        weight.sum().backward();
        Assert.NotNull(weight.grad);
    }

    /// <summary>Repeats a call while another thread collects: at least ten times, and during at least a hundred collections.</summary>
    private static void Repeat(Func<byte[]> call)
    {
        var expected = call();
        using var collector = new Collector();
        for (var i = 0; i < 10 || collector.Rounds < 100; i++)
        {
            using var scope = i % 2 == 0 ? NewDisposeScope() : null;
            Assert.True(expected.AsSpan().SequenceEqual(call()), $"Call {i} returned other bits.");
        }
    }

    private static byte[] Loaded(ScalarType dtype, Func<Model, byte[]> call)
    {
        using var loaded = Model.Load("demo", dtype: dtype);
        return call(loaded);
    }

    private static IEnumerable<Tensor> Weights(Transformer net)
    {
        Tensor?[] weights =
        [
            net.W_E, net.W_pos, net.LnFinal.w, net.LnFinal.b, net.W_U, net.b_U,
            .. net.Blocks.SelectMany(block => (Tensor?[])
            [
                block.Ln1.w, block.Ln1.b, block.Ln2.w, block.Ln2.b,
                block.Attention.W_Q, block.Attention.W_K, block.Attention.W_V, block.Attention.W_O,
                block.Attention.b_Q, block.Attention.b_K, block.Attention.b_V, block.Attention.b_O,
                block.Mlp.W_in, block.Mlp.b_in, block.Mlp.W_gate, block.Mlp.b_gate, block.Mlp.W_out, block.Mlp.b_out,
            ]),
        ];
        return weights.OfType<Tensor>();
    }

    // Not inlined, so that only the tensors hold what they need.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static byte[] Bits(params Tensor[] tensors)
    {
        using var scope = NewDisposeScope();
        byte[] bits = [.. tensors.SelectMany(tensor => tensor.cpu().contiguous().bytes.ToArray())];
        GC.KeepAlive(tensors);
        return bits;
    }

    /// <summary>A thread that allocates and collects until it is disposed.</summary>
    private sealed class Collector : IDisposable
    {
        private readonly Thread thread;
        private volatile bool stopped;
        private volatile int rounds;

        public Collector()
        {
            thread = new Thread(() =>
            {
                var kept = new object[64];
                while (!stopped)
                {
                    for (var i = 0; i < 256; i++)
                    {
                        kept[i % kept.Length] = new byte[1000];
                    }

                    GC.Collect(rounds % 10 == 0 ? 2 : 0);
                    GC.WaitForPendingFinalizers();
                    rounds++;
                }
            });
            thread.Start();
        }

        public int Rounds => rounds;

        public void Dispose()
        {
            stopped = true;
            thread.Join();
        }
    }
}

/// <summary>Alone: these count the tensors of the whole process, or change torch's settings for it.</summary>
[CollectionDefinition(nameof(LifetimeTests), DisableParallelization = true)]
public sealed class LifetimeTestCollection;
