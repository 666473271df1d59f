namespace HeadScope;

/// <summary>Matrices A = Q R with orthonormal columns in Q = B T, which is not multiplied out: its users multiply T by something small first.</summary>
/// <param name="Basis">B, [..., d, n].</param>
/// <param name="Turn">T, [..., n, n].</param>
/// <param name="Triangle">R, [..., n, n], upper triangular.</param>
internal sealed record Orthogonalized(Tensor Basis, Tensor Turn, Tensor Triangle)
{
    // Far below 1, where the second round is exact to rounding.
    private const double Loose = 1e-2;

    /// <summary>Orthogonalises a batch of tall matrices, [batch, d, n] in fp64: by two rounds of Cholesky QR (Yamamoto et al. 2015), which is matrix products
    /// but for n × n; by Householder's QR where columns are so nearly dependent that the first round leaves them far from orthogonal.</summary>
    public static Orthogonalized Of(Tensor tall)
    {
        var eyes = eye(Math.Min(tall.shape[1], tall.shape[2]), dtype: float64, device: tall.device);
        if (tall.shape[1] >= tall.shape[2] && Round(tall.transpose(1, 2).bmm(tall)) is (var inverse, var triangle))
        {
            var basis = tall.bmm(inverse);
            var products = basis.transpose(1, 2).bmm(basis);
            if (products.add(eyes, Scalars.Of(-1)).abs().max().item<double>() < Loose && Round(products) is (var turn, var second))
            {
                return new(basis, turn, second.bmm(triangle));
            }
        }

        var (q, r) = linalg.qr(tall);
        return new(q, eyes.unsqueeze(0).expand(tall.shape[0], -1, -1), r);
    }

    // R with RᵀR = products, and its inverse; null where they are not positive definite.
    private static (Tensor Inverse, Tensor Triangle)? Round(Tensor products)
    {
        var (lower, failed) = linalg.cholesky_ex(products);
        return failed.count_nonzero().item<long>() > 0 ? null : (linalg.inv(lower).transpose(1, 2), lower.transpose(1, 2));
    }
}
