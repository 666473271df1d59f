using System.Numerics.Tensors;
using HeadScope.Numerics;

namespace HeadScope.Circuits;

/// <summary>The signal of a firing as one vector (arXiv 2410.00340, section 5).</summary>
internal static class SignalVector
{
    /// <summary>U_S = Σ_{k in S} sign(a_k) √s_k u_k, or V_S with v_k on the source side; [d or d + 1].</summary>
    public static double[] Of(Omega omega, Firing firing, SignalSide side)
    {
        var directions = (side == SignalSide.Destination ? omega.Left : omega.Right).AsFlatSpan();
        var sum = new double[omega.Width];
        for (var n = 0; n < firing.Signal.Directions.Count; n++)
        {
            var direction = directions.Slice(firing.Signal.Directions[n] * omega.Width, omega.Width);
            TensorPrimitives.MultiplyAdd<double>(direction, firing.Signs[n] * firing.Magnitudes[n], sum, sum);
        }

        return sum;
    }
}
