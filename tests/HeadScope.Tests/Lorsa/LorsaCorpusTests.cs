namespace HeadScope.Tests;

public sealed class LorsaCorpusTests : IDisposable
{
    private const int Length = 8, HeldOut = 5;

    private readonly Model model = Model.Load("demo");
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-corpus-").FullName;

    public void Dispose()
    {
        model.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Windows_held_out_are_never_learnt_from_and_all_others_are_in_every_round()
    {
        var (training, heldOut) = LorsaUnderTest.Windows(model, Texts(60), Length, HeldOut, seed: 3);
        var held = heldOut.Select(Text).ToList();
        var all = LorsaUnderTest.Windows(model, Texts(60), Length, heldOut: 1000, seed: 3).HeldOut.Select(Text).ToList();
        Assert.Equal(all.Take(HeldOut), held);
        var others = all.Skip(HeldOut).Order().ToList();
        var rounds = training.Select(Text).Take(3 * others.Count).Chunk(others.Count).ToList();
        Assert.All(rounds, round => Assert.Equal(others, round.Order()));
        Assert.NotEqual(rounds[0], rounds[1]);
        Assert.NotEqual(all.Skip(HeldOut), rounds[0]);
    }

    [Fact]
    public void The_seed_decides_the_order()
    {
        Assert.Equal(Order(3), Order(3));
        Assert.NotEqual(Order(3), Order(4));

        List<string> Order(int seed) => [.. LorsaUnderTest.Windows(model, Texts(60), Length, HeldOut, seed).Training.Select(Text).Take(30)];
    }

    [Fact]
    public void Windows_given_as_such_keep_their_order_and_begin_again()
    {
        int[][] windows = [.. Enumerable.Range(0, 12).Select(i => Enumerable.Range(i, Length).ToArray())];
        var (training, heldOut) = LorsaUnderTest.Windows(model, LorsaCorpus.FromWindows(windows), Length, HeldOut, seed: 3);
        Assert.Equal(windows[..HeldOut].Select(Text), heldOut.Select(Text));
        Assert.Equal(windows[HeldOut..].Concat(windows[HeldOut..]).Select(Text), training.Select(Text).Take(2 * (12 - HeldOut)));
        Assert.Throws<ArgumentException>(() => LorsaCorpus.FromWindows([[1], [1, 2]]));
    }

    [Fact]
    public void Files_of_text_and_of_JSON_lines_give_the_windows_of_their_texts()
    {
        var (plain, lines) = (Path.Combine(folder, "a.txt"), Path.Combine(folder, "a.jsonl"));
        string[] texts = ["The capital of France is Paris.\n", "Mary gave a drink to John. \u00e9\n", "one two three four five six seven\n"];
        File.WriteAllText(plain, string.Concat(texts));
        File.WriteAllLines(lines, texts.Select(text => $"{{\"text\": \"{text.Replace("\n", "\\n", StringComparison.Ordinal)}\"}}").Append(""));
        var expected = Windows(texts);
        Assert.Equal(expected, Windows(LorsaCorpus.FromFile(lines)));
        Assert.Equal(Windows(new[] { string.Concat(texts) }), Windows(LorsaCorpus.FromFile(plain)));
        File.WriteAllBytes(plain, [.. "one two three "u8, 0xE9, .. " four five"u8]);
        Assert.Contains("a.txt', near byte", Assert.Throws<InvalidDataException>(() => Windows(LorsaCorpus.FromFile(plain))).Message, StringComparison.Ordinal);
        Assert.Contains("no.txt", Assert.Throws<FileNotFoundException>(() => LorsaCorpus.FromFile(Path.Combine(folder, "no.txt"))).Message, StringComparison.Ordinal);

        List<string> Windows(LorsaCorpus corpus) => [.. LorsaUnderTest.Windows(model, corpus, Length, heldOut: 1000, seed: 0).HeldOut.Select(Text)];
    }

    private static string Text(int[] window) => string.Join(' ', window);

    private static string[] Texts(int count) => [.. Enumerable.Range(0, count).Select(i => $" number {i} is {i * 7 % 60} and the capital of France is Paris")];
}
