using FsCheck;
using FsCheck.Fluent;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>What holds for any input.</summary>
public class TransformerPropertyTests
{
    [Fact]
    public void Rotated_queries_and_keys_meet_at_their_distance_alone() =>
        Prop.ForAll(Gen.Choose(0, 500).Four().ToArbitrary(), draw =>
        {
            var (seed, position, distance, shift) = draw;
            var rotary = new Rotary(6, 10000);
            var random = new Random(seed);
            var query = Numbers(random, 10);
            var key = Numbers(random, 10);
            return Math.Abs(Meet(position) - Meet(position + shift)) < 1e-4;

            double Meet(int from)
            {
                var q = Turned(query, from + distance);
                return (q * Turned(key, from)).sum().item<float>();
            }

            torch.Tensor Turned(float[] numbers, int at) =>
                rotary.At([at], 1, torch.CPU, torch.ScalarType.Float32).Turn(torch.tensor(numbers, [1, 1, 1, 10]));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Llama3_divisors_lie_between_1_and_the_factor_and_never_fall() =>
        Prop.ForAll(Gen.Choose(2, 64).Three().ToArbitrary(), draw =>
        {
            var (half, factor, original) = draw;
            var divisors = Rotary.Llama3Divisors(2 * half, 500000, factor, 1, 4, original * 16);
            return divisors.All(divisor => divisor >= 1 - 1e-12 && divisor <= factor + 1e-9)
                && divisors.Zip(divisors.Skip(1)).All(pair => pair.First <= pair.Second + 1e-12);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Padding_never_changes_the_last_logits()
    {
        using var model = TinyModels.Load("rotary");
        Prop.ForAll(Gen.Choose(0, 49).NonEmptyListOf().Two().ToArbitrary(), pair =>
        {
            var (a, b) = (pair.Item1.Take(20).ToArray(), pair.Item2.Take(20).ToArray());
            var together = model.Run([a, b], logits: LogitsOf.LastPosition).Logits!.Flat();
            var alone = model.Run(a, logits: LogitsOf.LastPosition).Logits!.Flat().Concat(model.Run(b, logits: LogitsOf.LastPosition).Logits!.Flat());
            return together.Zip(alone).All(logits => Math.Abs(logits.First - logits.Second) < 2e-5);
        }).QuickCheckThrowOnFailure();
    }

    private static float[] Numbers(Random random, int count)
    {
        var numbers = new float[count];
        for (var i = 0; i < count; i++)
        {
            numbers[i] = random.NextSingle() - 0.5f;
        }

        return numbers;
    }
}
