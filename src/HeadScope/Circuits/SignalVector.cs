using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>The signal of a firing as one vector (arXiv 2410.00340, section 5).</summary>
internal static class SignalVector
{
    /// <summary>U_S = Σ_{k in S} sign(a_k) √s_k u_k, or V_S with v_k on the source side; [d or d + 1].</summary>
    public static double[] Of(OmegaCache omegas, Firing firing, SignalSide side)
    {
        var core = omegas.Between(firing.Head, firing.Destination, firing.Source);
        var sum = new double[core.Direction(side, 0).Length];
        for (var n = 0; n < firing.Signal.Directions.Count; n++)
        {
            TensorPrimitives.MultiplyAdd(core.Direction(side, firing.Signal.Directions[n]), firing.Signs[n] * firing.Magnitudes[n], sum, sum);
        }

        return omegas.FactorsOf(firing.Head).FromBasis(side, sum);
    }
}
