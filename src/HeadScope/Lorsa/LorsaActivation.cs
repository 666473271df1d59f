namespace HeadScope;

/// <summary>Which heads enter the output of a Lorsa; the others are zero. Scores are <c>z |w_O|</c> (see <see cref="LorsaConfig.ScoreByOutputNorm"/>).</summary>
public enum LorsaActivation
{
    /// <summary>The k heads of a token with the largest positive score; fewer when fewer are positive. The default.</summary>
    TopK,

    /// <summary>The k × tokens pairs of head and token with the largest positive score in the whole batch.</summary>
    BatchTopK,

    /// <summary>Every head with a positive score.</summary>
    Relu,

    /// <summary>Every head whose score is above its own trained threshold. The score passes unshifted.</summary>
    JumpRelu,

    /// <summary>
    /// The k heads with the largest absolute score, so that negative activations pass: the rule of the first published
    /// implementation without its option <c>use_z_relu</c>.
    /// </summary>
    TopKMagnitude,

    /// <summary>Every head of every token: what the mode <c>jumprelu</c> of the first published implementation does.</summary>
    Dense,
}
