namespace HeadScope;

/// <summary>A projection whose target's rank is being counted.</summary>
internal struct Projection
{
    /// <summary>What the caller knows it by.</summary>
    public int Id;

    /// <summary>Which question (target and k) it is asked.</summary>
    public int Question;

    /// <summary>The target's logit.</summary>
    public double Logit;

    /// <summary>How far a logit may be off by rounding, for a vocabulary row of norm 1.</summary>
    public float Margin;

    /// <summary>How many tokens were found above the target so far.</summary>
    public int Above;

    /// <summary>How many tokens were found below the target so far.</summary>
    public int Below;
}
