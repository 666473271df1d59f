namespace HeadScope;

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
    public IReadOnlyList<LorsaHead> FindHeads(string kind, int top = 10, int seed = 0, CancellationToken cancellationToken = default)
    {
        (_, cancellationToken) = AmbientWork.Or(null, cancellationToken);
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var random = new Random(seed);
        var (scores, active) = kind switch
        {
            "name mover" => NameMovers(random, cancellationToken),
            "successor" => Successors(cancellationToken),
            _ when HeadKinds.Contains(kind, StringComparer.Ordinal) => Gatherers(kind, random, cancellationToken),
            _ => throw new ArgumentException($"There is no kind of heads '{kind}'; known are {string.Join(", ", HeadKinds)}.", nameof(kind)),
        };
        var tokens = active.Copied<int>();
        return [.. scores.Copied<double>().Index().Where(head => head.Item > 0).OrderByDescending(head => head.Item).Take(top)
            .Select(head => new LorsaHead(this, head.Index) { Score = head.Item, ActiveTokens = tokens[head.Index] })];
    }

    /// <summary>The share of what each head gathers that comes from the source of a kind, [n], and at how many tokens it is active, [n].</summary>
    private (Tensor Scores, Tensor Active) Gatherers(string kind, Random random, CancellationToken cancellationToken)
    {
        const int Probes = 32, LongestHalf = 32, FewestActive = 4;
        var model = RequireModel();
        var tokenizer = model.HasTokenizer ? model.Tokenizer : null;
        var half = Math.Min(LongestHalf, (Config.ContextLength - 1) / 2);
        var ordinary = Enumerable.Repeat(random, int.MaxValue).Select(_ => random.Next(model.Config.VocabularySize))
            .Where(token => tokenizer is null || (token < tokenizer.VocabularySize && !tokenizer.SpecialTokens.Contains(token)));
        int[][] probes = [.. Enumerable.Range(0, Probes).Select(_ =>
        {
            var list = ordinary.Take(half).ToArray();
            return tokenizer is null ? [.. list, .. list] : Begin(tokenizer, [.. list, .. list]);
        })];
        var (length, offset) = (probes[0].Length, probes[0].Length - (2 * half));

        // The tokens t that have a source s, and P(t, s) v(s) of it against what is gathered in all, [B × t, n].
        var first = kind is "duplicate token" or "induction" ? offset + half : offset + 1;
        int[] queries = [.. Enumerable.Range(first, length - first)];
        int[] sources = [.. queries.Select(t => kind switch
        {
            "previous token" => t - 1,
            "current token" => t,
            "duplicate token" => t - half,
            "induction" => t - half + 1,
            _ => 0,
        })];
        var found = Encode(probes, cancellationToken);
        var active = found.Activations.narrow(1, first, queries.Length).ne(Scalars.Of(0)).flatten(0, 1);
        var right = Contributions(
            found, tensor([.. Enumerable.Range(0, Probes)], int64).repeat_interleave(queries.Length), tensor(queries, int64).repeat(Probes),
            tensor(sources, int64).repeat(Probes));
        var sizes = found.Values.abs().unflatten(2, Config.QkHeads, Config.GroupSize).transpose(1, 2);
        var all = found.Patterns.narrow(2, first, queries.Length).matmul(sizes).transpose(1, 2).flatten(2).flatten(0, 1);
        var count = active.sum([0]);

        // A share over one or two tokens says little.
        return (Sum(right).div(Sum(all)).masked_fill(count.lt(Scalars.Of(FewestActive)), Scalars.Of(0)), count);

        Tensor Sum(Tensor values) => values.masked_fill(active.logical_not(), Scalars.Of(0)).sum([0], type: float64);
    }

    private (Tensor Scores, Tensor Active) NameMovers(Random random, CancellationToken cancellationToken)
    {
        const int Probes = 48;
        var model = RequireModel();
        var names = SingleTokens(model.Tokenizer,
            [
                "Mary", "John", "Alice", "Bob", "Tom", "Anna", "Peter", "Sarah", "David", "Emma", "James", "Laura", "Paul", "Lucy", "Mark", "Kate",
                "Jack", "Rose", "Adam", "Jane", "Simon", "Helen", "George", "Susan", "Robert", "Julia", "Henry", "Grace", "Daniel", "Maria",
            ]);
        if (names.Count < 4)
        {
            throw new InvalidOperationException($"The vocabulary of '{model.Name}' has only {names.Count} of the probes' names as one token.");
        }

        var (prompts, answers, places) = (new List<int[]>(), new List<int>(), new List<long>());
        for (var probe = 0; probe < Probes; probe++)
        {
            var (a, b) = (random.Next(names.Count), random.Next(names.Count - 1));
            b += b >= a ? 1 : 0;
            var (first, second) = probe % 2 == 0 ? (a, b) : (b, a);
            var text = $"When {names[first].Word} and {names[second].Word} went to the store, {names[b].Word} gave a drink to";
            prompts.Add(Begin(model.Tokenizer, model.Tokenizer.Encode(text, addSpecialTokens: false)));
            answers.Add(a);
            places.Add(Array.IndexOf(prompts[^1], names[a].Token));
        }

        return Answers(prompts, [.. names.Select(name => name.Token)], answers, places, cancellationToken);
    }

    private (Tensor Scores, Tensor Active) Successors(CancellationToken cancellationToken)
    {
        string[][] lists =
        [
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
            ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
            ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
            ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"],
        ];
        var model = RequireModel();
        var (scores, active, probes) = (zeros(Config.Heads, float64, model.Device), zeros(Config.Heads, int64, model.Device), 0);
        foreach (var list in lists)
        {
            int[] items = [.. SingleTokens(model.Tokenizer, list).Select(item => item.Token)];
            if (items.Length > 3)
            {
                int[] answers = [.. Enumerable.Range(3, items.Length - 3)];
                var (mean, count) = Answers(
                    [.. answers.Select(next => Begin(model.Tokenizer, items[(next - 3)..next]))], items, answers, places: null, cancellationToken);
                scores.add_(mean, Scalars.Of(answers.Length));
                active.add_(count, Scalars.One);
                probes += answers.Length;
            }
        }

        return probes > 0
            ? (scores.div(Scalars.Of(probes)), active)
            : throw new InvalidOperationException($"The vocabulary of '{model.Name}' has none of the probes' lists as single tokens.");
    }

    // The mean over prompts of the logits by which what each head writes at the end prefers the answer (its number among the options) to the
    // mean of all options, [n], and at how many ends it is active, [n]. Of what it gathers, what is from one place counts, where that is given.
    private (Tensor Scores, Tensor Active) Answers(
        IReadOnlyList<int[]> prompts, int[] options, IReadOnlyList<int> answers, IReadOnlyList<long>? places, CancellationToken cancellationToken)
    {
        var model = RequireModel();
        using var run = model.Run(prompts, new Hooks().Keep("ln_final.hook_scale"), LogitsOf.None, cancellationToken: cancellationToken);
        var found = Encode(prompts, cancellationToken);
        var (each, last) = (tensor([.. prompts.Select((_, i) => (long)i)]), tensor([.. prompts.Select(prompt => prompt.Length - 1L)]));
        var activations = found.Activations[each, last];
        var active = activations.ne(Scalars.Of(0));
        var gathered = places is null ? activations : Contributions(found, each, last, tensor([.. places])).mul(active);

        var effects = Written(W_O).matmul(model.Net.Unembedding.Weight.Pick([.. options.Select(token => (long)token)]).to(float32).t());
        var preferences = effects.sub(effects.mean([1], keepdim: true)).index_select(1, tensor([.. answers], int64, model.Device)).t();
        var scale = run["ln_final.hook_scale"][each, last];
        var logits = gathered.to(model.Device).mul(preferences).div(scale);
        return (logits.mean([0], type: float64), active.sum([0]).to(model.Device));
    }

    /// <summary>P(t, s) v(s) of every head in N sequences, by their numbers, at N queries t and sources s, [N, n].</summary>
    private Tensor Contributions(LorsaActivations found, Tensor sequences, Tensor queries, Tensor sources) =>
        found.Patterns.permute(0, 2, 3, 1)[sequences, queries, sources].repeat_interleave(Config.GroupSize, 1).mul(found.Values[sequences, sources]);

    private static List<(string Word, int Token)> SingleTokens(Tokenizer tokenizer, IEnumerable<string> words) =>
        [.. from word in words
            let tokens = tokenizer.Encode($" {word}", addSpecialTokens: false)
            where tokens.Length == 1
            select (word, tokens[0])];
}
