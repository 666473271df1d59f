using System.Collections.Concurrent;

#pragma warning disable RS0030 // The one place that makes Scalars, and holds them.
namespace HeadScope;

/// <summary>
/// The numbers that tensors are computed with. TorchSharp hands the bare handle of a Scalar to native code, so one that nothing else
/// holds can be finalised while it is read; these are held for ever, one for each number. BannedSymbols.txt bans the other ways to one.
/// </summary>
internal static class Scalars
{
    private static readonly ConcurrentDictionary<double, Scalar> Numbers = new();

    /// <summary>The integer 1, which fits tensors of every type: the factor in <c>x.add(y, Scalars.One)</c>.</summary>
    public static readonly Scalar One = 1L.ToScalar();

    /// <summary>What is masked before a softmax.</summary>
    public static readonly Scalar MinusInfinity = double.NegativeInfinity.ToScalar();

    /// <summary>A number that a model or method has few of, such as an epsilon or a scale.</summary>
    public static Scalar Of(double number) => Numbers.GetOrAdd(number, static value => value.ToScalar());
}
