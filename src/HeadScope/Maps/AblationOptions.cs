namespace HeadScope;

/// <summary>How heads are ablated. The defaults are the published ones (arXiv 2412.11965, section 4.3 and appendix B).</summary>
public sealed record AblationOptions
{
    /// <summary>The prompt that asks for the target, with <c>&lt;X&gt;</c> in the place of the source; null for the relation's own.</summary>
    public string? Template { get; init; }

    /// <summary>Whether an ablated head writes the mean of its output z over the prompts of the task instead of zeros, as published.</summary>
    public bool Mean { get; init; }

    /// <summary>At most how many heads are ablated; null for the published number: 30 in models of fewer than 300 heads, 50 below 500,
    /// 100 below 1000, 150 below 1500, else 250. Heads with a static score of 0 never are.</summary>
    public int? Heads { get; init; }

    /// <summary>As <see cref="HeadMapOptions.K"/>, for the static scores that order the heads.</summary>
    public int? K { get; init; }

    /// <summary>A relation needs as many single-token pairs.</summary>
    public int MinimumPairs { get; init; } = 30;

    /// <summary>How many times as many random other heads are ablated.</summary>
    public int RandomRuns { get; init; } = 5;

    /// <summary>At most how many other tasks the relation's heads are ablated in.</summary>
    public int ControlTasks { get; init; } = 5;

    /// <summary>The relations from which control tasks are drawn; null for those that ship. Those without a prompt are left out.</summary>
    public IReadOnlyList<Relation>? Controls { get; init; }

    /// <summary>Draws the random heads and the order of control tasks.</summary>
    public int Seed { get; init; }

    /// <summary>How many prompts run at a time.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Refuses what cannot be ablated.</summary>
    /// <exception cref="ArgumentException">A number is too small.</exception>
    internal void Validate()
    {
        foreach (var (name, number, least) in new (string, int?, int)[]
        {
            (nameof(Heads), Heads, 1), (nameof(RandomRuns), RandomRuns, 0), (nameof(ControlTasks), ControlTasks, 0),
            (nameof(BatchSize), BatchSize, 1),
        })
        {
            Fault.ArgumentIf(number < least, $"{name} is {number}; expected at least {least}.");
        }
    }

    internal int HeadsFor(int headsOfModel) => Heads ?? headsOfModel switch
    {
        < 300 => 30,
        < 500 => 50,
        < 1000 => 100,
        < 1500 => 150,
        _ => 250,
    };
}
