using TorchSharp;

namespace HeadScope.Tests;

/// <summary>
/// What the circuit tests compute from the public surface for a model and its prompts: normalised residuals, contributions from them, signals as
/// vectors, the numbers of the authors' code; and the few calls whose random part a test fixes.
/// </summary>
internal sealed class CircuitsUnderTest
{
    private readonly Model folded;
    private readonly ForwardPass pass;
    private readonly Dictionary<(Head Head, int Distance), Omega> omegas = [];

    public CircuitsUnderTest(Model model, PromptSet prompts)
    {
        folded = Circuit.Fold(model);
        pass = folded.Run([.. prompts.Prompts.Select(p => p.Tokens.ToArray())], new Hooks().Keep("blocks.*.ln1.hook_normalized"), LogitsOf.None);
    }

    /// <summary>Decomposes a head of a model whose norms are not folded yet.</summary>
    public static Omega Decompose(Model model, Head head, int relativePosition = 0) => Omega.Of(Circuit.Fold(model), head, relativePosition);

    /// <summary>The sparse set of some contributions.</summary>
    public static (int[] Directions, double Score, double Margin, bool Solved) SparseSetOf(double[] contributions)
    {
        using var scope = torch.NewDisposeScope();
        var set = SparseSets.Of(torch.tensor(contributions).unsqueeze(0));
        return (
            [.. set.Order.Values<long>().Take((int)set.Sizes.Values<long>()[0]).Select(k => (int)k)], set.Scores.Values<double>()[0], set.Margins.Values<double>()[0],
            set.Solved.Values<bool>()[0]);
    }

    /// <summary>Runs an intervention in the published way, whose control takes the directions given for a firing.</summary>
    public static Intervention Intervene(
        Model model, PromptSet prompts, IReadOnlyList<CircuitEdge> edges, double factor, bool local, Func<Firing, IReadOnlyList<int>> control) =>
        Intervention.RunWith(model, prompts, edges, new(factor, local, Published: true, Threshold: 0.5, BatchSize: 5), (firing, _) => control(firing), null, default);

    /// <summary>x̂, the normalised residual that a layer's heads read, [d].</summary>
    public float[] Normalized(int layer, int prompt, int position)
    {
        using var scope = torch.NewDisposeScope();
        return pass[$"blocks.{layer}.ln1.hook_normalized"][prompt, position].clone().Values();
    }

    /// <summary>What each direction contributes to the score of a firing, from the model's own residuals, [d_head].</summary>
    public double[] Contributions(Firing firing) => Contributions(
        firing, Normalized(firing.Head.Layer, firing.Prompt, firing.Destination), Normalized(firing.Head.Layer, firing.Prompt, firing.Source));

    /// <summary>The same from given residuals.</summary>
    public double[] Contributions(Firing firing, float[] destination, float[] source)
    {
        using var scope = torch.NewDisposeScope();
        return OmegaOf(firing).Contributions(torch.tensor(destination), torch.tensor(source)).Values<double>();
    }

    /// <summary>The signal of one side of a firing as a vector, [d], or [d + 1] with a constant.</summary>
    public double[] SignalOf(Firing firing, SignalSide side)
    {
        using var scope = torch.NewDisposeScope();
        var omega = OmegaOf(firing);
        var width = (int)omega.U.shape[0];
        var (left, right) = (omega.U.t().contiguous().Values<double>(), omega.V.t().contiguous().Values<double>());
        var residual = Normalized(firing.Head.Layer, firing.Prompt, firing.Destination);
        var sum = new double[width];
        for (var n = 0; n < firing.Directions.Count; n++)
        {
            // The signs of a pair of directions are free together; that of u_k · x̃_i belongs to the pair.
            var start = firing.Directions[n] * width;
            var sign = Math.Sign(Along(left.AsSpan(start, width), residual));
            for (var i = 0; i < width; i++)
            {
                sum[i] += sign * firing.Magnitudes[n] * (side == SignalSide.Destination ? left : right)[start + i];
            }
        }

        return sum;
    }

    /// <summary>A vector along a normalised residual, whose constant is 1 where the vector has one more entry.</summary>
    public static double Along(ReadOnlySpan<double> vector, float[] residual)
    {
        var sum = vector.Length > residual.Length ? vector[^1] : 0;
        for (var i = 0; i < residual.Length; i++)
        {
            sum += vector[i] * residual[i];
        }

        return sum;
    }

    /// <summary>What the authors' code gives for every head below a firing, by layer and head: its part with the whole constant, divided by the
    /// scale, on top.</summary>
    public static double[] HeadsWithConstant(Upstream upstream)
    {
        var constant = upstream.Components.Contains("constant") ? upstream["constant"] / upstream.Scale : 0;
        return [.. upstream.Components.Zip(upstream.Parts.Values<double>()).Where(part => Head.TryParse(part.First, out _)).Select(part => part.Second + constant)];
    }

    private Omega OmegaOf(Firing firing)
    {
        var key = (firing.Head, firing.Destination - firing.Source);
        if (!omegas.TryGetValue(key, out var omega))
        {
            omegas[key] = omega = Omega.Of(folded, firing.Head, key.Item2);
            Array.ForEach([omega.S, omega.U, omega.V], tensor => tensor.DetachFromDisposeScope());
        }

        return omega;
    }
}
