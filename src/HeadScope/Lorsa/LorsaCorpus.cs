namespace HeadScope;

/// <summary>
/// Texts to learn from, read again from the start whenever they are asked for. They are tokenised one after the other and cut into windows
/// of the context length, each with the token that begins a text in front.
/// </summary>
public sealed class LorsaCorpus
{
    // Text files are cut here at the next line break, so that no file has to fit into memory.
    private const int PieceLength = 1 << 20;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly IEnumerable<string> texts;
    private readonly IReadOnlyList<int[]>? windows;

    private LorsaCorpus(string name, IEnumerable<string> texts, IReadOnlyList<int[]>? windows = null) =>
        (Name, this.texts, this.windows) = (name, texts, windows);

    /// <summary>What messages call it.</summary>
    internal string Name { get; }

    /// <summary>Whether its order is kept: windows given as such are not shuffled.</summary>
    internal bool KeepsOrder => windows is not null;

    /// <summary>The length of windows given as such; null where texts are cut to the length that is asked for.</summary>
    internal int? WindowLength => windows?[0].Length;

    /// <summary>Texts in memory or generated; must be the same each time they are enumerated.</summary>
    /// <param name="texts">The texts.</param>
    /// <returns>The corpus.</returns>
    public static LorsaCorpus FromTexts(IEnumerable<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return new("the texts", texts);
    }

    /// <summary>A file: JSON lines with a field <c>text</c> where its name ends in .jsonl, else plain text in UTF-8.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The corpus; reading it stops at an unreadable line with an <see cref="InvalidDataException"/> that names it.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static LorsaCorpus FromFile(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return File.Exists(path)
            ? new($"'{path}'", path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) ? JsonLines(path) : Pieces(path))
            : throw new FileNotFoundException($"There is no corpus '{path}'.", path);
    }

    /// <summary>Token sequences that are windows already, each beginning with the token that begins a text; their order is kept.</summary>
    /// <param name="windows">The windows, all of one length.</param>
    /// <returns>The corpus.</returns>
    /// <exception cref="ArgumentException">There is none, one is empty, or their lengths differ.</exception>
    public static LorsaCorpus FromWindows(IReadOnlyList<int[]> windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return windows.Count > 0 && windows.All(window => window is { Length: > 0 } && window.Length == windows[0].Length)
            ? new("the windows", [], windows)
            : throw new ArgumentException("Expected at least one window, none empty, and all of the same length.", nameof(windows));
    }

    /// <summary>Implied where a call wants a corpus and texts are at hand.</summary>
    /// <param name="texts">The texts.</param>
    public static implicit operator LorsaCorpus(string[] texts) => FromTexts(texts);

    /// <summary>Windows of so many tokens, the one in front included, once through; a rest shorter than that is left out.</summary>
    internal IEnumerable<int[]> Windows(Model model, int length) => windows ?? Cut(model.Tokenizer, length);

    private IEnumerable<int[]> Cut(Tokenizer tokenizer, int length)
    {
        var payload = length - Lorsa.Begin(tokenizer, []).Length;
        return texts.SelectMany(text => tokenizer.Encode(text, addSpecialTokens: false)).Chunk(payload).Where(tokens => tokens.Length == payload)
            .Select(tokens => Lorsa.Begin(tokenizer, tokens));
    }

    private static IEnumerable<string> JsonLines(string path) => Pieces(path)
        .SelectMany(piece => (piece.EndsWith('\n') ? piece[..^1] : piece).Split('\n')).Index().Where(line => !string.IsNullOrWhiteSpace(line.Item))
        .Select(line =>
        {
            try
            {
                using var document = JsonDocument.Parse(line.Item);
                return document.RootElement.GetProperty("text").GetString() ?? throw new InvalidOperationException("It is null.");
            }
            catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                throw new InvalidDataException($"'{path}', line {line.Index + 1}: expected a JSON object with a string 'text'. {error.Message}", error);
            }
        });

    // Line breaks stay as they are in the file: they are tokens.
    private static IEnumerable<string> Pieces(string path)
    {
        using var reader = new StreamReader(path, Strict, detectEncodingFromByteOrderMarks: true);
        var buffer = new char[PieceLength];
        var rest = "";
        while (Read() is > 0 and var read)
        {
            var text = rest + new string(buffer, 0, read);
            var cut = read < buffer.Length ? text.Length : text.LastIndexOf('\n') + 1;
            if (cut > 0)
            {
                yield return text[..cut];
            }

            rest = text[cut..];
        }

        if (rest.Length > 0)
        {
            yield return rest;
        }

        int Read()
        {
            try
            {
                return reader.ReadBlock(buffer);
            }
            catch (DecoderFallbackException error)
            {
                throw new InvalidDataException($"'{path}', near byte {reader.BaseStream.Position}: not UTF-8. {error.Message}", error);
            }
        }
    }
}
