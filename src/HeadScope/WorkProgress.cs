namespace HeadScope;

/// <summary>How far a long call has come; what notebooks and terminals draw as a progress bar.</summary>
/// <param name="Stage">What is being done, in a few words: <c>scoring heads</c>.</param>
/// <param name="Done">How many units are done.</param>
/// <param name="Total">How many units there are; 0 when it is not known.</param>
/// <param name="Unit">The unit in the plural: <c>heads</c>, <c>bytes</c>, <c>tokens</c>.</param>
/// <param name="Detail">More for the curious, such as the present loss; null for none.</param>
public readonly record struct WorkProgress(string Stage, long Done, long Total, string Unit, string? Detail = null)
{
    /// <summary>In words, with rate and time left.</summary>
    /// <param name="elapsed">How long the stage has taken so far.</param>
    internal string InWords(TimeSpan elapsed)
    {
        var rate = elapsed > TimeSpan.Zero ? Done / elapsed.TotalSeconds : 0;
        var total = Total > 0 ? string.Create(CultureInfo.InvariantCulture, $" of {Total:N0}") : "";
        var left = Total > Done && rate > 0 ? $", {Time((Total - Done) / rate)} left" : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Stage}: {Done:N0}{total} {Unit}, {Time(elapsed.TotalSeconds)}, {rate:G3}/s{left}{(Detail is null ? "" : ", " + Detail)}");

        static string Time(double seconds) => seconds < 60
            ? string.Create(CultureInfo.InvariantCulture, $"{seconds:F1} s")
            : string.Create(CultureInfo.InvariantCulture, $"{(long)seconds / 60} min {(long)seconds % 60} s");
    }
}
