using TorchSharp;

namespace HeadScope.Tests;

/// <summary>A decomposition of a head: singular values, largest first, and the directions as rows of the given width.</summary>
internal sealed record Decomposition(int Rank, int Width, bool HasConstant, double[] SingularValues, double[] Left, double[] Right);

/// <summary>
/// What the circuit tests check and no public call shows, on one model and its prompts: normalised residuals, signals as vectors, upstream numbers
/// of single firings. Only this file knows what computes them.
/// </summary>
internal sealed class CircuitsUnderTest
{
    private readonly Model folded;
    private readonly CircuitActivations activations;
    private readonly OmegaCache omegas;
    private readonly UpstreamReader reader;
    private readonly Dictionary<(Head Head, int Distance), Omega> wholes = [];

    public CircuitsUnderTest(Model model, PromptSet prompts)
    {
        folded = CircuitModel.Of(model);
        activations = CircuitActivations.Of(folded, prompts.Prompts, 0, prompts.Count, default);
        omegas = new OmegaCache(folded);
        reader = new UpstreamReader(folded, activations, omegas, default);
    }

    /// <summary>Decomposes a head of a model whose norms are not folded yet.</summary>
    public static Decomposition Decompose(Model model, Head head, int relativePosition = 0) =>
        Plain(Omega.Of(CircuitModel.Of(model), head, relativePosition));

    /// <summary>The same by way of factors that can be kept for other positions.</summary>
    public static Decomposition DecomposeKept(Model model, Head head) => Plain(OmegaFactors.Of(CircuitModel.Of(model), head).Decompose());

    public static SparseSet SparseSetOf(double[] contributions) => SparseSet.Of(contributions);

    /// <summary>Runs interventions whose control takes the directions given for a firing.</summary>
    public static InterventionResult Intervene(
        Model model, PromptSet prompts, IReadOnlyList<SignalEdge> edges, InterventionOptions options, Func<Firing, IReadOnlyList<int>> control) =>
        Interventions.Run(model, prompts, edges, options, (firing, _) => control(firing), null, default);

    /// <summary>Asks for the direct effects of heads on prompts that cannot have any.</summary>
    public static void RequireDirectEffects(Model model, PromptSet prompts) => DirectEffect.OfHeads(CircuitModel.Of(model), prompts);

    public static void RequireSound(PromptSet prompts, Model model) =>
        prompts.RequireSound(model.Config.ContextLength, model.Config.VocabularySize);

    /// <summary>x̂, the normalised residual that a layer's heads read, [d].</summary>
    public float[] Normalized(int layer, int prompt, int position) => activations.Normalized(layer, prompt, position).ToArray();

    /// <summary>What each direction contributes to the score of a firing, from the model's own residuals, [d_head].</summary>
    public double[] Contributions(Firing firing) => Contributions(
        firing, Normalized(firing.Head.Layer, firing.Prompt, firing.Destination), Normalized(firing.Head.Layer, firing.Prompt, firing.Source));

    /// <summary>The same from given residuals.</summary>
    public double[] Contributions(Firing firing, float[] destination, float[] source)
    {
        var key = (firing.Head, firing.Destination - firing.Source);
        if (!wholes.TryGetValue(key, out var omega))
        {
            wholes[key] = omega = Omega.Of(folded, firing.Head, key.Item2);
        }

        using var scope = torch.NewDisposeScope();
        return omega.Contributions(torch.tensor(destination), torch.tensor(source)).Values<double>();
    }

    /// <summary>The signal of one side of a firing as a vector, [d], or [d + 1] with a constant.</summary>
    public double[] SignalOf(Firing firing, SignalSide side) => SignalVector.Of(omegas, firing, side);

    /// <summary>What every head below the firing's layer adds to a signal, by layer and head, each with the whole constant on top.</summary>
    public IReadOnlyList<KeyValuePair<Component, double>> HeadsWithConstant(Firing firing, SignalSide side) => reader.HeadsWithConstant(firing, side);

    /// <summary>What every component adds to a signal.</summary>
    public Upstream UpstreamOf(Firing firing, SignalSide side) => reader.Decompose(firing, side);

    private static Decomposition Plain(Omega omega) => new(
        omega.Rank, omega.Width, omega.HasConstant, omega.SingularValues.Values<double>(), omega.Left.Values<double>(), omega.Right.Values<double>());
}
