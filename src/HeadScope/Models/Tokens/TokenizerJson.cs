namespace HeadScope;

/// <summary>Reads tokenizer.json, the format of the Hugging Face tokenizers library.</summary>
internal static class TokenizerJson
{
    /// <summary>Reads the file and what those beside it say; what it asks for beyond byte-level BPE is refused with its key.</summary>
    public static TokenizerDefinition Read(string path, TokenizerSettings settings)
    {
        var root = JsonField.Read(path);
        var model = root.Required("model");
        CheckModel(model);
        var added = (root.Optional("added_tokens")?.Items() ?? []).Select(token => AddedToken(token, token.Required("id").TokenId())).ToList();
        var known = added.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        var (steps, prefixSpaceBefore) = Steps(root);
        var (prefix, suffix) = Template(root);

        // Without a decoder the entries are written in byte symbols all the same.
        _ = Parts(root.Optional("decoder"), "decoders", "ByteLevel").Count();
        return settings.AddEndsTo(new()
        {
            Source = path,
            Vocabulary = Vocabulary(model.Required("vocab")),
            Merges = [.. model.Required("merges").Items().Select(Merge)],
            AddedTokens = [.. added, .. settings.AddedTokens.Where(token => known.Add(token.Content))],
            Compose = Parts(root.Optional("normalizer"), "normalizers", "NFC").Any(),
            Steps = steps,
            PrefixSpaceBefore = prefixSpaceBefore,
            IgnoreMerges = model.Flag("ignore_merges"),
            ByteFallback = model.Flag("byte_fallback"),
            UnknownToken = model.Optional("unk_token")?.Text(),
            FuseUnknown = model.Flag("fuse_unk"),
            Prefix = prefix,
            Suffix = suffix,
        });
    }

    public static AddedToken AddedToken(JsonField token, int id)
    {
        var special = token.Flag("special");
        return new(
            id,
            token.Required("content").Text(),
            special,
            Normalized: token.Flag("normalized", missing: !special),
            LeftStrip: token.Flag("lstrip"),
            RightStrip: token.Flag("rstrip"),
            SingleWord: token.Flag("single_word"));
    }

    public static Dictionary<string, int> Vocabulary(JsonField vocabulary)
    {
        var entries = new Dictionary<string, int>(1 << 16, StringComparer.Ordinal);
        foreach (var (entry, field) in vocabulary.Members())
        {
            Fault.InvalidDataIf(!entries.TryAdd(entry, field.TokenId()), $"{field.Name} is in the vocabulary twice.");
        }

        return entries.Count > 0 ? entries : throw new InvalidDataException($"{vocabulary.Name} has no entries.");
    }

    public static (string Left, string Right) Merge(string text, Func<string> where)
    {
        var space = text.IndexOf(' ');
        return space > 0 && space < text.Length - 1 && text.IndexOf(' ', space + 1) < 0
            ? (text[..space], text[(space + 1)..])
            : throw new InvalidDataException($"{where()} should be two entries with a space between, but is '{text}'.");
    }

    private static (string Left, string Right) Merge(JsonField merge) =>
        merge.Value.ValueKind == JsonValueKind.String ? Merge(merge.Text(), () => merge.Name)
        : merge.Value.ValueKind != JsonValueKind.Array ? throw merge.Malformed("an array")
        : merge.Value.GetArrayLength() == 2 ? ((merge with { Value = merge.Value[0] }).Text(), (merge with { Value = merge.Value[1] }).Text())
        : throw merge.Malformed("two entries");

    private static void CheckModel(JsonField model)
    {
        model["type"].RefuseIf((model.Optional("type")?.Text() ?? "BPE") != "BPE", "only BPE (byte-level) is");
        model["dropout"].RefuseIf(
            model.Optional("dropout")?.Value is { } dropout && !(dropout.ValueKind == JsonValueKind.Number && dropout.GetDouble() == 0),
            "encoding must not be random");
        foreach (var name in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            model[name].RefuseIf(model.Optional(name)?.Text() is { Length: > 0 }, "only null or \"\" is");
        }
    }

    /// <summary>A component, or those of a Sequence of them, with their types, each of which must be supported.</summary>
    private static IEnumerable<(string Type, JsonField Field)> Parts(JsonField? component, string list, params string[] supported) =>
        component is not { } present ? []
        : present.Required("type").Text() is var type && type == "Sequence" ? present.Required(list).Items().SelectMany(part => Parts(part, list, supported))
        : supported.Contains(type, StringComparer.Ordinal) ? [(type, present)]
        : throw present.Required("type").Refuse($"only {string.Join(", ", supported)}, Sequence and null are");

    private static (List<SplitStep> Steps, int? PrefixSpaceBefore) Steps(JsonField root)
    {
        var steps = new List<SplitStep>();
        (bool Found, int? PrefixSpaceBefore) byteLevel = default;
        foreach (var (type, step) in Parts(root.Optional("pre_tokenizer"), "pretokenizers", "ByteLevel", "Digits", "Split"))
        {
            step.RefuseIf(byteLevel.Found, "ByteLevel must be the last step");
            if (type == "ByteLevel")
            {
                byteLevel = (true, step.Flag("add_prefix_space", missing: true) ? steps.Count : null);
            }

            if (type != "ByteLevel" || step.Flag("use_regex", missing: true))
            {
                steps.Add(type switch
                {
                    "ByteLevel" => new(KnownPatterns.Gpt2),
                    "Digits" => new(step.Flag("individual_digits") ? KnownPatterns.Digit : KnownPatterns.Digits),
                    _ => Split(step),
                });
            }
        }

        return byteLevel.Found ? (steps, byteLevel.PrefixSpaceBefore) : throw new NotSupportedException(
            $"{root.File}: pre_tokenizer has no ByteLevel step; only byte-level BPE is supported, not SentencePiece or character BPE.");
    }

    private static SplitStep Split(JsonField split)
    {
        var behavior = split.Required("behavior");
        behavior.RefuseIf(
            !Enum.TryParse<SplitBehavior>(behavior.Text(), out var parsed) || !Enum.IsDefined(parsed),
            $"only {string.Join(", ", Enum.GetNames<SplitBehavior>())} are");
        var pattern = split.Required("pattern");
        var literal = pattern.Optional("String");
        var found = literal ?? pattern.Required("Regex");
        return found.Text().Length == 0 ? throw found.Refuse("a pattern must not be empty")
            : new(literal is null ? new(found.Text(), found.Name) : SplitPattern.Literal(found.Text()), parsed, split.Flag("invert"));
    }

    private static (List<int> Prefix, List<int> Suffix) Template(JsonField root)
    {
        List<int> prefix = [];
        List<int> suffix = [];

        // ByteLevel concerns offsets only.
        foreach (var (_, processor) in Parts(root.Optional("post_processor"), "processors", "TemplateProcessing", "ByteLevel")
            .Where(part => part.Type == "TemplateProcessing"))
        {
            var single = processor.Required("single");
            var pieces = single.Items().ToList();
            var text = pieces.FindIndex(piece => piece.Optional("SpecialToken") is null);
            single.RefuseIf(
                text < 0 || pieces.FindLastIndex(piece => piece.Optional("SpecialToken") is null) != text, "the text (sequence A) must be there exactly once");
            pieces[text].RefuseIf(pieces[text].Required("Sequence").Required("id").Text() != "A", "only the sequence A is");
            prefix.InsertRange(0, pieces[..text].SelectMany(Ids));
            suffix.AddRange(pieces[(text + 1)..].SelectMany(Ids));

            IEnumerable<int> Ids(JsonField piece) => processor.Required("special_tokens")
                .Required(piece.Required("SpecialToken").Required("id").Text()).Required("ids").Items().Select(id => id.TokenId());
        }

        return (prefix, suffix);
    }
}
