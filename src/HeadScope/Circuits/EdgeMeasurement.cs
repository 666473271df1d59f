namespace HeadScope;

/// <summary>What a pass shows at one edge of one prompt.</summary>
/// <param name="Score">The attention score of the receiver between the two roles, scaled (divided by √d_head).</param>
/// <param name="NormRatio">The norm of the changed vector, relative to the unchanged one: globally what the sender's layer wrote, locally
/// the normalised residual that the receiver reads.</param>
/// <param name="Cosine">The cosine between the changed vector and the unchanged one.</param>
/// <param name="ChangeNorm">The norm of the change; 0 where the head does not fire.</param>
public sealed record EdgeMeasurement(double Score, double NormRatio, double Cosine, double ChangeNorm);
