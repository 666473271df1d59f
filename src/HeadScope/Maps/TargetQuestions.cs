namespace HeadScope;

/// <summary>What projections are asked: is this token among the k largest, or the k smallest, of the vocabulary?</summary>
/// <param name="Targets">The target of each question.</param>
/// <param name="K">The k of each question.</param>
/// <param name="TargetRows">The unembedding's row of each target, [questions, d_model].</param>
internal sealed record TargetQuestions(int[] Targets, int[] K, float[] TargetRows)
{
    /// <summary>The questions about these targets.</summary>
    public static TargetQuestions About(VocabularyRows vocabulary, int[] targets, int[] k) => new(targets, k, vocabulary.Gather(targets));
}
