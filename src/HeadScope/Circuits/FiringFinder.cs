using System.Numerics.Tensors;
using HeadScope.Numerics;
using HeadScope.Transformers;

namespace HeadScope.Circuits;

/// <summary>Finds the firings in a part of the prompts and the signal of each (arXiv 2410.00340, sections 3 and 4).</summary>
internal static class FiringFinder
{
    /// <summary>The firings of all heads above the first layer, or of some, by prompt, layer, head, destination and source.</summary>
    public static List<Firing> Find(
        TransformerModel model,
        CircuitActivations activations,
        OmegaCache omegas,
        SignalOptions options,
        IReadOnlySet<Head>? ofHeads,
        CancellationToken cancellationToken)
    {
        Head[] heads = [.. model.Heads.Where(h => h.Layer >= 1 && ofHeads?.Contains(h) != false)];
        var found = new List<Firing>[heads.Length];
        Parallelism.For(heads.Length, i => found[i] = OfHead(heads[i], activations, omegas, options), cancellationToken);
        return [.. found.SelectMany(f => f).OrderBy(f => f.Prompt).ThenBy(f => f.Head).ThenBy(f => f.Destination).ThenBy(f => f.Source)];
    }

    /// <summary>c_k = s_k (u_k · x̃_i)(v_k · x̃_j) for every direction k, with the factor (u_k · x̃_i) of each.</summary>
    public static (double[] Contributions, double[] Destination) Contributions(
        Omega omega, ReadOnlySpan<float> destination, ReadOnlySpan<float> source)
    {
        var a = Project(omega.Left, omega, Widen(destination));
        var b = Project(omega.Right, omega, Widen(source));
        var s = omega.SingularValues.AsFlatSpan();
        var contributions = new double[omega.Rank];
        for (var k = 0; k < contributions.Length; k++)
        {
            contributions[k] = s[k] * a[k] * b[k];
        }

        return (contributions, a);
    }

    private static List<Firing> OfHead(Head head, CircuitActivations activations, OmegaCache omegas, SignalOptions options)
    {
        var firings = new List<Firing>();
        for (var p = 0; p < activations.Prompts.Count; p++)
        {
            var length = activations.Prompts[p].Tokens.Count;
            for (var i = 1; i < length; i++)
            {
                var pattern = activations.Pattern(head, p, i);
                for (var j = 1; j <= i; j++)
                {
                    if (pattern[j] >= options.PatternThreshold && Signal(head, p, i, j, activations, omegas) is { } firing)
                    {
                        firings.Add(firing);
                    }
                }
            }
        }

        return firings;
    }

    // Null when the score is negative: such a score can still win a softmax, but there is no signal to follow.
    private static Firing? Signal(Head head, int prompt, int destination, int source, CircuitActivations activations, OmegaCache omegas)
    {
        var omega = omegas.Between(head, destination, source);
        var (contributions, a) = Contributions(
            omega,
            activations.Normalized(head.Layer, prompt, destination),
            activations.Normalized(head.Layer, prompt, source));
        var signal = SparseSet.Of(contributions);
        return signal.Score < 0
            ? null
            : new Firing(
                activations.FirstPrompt + prompt,
                head,
                destination,
                source,
                activations.Pattern(head, prompt, destination)[source],
                signal,
                [.. signal.Directions.Select(k => Math.Sign(a[k]))],
                [.. signal.Directions.Select(k => Math.Sqrt(omega.SingularValues[k]))]);
    }

    private static double[] Widen(ReadOnlySpan<float> x)
    {
        var wide = new double[x.Length];
        TensorPrimitives.ConvertTruncating(x, wide);
        return wide;
    }

    private static double[] Project(Tensor<double> directions, Omega omega, double[] x)
    {
        var rows = directions.AsFlatSpan();
        var projections = new double[omega.Rank];
        for (var k = 0; k < projections.Length; k++)
        {
            var direction = rows.Slice(k * omega.Width, omega.Width);
            projections[k] = TensorPrimitives.Dot<double>(direction[..x.Length], x) + (omega.HasConstant ? direction[^1] : 0);
        }

        return projections;
    }
}
