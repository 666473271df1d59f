using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

/// <summary>What holds for any input.</summary>
public class TransformerPropertyTests
{
    [Fact]
    public void Rotated_queries_and_keys_meet_at_their_distance_alone() =>
        Prop.ForAll(Gen.Choose(0, 500).Four().ToArbitrary(), draw =>
        {
            var (seed, position, distance, shift) = draw;
            var rotary = new RotaryEmbedding(6, 10000);
            var random = new Random(seed);
            var query = Numbers(random, 10);
            var key = Numbers(random, 10);
            return Math.Abs(Meet(position) - Meet(position + shift)) < 1e-4;

            double Meet(int from)
            {
                var (q, k) = (query.ToArray(), key.ToArray());
                rotary.Rotate(q, 10, rotary.Table(from + distance, 1));
                rotary.Rotate(k, 10, rotary.Table(from, 1));
                return q.Zip(k, (a, b) => (double)a * b).Sum();
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Llama3_divisors_lie_between_1_and_the_factor_and_never_fall() =>
        Prop.ForAll(Gen.Choose(2, 64).Three().ToArbitrary(), draw =>
        {
            var (half, factor, original) = draw;
            var divisors = RotaryEmbedding.Llama3Divisors(2 * half, 500000, factor, 1, 4, original * 16);
            return divisors.All(divisor => divisor >= 1 - 1e-12 && divisor <= factor + 1e-9)
                && divisors.Zip(divisors.Skip(1)).All(pair => pair.First <= pair.Second + 1e-12);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_processed_weight_is_its_formula_however_it_is_read() =>
        Prop.ForAll(Gen.Choose(1, 9).Four().ToArbitrary(), draw =>
        {
            var (rows, columns, seed, kind) = draw;
            var random = new Random(seed);
            var source = new GivenWeight(rows, columns, Numbers(random, rows * columns));
            var rowScale = kind % 2 == 0 ? Numbers(random, rows) : null;
            var columnScale = kind % 3 == 0 ? Numbers(random, columns) : null;
            var centering = (ProcessedWeight.Centering)(kind % 3);
            var expected = Formula(source, rowScale, columnScale, centering);

            foreach (var whole in new[] { false, true })
            {
                var weight = new ProcessedWeight(
                    source, rowScale is null ? null : () => rowScale, columnScale is null ? null : () => columnScale, centering);
                if (whole)
                {
                    _ = weight.Values;
                }

                var (row, column) = (random.Next(rows), random.Next(columns));
                var oneRow = new float[columns];
                weight.ReadRows(row, 1, oneRow);
                var someColumns = new float[rows * (columns - column)];
                weight.ReadColumns(column, columns - column, someColumns);
                for (var c = 0; c < columns; c++)
                {
                    if (Math.Abs(oneRow[c] - expected[row, c]) > 1e-6)
                    {
                        return false;
                    }

                    for (var r = 0; c >= column && r < rows; r++)
                    {
                        if (Math.Abs(someColumns[(r * (columns - column)) + c - column] - expected[r, c]) > 1e-6)
                        {
                            return false;
                        }
                    }
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Padding_never_changes_the_last_logits()
    {
        using var model = TinyModels.Load("rotary");
        Prop.ForAll(Gen.Choose(0, 49).NonEmptyListOf().Two().ToArbitrary(), pair =>
        {
            var (a, b) = (pair.Item1.Take(20).ToArray(), pair.Item2.Take(20).ToArray());
            var options = new RunOptions { Logits = LogitsOf.LastPosition };
            var together = model.Run([a, b], options).Logits!.Flat();
            var alone = model.Run(a, options).Logits!.Flat().Concat(model.Run(b, options).Logits!.Flat());
            return together.Zip(alone).All(logits => Math.Abs(logits.First - logits.Second) < 2e-5);
        }).QuickCheckThrowOnFailure();
    }

    private static double[,] Formula(Weight source, float[]? rowScale, float[]? columnScale, ProcessedWeight.Centering centering)
    {
        var result = new double[source.Rows, source.Columns];
        for (var r = 0; r < source.Rows; r++)
        {
            for (var c = 0; c < source.Columns; c++)
            {
                result[r, c] = (double)source.Values[(r * source.Columns) + c] * (rowScale?[r] ?? 1) * (columnScale?[c] ?? 1);
            }
        }

        var centred = (double[,])result.Clone();
        for (var r = 0; r < source.Rows; r++)
        {
            for (var c = 0; c < source.Columns; c++)
            {
                centred[r, c] -= centering switch
                {
                    ProcessedWeight.Centering.Rows => Enumerable.Range(0, source.Columns).Average(i => result[r, i]),
                    ProcessedWeight.Centering.Columns => Enumerable.Range(0, source.Rows).Average(i => result[i, c]),
                    _ => 0,
                };
            }
        }

        return centred;
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

    private sealed class GivenWeight(int rows, int columns, float[] given) : Weight(rows, columns)
    {
        protected override void DecodeRows(int first, int count, Span<float> destination) =>
            given.AsSpan(first * Columns, count * Columns).CopyTo(destination);

        protected override void DecodeColumns(int first, int count, Span<float> destination)
        {
            for (var row = 0; row < Rows; row++)
            {
                given.AsSpan((row * Columns) + first, count).CopyTo(destination[(row * count)..]);
            }
        }
    }
}
