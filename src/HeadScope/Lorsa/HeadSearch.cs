using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>A head that was found to behave in a way.</summary>
/// <param name="Head">The OV head.</param>
/// <param name="QkHead">Its QK head.</param>
/// <param name="Score">How clearly; <see cref="Lorsa.FindHeads"/> says what the number means for each kind.</param>
/// <param name="ActiveTokens">At how many of the probes' tokens that matter it was active.</param>
public sealed record FoundHead(int Head, int QkHead, double Score, int ActiveTokens);

public sealed partial class Lorsa
{
    /// <summary>The kinds of heads that <see cref="FindHeads"/> knows.</summary>
    public static IReadOnlyList<string> HeadKinds { get; } =
        ["previous token", "current token", "duplicate token", "induction", "sink", "name mover", "successor"];

    /// <summary>Finds heads of a kind by what they do on generated probes.</summary>
    /// <remarks>
    /// For <c>previous token</c>, <c>current token</c>, <c>duplicate token</c>, <c>induction</c> and <c>sink</c> the probes are random tokens told
    /// twice, and the score is the share of what the head gathers, over the tokens at which it is active, that comes from the token before, the
    /// token itself, the earlier copy, the token after the earlier copy, or the first token: 1 when all of it does. For <c>name mover</c> the
    /// probes are sentences of indirect object identification, for <c>successor</c> rising lists of numbers, days, months and letters; the score
    /// is the mean number of logits by which the head's output, through the final norm and the unembedding, prefers the right answer to the
    /// mean of all names or all members of the list (for name movers only what comes from the right name counts).
    /// </remarks>
    /// <param name="kind">One of <see cref="HeadKinds"/>.</param>
    /// <param name="top">How many heads to return at most.</param>
    /// <param name="seed">Seeds the probes.</param>
    /// <param name="cancellationToken">Stops between probes.</param>
    /// <returns>The heads with a positive score, best first.</returns>
    /// <exception cref="ArgumentException">There is no such kind.</exception>
    /// <exception cref="InvalidOperationException">There is no model, or its vocabulary lacks the words that the probes need.</exception>
    public IReadOnlyList<FoundHead> FindHeads(string kind, int top = 10, int seed = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(kind);
        var model = Model
            ?? throw new InvalidOperationException("This Lorsa was loaded without its model; take lorsa.For(model).FindHeads(...) instead.");
        var scores = new HeadScores(Config.Heads);
        switch (kind)
        {
            case "previous token" or "current token" or "duplicate token" or "induction" or "sink":
                ScoreGathering(kind, model, scores, seed, cancellationToken);
                break;
            case "name mover":
                ScoreNameMovers(model, scores, seed, cancellationToken);
                break;
            case "successor":
                ScoreSuccessors(model, scores, cancellationToken);
                break;
            default:
                throw new ArgumentException($"There is no kind of heads '{kind}'; known are {string.Join(", ", HeadKinds)}.", nameof(kind));
        }

        return [.. Enumerable.Range(0, Config.Heads)
            .Select(head => new FoundHead(head, Config.QkHeadOf(head), scores.Of(head), scores.Active[head]))
            .Where(found => found.Score > 0)
            .OrderByDescending(found => found.Score)
            .ThenBy(found => found.Head)
            .Take(top)];
    }

    private void ScoreGathering(string kind, Model model, HeadScores scores, int seed, CancellationToken cancellationToken)
    {
        const int Probes = 32, LongestHalf = 32, FewestActive = 4;
        var random = new Random(seed);
        var tokenizer = model.HasTokenizer ? model.Tokenizer : null;
        var begin = tokenizer?.BeginningOfText ?? tokenizer?.EndOfText;
        var half = Math.Min(LongestHalf, (Config.ContextLength - 1) / 2);
        var offset = begin is null ? 0 : 1;
        for (var probe = 0; probe < Probes; probe++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var list = Enumerable.Range(0, half).Select(_ => Ordinary()).ToArray();
            int[] tokens = begin is { } first ? [first, .. list, .. list] : [.. list, .. list];
            var activations = Encode(model, tokens);
            var needsCopy = kind is "duplicate token" or "induction";
            for (var t = needsCopy ? offset + half : offset + 1; t < tokens.Length; t++)
            {
                var source = kind switch
                {
                    "previous token" => t - 1,
                    "current token" => t,
                    "duplicate token" => t - half,
                    "induction" => t - half + 1,
                    _ => 0,
                };
                foreach (var (head, _) in activations.ActiveAt(0, t))
                {
                    var contributions = activations.ZPattern(head, 0, t);
                    scores.Add(head, contributions[source], TensorPrimitives.SumOfMagnitudes<float>(contributions));
                }
            }
        }

        // A share over one or two tokens says little.
        scores.Forget(head => scores.Active[head] < FewestActive);

        int Ordinary()
        {
            while (true)
            {
                var token = random.Next(model.Config.VocabularySize);
                if (tokenizer is null || (token < tokenizer.VocabularySize && !tokenizer.SpecialTokens.Contains(token)))
                {
                    return token;
                }
            }
        }
    }

    private void ScoreNameMovers(Model model, HeadScores scores, int seed, CancellationToken cancellationToken)
    {
        const int Probes = 48;
        var names = SingleTokens(model.Tokenizer,
            [
                "Mary", "John", "Alice", "Bob", "Tom", "Anna", "Peter", "Sarah", "David", "Emma", "James", "Laura", "Paul", "Lucy", "Mark", "Kate",
                "Jack", "Rose", "Adam", "Jane", "Simon", "Helen", "George", "Susan", "Robert", "Julia", "Henry", "Grace", "Daniel", "Maria",
            ]);
        if (names.Count < 4)
        {
            throw new InvalidOperationException($"The vocabulary of '{model.Name}' has only {names.Count} of the probes' names as one token.");
        }

        var effects = TokenEffects(model, [.. names.Select(name => name.Token)]);
        var random = new Random(seed);
        for (var probe = 0; probe < Probes; probe++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var (a, b) = (random.Next(names.Count), random.Next(names.Count - 1));
            b += b >= a ? 1 : 0;
            var (first, second) = probe % 2 == 0 ? (a, b) : (b, a);
            var text = $"When {names[first].Word} and {names[second].Word} went to the store, {names[b].Word} gave a drink to";
            var tokens = Begin(model.Tokenizer, model.Tokenizer.Encode(text, addSpecialTokens: false));
            var (activations, scale, last) = (Encode(model, tokens), FinalScale(model, tokens), tokens.Length - 1);
            var place = Array.IndexOf(tokens, names[a].Token);
            foreach (var (head, _) in activations.ActiveAt(0, last))
            {
                scores.Add(head, activations.ZPattern(head, 0, last)[place] * Preference(effects, head, a) / scale, 0);
            }
        }

        scores.DivideBy(Probes);
    }

    private void ScoreSuccessors(Model model, HeadScores scores, CancellationToken cancellationToken)
    {
        string[][] lists =
        [
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
            ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
            ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
            ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"],
        ];
        var probes = 0;
        foreach (var list in lists)
        {
            var items = SingleTokens(model.Tokenizer, list);
            var effects = TokenEffects(model, [.. items.Select(item => item.Token)]);
            for (var last = 2; last < items.Count - 1; last++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var tokens = Begin(model.Tokenizer, [items[last - 2].Token, items[last - 1].Token, items[last].Token]);
                var (activations, scale) = (Encode(model, tokens), FinalScale(model, tokens));
                foreach (var (head, activation) in activations.ActiveAt(0, tokens.Length - 1))
                {
                    scores.Add(head, activation * Preference(effects, head, last + 1) / scale, 0);
                }

                probes++;
            }
        }

        if (probes == 0)
        {
            throw new InvalidOperationException($"The vocabulary of '{model.Name}' has none of the probes' lists as single tokens.");
        }

        scores.DivideBy(probes);
    }

    /// <summary>What one unit of each head's activation adds to the logits of some tokens before the final scale, [n, tokens].</summary>
    private Tensor<float> TokenEffects(Model model, int[] tokens)
    {
        var (d, n) = (Config.ModelWidth, Config.Heads);
        var writes = new float[n * d];
        for (var i = 0; i < n; i++)
        {
            var row = writes.AsSpan(i * d, d);
            TensorPrimitives.Divide(Parameters.OutputWeight.AsSpan(i * d, d), (float)OutputScale, row);
            model.Net.LnFinal.Divide(row, 1, row);
            model.Net.LnFinal.Amplify(row, row);
        }

        var unembedding = new float[tokens.Length * d];
        for (var i = 0; i < tokens.Length; i++)
        {
            model.ReadUnembedding(tokens[i], 1, unembedding.AsSpan(i * d, d));
        }

        var effects = Tensor.CreateFromShape<float>([n, tokens.Length]);
        MatrixProduct.Multiply(new(writes, n, d), new ReadOnlyMatrix(unembedding, tokens.Length, d).Transpose(), effects.AsMatrix());
        return effects;
    }

    private static double Preference(Tensor<float> effects, int head, int right)
    {
        var row = effects.AsMatrix().Row(head);
        return row[right] - TensorPrimitives.Average<float>(row);
    }

    private static float FinalScale(Model model, int[] tokens)
    {
        using var pass = model.Run(tokens, new Hooks().Keep("ln_final.hook_scale"), LogitsOf.None);
        return pass.Take("ln_final.hook_scale").AsFlatSpan()[^1];
    }

    private static int[] Begin(Tokenizer tokenizer, int[] tokens) =>
        (tokenizer.BeginningOfText ?? tokenizer.EndOfText) is { } begin ? [begin, .. tokens] : tokens;

    private static List<(string Word, int Token)> SingleTokens(Tokenizer tokenizer, IEnumerable<string> words) =>
        [.. from word in words
            let tokens = tokenizer.Encode($" {word}", addSpecialTokens: false)
            where tokens.Length == 1
            select (word, tokens[0])];

    private sealed class HeadScores(int heads)
    {
        private readonly double[] sums = new double[heads];
        private readonly double[] weights = new double[heads];

        public int[] Active { get; } = new int[heads];

        public void Add(int head, double value, double weight)
        {
            sums[head] += value;
            weights[head] += weight;
            Active[head]++;
        }

        public void DivideBy(double count) => Array.Fill(weights, count);

        public void Forget(Predicate<int> which)
        {
            for (var head = 0; head < heads; head++)
            {
                sums[head] = which(head) ? 0 : sums[head];
            }
        }

        public double Of(int head) => weights[head] == 0 ? 0 : sums[head] / weights[head];
    }
}
