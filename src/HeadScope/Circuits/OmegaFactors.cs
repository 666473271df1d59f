using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// The two factors of a head's Ω = [W_Q; b_Qᵀ] R(-Δ) [W_K; b_Kᵀ]ᵀ, each as its thin QR in fp64. Ω has rank d_head, so its singular
/// value decomposition is that of the d_head × d_head core between the two orthonormal factors: exact, and never d × d. With rotary
/// positions Ω depends on the relative position Δ, but the factors do not: they are decomposed once for all Δ.
/// </summary>
internal sealed class OmegaFactors
{
    private readonly ThinQr query;
    private readonly ThinQr key;
    private readonly Lazy<float[]> queryBasis;
    private readonly Lazy<float[]> keyBasis;
    private readonly Rotary? rotary;
    private readonly int headWidth;

    private OmegaFactors(Head head, bool hasConstant, int headWidth, ThinQr query, ThinQr key, Rotary? rotary)
    {
        Head = head;
        HasConstant = hasConstant;
        this.headWidth = headWidth;
        this.query = query;
        this.key = key;
        this.rotary = rotary;
        queryBasis = Narrow(query);
        keyBasis = Narrow(key);
    }

    /// <summary>The head.</summary>
    public Head Head { get; }

    /// <summary>Whether a constant 1 stands behind the normalised residual, for the biases of query and key.</summary>
    public bool HasConstant { get; }

    /// <summary>Decomposes the factors of one head.</summary>
    /// <param name="model">The model; its norms must be folded into what reads them.</param>
    /// <param name="head">The head.</param>
    /// <returns>The factors.</returns>
    /// <exception cref="ArgumentException">The model has no such head, or has not been through
    /// <see cref="WeightProcessing.FoldLayerNorm"/>.</exception>
    public static OmegaFactors Of(Model model, Head head)
    {
        RequireFolded(model);
        var hasConstant = HasBias(model, head);
        return new OmegaFactors(
            head,
            hasConstant,
            model.Config.HeadWidth,
            ThinQr.Of(model.QueryWeight(head), BiasRow(model.QueryBias(head), model, hasConstant)),
            ThinQr.Of(model.KeyWeight(head), BiasRow(model.KeyBias(head), model, hasConstant)),
            model.Config.Rotary);
    }

    /// <summary>The singular value decomposition at one relative position alone: the bases of the factors are never made.</summary>
    internal static Omega DecomposeOnce(Model model, Head head, int relativePosition)
    {
        RequireFolded(model);
        var hasConstant = HasBias(model, head);
        using var queries = HouseholderQr.Of(model.QueryWeight(head), BiasRow(model.QueryBias(head), model, hasConstant));
        using var keys = HouseholderQr.Of(model.KeyWeight(head), BiasRow(model.KeyBias(head), model, hasConstant));
        var embedding = model.Config.Rotary;
        var core = Core(queries.R, keys.R, model.Config.HeadWidth, embedding, relativePosition);
        return new Omega(
            head,
            embedding is null ? 0 : relativePosition,
            hasConstant,
            core.SingularValues,
            queries.Expand(core.Directions(SignalSide.Destination)),
            keys.Expand(core.Directions(SignalSide.Source)));
    }

    private static bool HasBias(Model model, Head head) => !model.QueryBias(head).IsEmpty || !model.KeyBias(head).IsEmpty;

    // The row below the weights: zeros where the other side alone has biases.
    private static ReadOnlySpan<float> BiasRow(ReadOnlySpan<float> bias, Model model, bool hasConstant) =>
        hasConstant && bias.IsEmpty ? new float[model.Config.HeadWidth] : bias;

    private static void RequireFolded(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!model.Processing.Contains(WeightProcessing.FoldLayerNorm))
        {
            throw new ArgumentException(
                $"Ω reads the normalised residual stream: '{model.Name}' must have been through {nameof(WeightProcessing.FoldLayerNorm)} "
                + $"first (model.With(WeightProcessing.{nameof(WeightProcessing.FoldLayerNorm)}), or {nameof(CircuitModel)}.Of(model)).",
                nameof(model));
        }
    }

    /// <summary>The singular value decomposition of Ω at a relative position.</summary>
    /// <param name="relativePosition">Δ = destination - source; matters for rotary models only.</param>
    /// <returns>The decomposition.</returns>
    public Omega Decompose(int relativePosition = 0) => Expand(Core(relativePosition), rotary is null ? 0 : relativePosition);

    /// <summary>The decomposition within the two bases: all that depends on the relative position, and d_head wide.</summary>
    internal OmegaCore Core(int relativePosition) => Core(query.R, key.R, headWidth, rotary, relativePosition);

    private static OmegaCore Core(Tensor<double> query, Tensor<double> key, int e, Rotary? rotary, int relativePosition)
    {
        var left = Rotated(query, e, rotary, relativePosition);
        var right = key.AsFlatSpan();
        var (leftRank, rightRank) = ((int)query.Lengths[0], (int)key.Lengths[0]);
        var core = new double[leftRank * rightRank];
        for (var i = 0; i < leftRank; i++)
        {
            for (var j = 0; j < rightRank; j++)
            {
                core[(i * rightRank) + j] = TensorPrimitives.Dot<double>(left.AsSpan(i * e, e), right.Slice(j * e, e));
            }
        }

        return OmegaCore.Of(SmallSvd.Of(core, leftRank, rightRank));
    }

    /// <summary>The rows x̃ in the basis of one side, Q_basisᵀ x̃: what all firings at these tokens share.</summary>
    /// <param name="side">The side.</param>
    /// <param name="normalized">x̂, [n, d]; the constant 1 is thought behind each row where there is one.</param>
    /// <returns>[n, rank of the basis].</returns>
    internal float[] ToBasis(SignalSide side, ReadOnlyMatrix normalized)
    {
        var basis = (side == SignalSide.Destination ? queryBasis : keyBasis).Value;
        var rank = (int)Factor(side).QTransposed.Lengths[0];
        var rows = new float[normalized.Rows * rank];
        MatrixProduct.Multiply(
            normalized, new ReadOnlyMatrix(basis, normalized.Columns, rank), new Matrix(rows, normalized.Rows, rank));
        if (HasConstant)
        {
            var constant = basis.AsSpan(normalized.Columns * rank, rank);
            for (var row = 0; row < normalized.Rows; row++)
            {
                var x = rows.AsSpan(row * rank, rank);
                TensorPrimitives.Add(x, constant, x);
            }
        }

        return rows;
    }

    /// <summary>A vector of the basis of one side in the residual stream, [d or d + 1].</summary>
    internal double[] FromBasis(SignalSide side, ReadOnlySpan<double> vector) => Factor(side).Expand(vector);

    /// <summary>The whole decomposition, with directions in the residual stream.</summary>
    internal Omega Expand(OmegaCore core, int relativePosition) => new(
        Head,
        relativePosition,
        HasConstant,
        core.SingularValues,
        query.Expand(core.Directions(SignalSide.Destination)),
        key.Expand(core.Directions(SignalSide.Source)));

    // The rows of R, each turned as the model turns a query that stands `positions` further on: R_Q R(-Δ).
    private static double[] Rotated(Tensor<double> r, int headWidth, Rotary? rotary, int positions)
    {
        var rows = r.AsFlatSpan().ToArray();
        if (rotary is null || positions == 0)
        {
            return rows;
        }

        var half = rotary.Dimensions / 2;
        for (var pair = 0; pair < half; pair++)
        {
            var (sin, cos) = Math.SinCos(positions * rotary.Frequency(pair));
            for (var row = 0; row < rows.Length; row += headWidth)
            {
                var (a, b) = (rows[row + pair], rows[row + half + pair]);
                rows[row + pair] = (a * cos) - (b * sin);
                rows[row + half + pair] = (b * cos) + (a * sin);
            }
        }

        return rows;
    }

    private ThinQr Factor(SignalSide side) => side == SignalSide.Destination ? query : key;

    // Q in fp32, [d or d + 1, rank].
    private static Lazy<float[]> Narrow(ThinQr factor) => new(() =>
    {
        var q = factor.QTransposed.AsFlatSpan();
        var (rank, rows) = ((int)factor.QTransposed.Lengths[0], (int)factor.QTransposed.Lengths[1]);
        var basis = new float[q.Length];
        for (var p = 0; p < rank; p++)
        {
            for (var i = 0; i < rows; i++)
            {
                basis[(i * rank) + p] = (float)q[(p * rows) + i];
            }
        }

        return basis;
    });
}
