using TorchSharp;

namespace HeadScope.Tests;

/// <summary>
/// The model as the tests of the methods and of the golden models use it: forward passes and weights as plain numbers. Only this file knows how
/// they are asked for.
/// </summary>
internal static class ModelUnderTest
{
    /// <summary>Runs a batch; the activations of these names (with <c>*</c>), and the logits as <c>logits</c>.</summary>
    public static IReadOnlyDictionary<string, NumberArray> Run(Model model, IReadOnlyList<int[]> batch, params string[] names)
    {
        using var pass = model.Run(batch, new Hooks().Keep(names));
        var found = pass.Activations.ToDictionary(a => a.Key, a => Copy(a.Value));
        found["logits"] = Copy(pass.Logits!);
        return found;
    }

    /// <summary>The logits of the last token, [V], where the z of some heads is zero at that token.</summary>
    public static float[] LastLogits(Model model, int[] tokens, params Head[] silenced) => model.Run(
        tokens,
        silenced.Aggregate(new Hooks(), (hooks, head) => hooks.Edit($"blocks.{head.Layer}.attn.hook_z", z =>
        {
            z[0, -1, head.Index] = 0;
            return z;
        })),
        LogitsOf.LastPosition).Logits!.Flat();

    /// <summary>The logits of the last token, [V], where some heads write given z at that token.</summary>
    public static float[] LastLogits(Model model, int[] tokens, (Head Head, float[] Z)[] replaced) => model.Run(
        tokens,
        replaced.Aggregate(new Hooks(), (hooks, head) => hooks.Edit($"blocks.{head.Head.Layer}.attn.hook_z", z =>
        {
            z[0, -1, head.Head.Index] = torch.tensor(head.Z);
            return z;
        })),
        LogitsOf.LastPosition).Logits!.Flat();

    /// <summary>The mean of a head's z at the last token of prompts, [d_head].</summary>
    public static float[] MeanOutput(Model model, IReadOnlyList<int[]> prompts, Head head)
    {
        var outputs = prompts.Select(tokens => Run(model, [tokens], $"blocks.{head.Layer}.attn.hook_z").Values.First()).ToArray();
        return [.. Enumerable.Range(0, model.Config.HeadWidth).Select(i => (float)outputs.Average(z => (double)z[0, z.Shape[1] - 1, head.Index, i]))];
    }

    /// <summary>The embedding of a token, [d].</summary>
    public static float[] Embedding(Model model, int token) => model.Net.W_E[token].Flat();

    /// <summary>What MLP 0 makes of a vector through its norm, [d]; gated or not, its activation by torch.</summary>
    public static float[] FirstMlp(Model model, float[] x)
    {
        var (norm, mlp) = (model.Net.Blocks[0].Ln2, model.Net.Blocks[0].Mlp);
        var row = torch.tensor(x);
        row = norm.Kind == NormKind.LayerNorm ? row - row.mean() : row;
        row = row / (row.pow(2).mean() + norm.Epsilon).sqrt();
        row = norm.w is { } gain ? row * gain : row;
        row = norm.b is { } shift ? row + shift : row;
        var pre = Plus(row.matmul(mlp.W_gate ?? mlp.W_in), mlp.W_gate is null ? mlp.b_in : mlp.b_gate);
        var post = mlp.Activation switch
        {
            ActivationFunction.Gelu => torch.nn.functional.gelu(pre),
            ActivationFunction.GeluTanh => torch.nn.functional.gelu(pre, TorchSharp.Modules.GELU.Approximate.tanh),
            _ => torch.nn.functional.silu(pre),
        };
        post = mlp.W_gate is null ? post : post * Plus(row.matmul(mlp.W_in), mlp.b_in);
        return Plus(post.matmul(mlp.W_out), mlp.b_out).Flat();

        static torch.Tensor Plus(torch.Tensor y, torch.Tensor? bias) => bias is null ? y : y + bias;
    }

    /// <summary>W_V of a head, [d, d_head]: of the key/value head that it reads.</summary>
    public static NumberArray ValueWeight(Model model, Head head) =>
        Copy(model.Net.Blocks[head.Layer].Attention.W_V[head.Index / model.Config.GroupSize]);

    /// <summary>W_O of a head, [d_head, d].</summary>
    public static NumberArray OutputWeight(Model model, Head head) => Copy(model.Net.Blocks[head.Layer].Attention.W_O[head.Index]);

    /// <summary>The column of W_U of a token, [d].</summary>
    public static float[] Unembedding(Model model, int token) => model.Net.W_U[.., token].Flat();

    /// <summary>The gain of the last norm, [d]; empty where it is folded.</summary>
    public static float[] FinalGain(Model model) => model.Net.LnFinal.w?.Flat() ?? [];

    private static NumberArray Copy(torch.Tensor tensor) => new(tensor.Flat(), Array.ConvertAll(tensor.shape, length => (int)length));
}
