using System.Collections.Concurrent;
using System.Collections.Frozen;

namespace HeadScope;

/// <summary>A byte-level BPE tokenizer, as GPT-2, Pythia, Phi-2, Llama 3, Qwen 2 and SmolLM have it: text to token ids and back, equal to the
/// Hugging Face tokenizers library id for id. An instance can be used by any number of threads.</summary>
/// <remarks>Encoding finds the added tokens, brings the text between them into normal form where the file asks for it, cuts it into words, writes
/// each word in bytes and merges these by rank. Lone surrogates, which no encoder can express, count as U+FFFD.</remarks>
public sealed class Tokenizer
{
    // Words beyond these are not kept: memory must not grow with the text.
    private const int MostWords = 1 << 16;
    private const int LongestWord = 64;

    private readonly TokenizerDefinition _definition;
    private readonly BytePairEncoder _encoder;
    private readonly ConcurrentDictionary<string, int[]> _words = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> _known;
    private readonly AddedTokenFinder _addedAsWritten;
    private readonly AddedTokenFinder _addedNormalized;
    private readonly Dictionary<string, int> _addedIds = new(StringComparer.Ordinal);
    private readonly string?[] _entries;
    private int _wordCount;

    internal Tokenizer(TokenizerDefinition definition)
    {
        _definition = definition;
        _known = _words.GetAlternateLookup<ReadOnlySpan<char>>();
        _encoder = new BytePairEncoder(definition);
        var added = definition.AddedTokens.Where(token => token.Content.Length > 0).ToArray();
        foreach (var token in added)
        {
            var other = _addedIds.TryAdd(token.Content, token.Id)
                ? definition.Vocabulary.GetValueOrDefault(token.Content, token.Id)
                : _addedIds[token.Content];
            Fault.InvalidDataIf(other != token.Id, $"{definition.Source}: '{token.Content}' has two token ids, {other} and {token.Id}.");
        }

        _entries = Entries();
        SpecialTokens = added.Where(token => token.Special).Select(token => token.Id).ToFrozenSet();
        _addedAsWritten = new([.. added.Where(token => !token.Normalized)]);
        _addedNormalized = new([.. added.Where(token => token.Normalized).Select(token => token with { Content = Normalize(token.Content) })]);
    }

    /// <summary>One more than the largest token id.</summary>
    public int VocabularySize => _entries.Length;

    /// <summary>The token a text begins with, if the tokenizer has one. <see cref="Encode"/> adds it where the template says so.</summary>
    public int? BeginningOfText => _definition.BeginningOfText;

    /// <summary>The token a text ends with, if the tokenizer has one.</summary>
    public int? EndOfText => _definition.EndOfText;

    /// <summary>The tokens that <see cref="Decode"/> can leave out, such as <c>&lt;|endoftext|&gt;</c>.</summary>
    public IReadOnlySet<int> SpecialTokens { get; }

    /// <summary>Loads the tokenizer of a model without the model: a folder needs to hold nothing else, and from the hub nothing else is fetched.</summary>
    /// <param name="nameOrPath">What <see cref="Model.Load"/> takes, or the path of a tokenizer.json.</param>
    /// <param name="progress">Gets the bytes of a download.</param>
    /// <param name="cancellationToken">Stops a download; what has arrived is kept.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="FileNotFoundException">There is no such file, folder or model, or no tokenizer with it.</exception>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    /// <exception cref="NotSupportedException">The tokenizer is not byte-level BPE.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Tokenizer Load(string nameOrPath, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(nameOrPath);
        if (File.Exists(nameOrPath) && nameOrPath.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
        {
            return FromJson(nameOrPath);
        }

        var files = ModelFiles.Resolve(nameOrPath, hub: null, progress, tokenizerOnly: true, cancellationToken);
        if (!files.IsGguf)
        {
            return FromFolder(files.Location);
        }

        using var gguf = GgufFile.Open(files.Location);
        return FromGguf(gguf.Metadata, files.Location);
    }

    /// <summary>Reads a tokenizer.json file, with the settings beside it.</summary>
    internal static Tokenizer FromJson(string path) =>
        new(TokenizerJson.Read(path, TokenizerSettings.OfFolder(Path.GetDirectoryName(Path.GetFullPath(path))!)));

    /// <summary>Whether a folder has files that <see cref="FromFolder"/> reads.</summary>
    internal static bool IsIn(string folder) => IsAmong(name => File.Exists(Path.Combine(folder, name)));

    /// <summary>Whether files of these names suffice.</summary>
    internal static bool IsAmong(Func<string, bool> has) => has("tokenizer.json") || (has("vocab.json") && has("merges.txt"));

    /// <summary>Reads tokenizer.json of a folder, else vocab.json and merges.txt, with the settings beside them.</summary>
    internal static Tokenizer FromFolder(string folder)
    {
        var json = Path.Combine(folder, "tokenizer.json");
        return File.Exists(json) ? FromJson(json)
            : IsIn(folder) ? new(TokenizerSettings.OfFolder(folder).ReadPair(Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt")))
            : File.Exists(Path.Combine(folder, "tokenizer.model"))
                ? throw new NotSupportedException(
                    $"{folder} has a SentencePiece tokenizer (tokenizer.model) only, which is not supported; pass token ids.")
                : throw new FileNotFoundException($"{folder} has neither tokenizer.json nor vocab.json with merges.txt.", json);
    }

    /// <summary>Reads the tokenizer in the metadata of a GGUF file (tokenizer.ggml.*).</summary>
    internal static Tokenizer FromGguf(IReadOnlyDictionary<string, object> metadata, string source) => new(GgufTokenizer.Read(metadata, source));

    /// <summary>The token ids of a text. Special tokens written in the text are recognised.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="addSpecialTokens">Whether to add what the tokenizer's template puts around a text (for Llama 3, its first token).</param>
    /// <exception cref="InvalidDataException">A pattern of the tokenizer's file takes too long on this text, or cannot match it.</exception>
    public int[] Encode(string text, bool addSpecialTokens = true)
    {
        var ids = Ids(text, specialIsText: false);
        return addSpecialTokens ? [.. _definition.Prefix, .. ids, .. _definition.Suffix] : [.. ids];
    }

    /// <summary>The token ids of a text in which special tokens have no meaning: <c>&lt;|endoftext|&gt;</c> written in it is encoded letter by
    /// letter like any other text. Nothing is added.</summary>
    /// <param name="text">Any text, for instance one that a stranger wrote.</param>
    /// <exception cref="InvalidDataException">A pattern of the tokenizer's file takes too long on this text, or cannot match it.</exception>
    public int[] EncodeOrdinary(string text) => [.. Ids(text, specialIsText: true)];

    /// <summary>The text of token ids. Bytes that are not whole characters become U+FFFD, one for each maximal subpart, as the WHATWG Encoding
    /// Standard has it.</summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="skipSpecialTokens">Whether to leave out <see cref="SpecialTokens"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        var bytes = new MemoryStream(4 * ids.Length);
        for (var i = 0; i < ids.Length; i++)
        {
            var entry = EntryOf(ids[i]) ?? throw new ArgumentOutOfRangeException(
                nameof(ids), $"Token {ids[i]} at position {i} is not in the vocabulary of {_definition.Source} (0 to {VocabularySize - 1}).");
            if (!(skipSpecialTokens && SpecialTokens.Contains(ids[i])))
            {
                bytes.Write(ByteSymbols.BytesOf(entry));
            }
        }

        return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
    }

    /// <summary>One token as text, for labels: with U+FFFD where its bytes are no whole character. A model's embedding may have more rows than
    /// the tokenizer has tokens; those are named by their number, in brackets.</summary>
    /// <param name="id">A token id, 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative.</exception>
    public string TokenText(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        return EntryOf(id) is null
            ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"[unused {id}]")
            : Decode([id]);
    }

    /// <summary>The id of a vocabulary entry, written as the vocabulary has it (a leading space is Ġ); null when there is none.</summary>
    /// <param name="piece">The entry.</param>
    public int? TokenId(string piece) =>
        _addedIds.TryGetValue(piece, out var id) || _definition.Vocabulary.TryGetValue(piece, out id) ? id : null;

    private string? EntryOf(int id) => (uint)id < (uint)_entries.Length ? _entries[id] : null;

    private string Normalize(string text) => _definition.Compose ? CanonicalComposition.Normalize(text) : text;

    /// <summary>The entry of each id; null where there is none.</summary>
    private string?[] Entries()
    {
        var (source, vocabulary) = (_definition.Source, _definition.Vocabulary);
        var largest = Math.Max(vocabulary.Values.Max(), _addedIds.Values.DefaultIfEmpty().Max());

        // Vocabularies have few gaps, if any: a damaged number must not take all memory.
        Fault.InvalidDataIf(largest > (2 * vocabulary.Count) + 100_000,
            $"{source}: the token id {largest} is larger than any in a vocabulary of {vocabulary.Count} entries.");
        var entries = new string?[largest + 1];
        foreach (var (entry, id) in vocabulary.Concat(_addedIds))
        {
            entries[id] = entries[id] is { } other && other != entry
                ? throw new InvalidDataException($"{source}: '{other}' and '{entry}' have the same token id {id}.")
                : entry;
        }

        return _definition.Prefix.Concat(_definition.Suffix).FirstOrDefault(id => id > largest || entries[id] is null, -1) is >= 0 and var lacking
            ? throw new InvalidDataException($"{source}: the template uses token {lacking}, which has no entry.")
            : entries;
    }

    private List<int> Ids(string text, bool specialIsText)
    {
        ArgumentNullException.ThrowIfNull(text);
        var (ids, deadline) = (new List<int>(), SplitPattern.DeadlineFor(text));

        // UTF-8 has no lone surrogates: on the way through it each becomes U+FFFD.
        Take(
            text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0 ? text : Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)),
            _addedAsWritten,
            part => Take(Normalize(part), _addedNormalized, words => Cut(words, 0)));
        return ids;

        void Take(string text, AddedTokenFinder added, Action<string> between)
        {
            foreach (var part in added.Split(text, specialIsText))
            {
                if (part.Token is { } token)
                {
                    ids.Add(token.Id);
                }
                else
                {
                    between(text[part.Start..part.End]);
                }
            }
        }

        void Cut(ReadOnlySpan<char> text, int step)
        {
            if (step == _definition.PrefixSpaceBefore && text[0] != ' ')
            {
                text = string.Concat(" ", text);
            }

            if (step == _definition.Steps.Count)
            {
                ids.AddRange(TokensOf(text));
                return;
            }

            foreach (var (start, end) in _definition.Steps[step].Split(text, deadline))
            {
                Cut(text[start..end], step + 1);
            }
        }
    }

    private int[] TokensOf(ReadOnlySpan<char> word)
    {
        if (!_known.TryGetValue(word, out var tokens))
        {
            tokens = _encoder.Encode(word);
            if (word.Length <= LongestWord)
            {
                if (Interlocked.Increment(ref _wordCount) % MostWords == 0)
                {
                    _words.Clear();
                }

                _known.TryAdd(word, tokens);
            }
        }

        return tokens;
    }
}
