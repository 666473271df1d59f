using System.Text.Json;

namespace HeadScope;

/// <summary>Reads tokenizer.json, the format of the Hugging Face tokenizers library.</summary>
internal static class TokenizerJson
{
    /// <summary>Reads the file; what it asks for beyond byte-level BPE is refused with its key.</summary>
    /// <param name="path">A tokenizer.json file.</param>
    /// <param name="settings">What the files beside it say.</param>
    public static TokenizerDefinition Read(string path, TokenizerSettings settings)
    {
        var root = JsonField.Read(path);
        var model = root.Required("model");
        CheckModel(model);
        var added = (root.Optional("added_tokens")?.Items() ?? []).Select(token => AddedToken(token, token.Required("id").TokenId())).ToList();
        var known = added.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        var (steps, prefixSpaceBefore) = Steps(root);
        var compose = false;
        foreach (var (type, normalizer) in Parts(root.Optional("normalizer"), "normalizers"))
        {
            compose = type == "NFC" ? true : throw normalizer.Required("type").Refuse("NFC, Sequence, null");
        }

        // Without a decoder the entries are written in byte symbols all the same.
        foreach (var (type, decoder) in Parts(root.Optional("decoder"), "decoders"))
        {
            _ = type == "ByteLevel" ? type : throw decoder.Required("type").Refuse("ByteLevel, Sequence, null");
        }

        var (prefix, suffix) = Template(root);
        return settings.AddEndsTo(new()
        {
            Source = path,
            Vocabulary = VocabularyFile.Entries(model.Required("vocab")),
            Merges = [.. model.Required("merges").Items().Select(Merge)],
            AddedTokens = [.. added, .. settings.AddedTokens.Where(token => known.Add(token.Content))],
            Compose = compose,
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

    /// <summary>Reads one added token.</summary>
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

    private static void CheckModel(JsonField model)
    {
        if (model.Optional("type") is { } type && type.Text() != "BPE")
        {
            throw type.Refuse("BPE (byte-level)");
        }

        if (model.Optional("dropout") is { } dropout && !(dropout.Value.ValueKind == JsonValueKind.Number && dropout.Value.GetDouble() == 0))
        {
            throw dropout.Refuse("null: encoding must not be random");
        }

        foreach (var name in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (model.Optional(name) is { } affix && affix.Text().Length > 0)
            {
                throw affix.Refuse("null or \"\"");
            }
        }
    }

    private static (string Left, string Right) Merge(JsonField merge) =>
        merge.Value.ValueKind == JsonValueKind.String ? VocabularyFile.Merge(merge.Text(), () => merge.Name)
        : merge.Count == 2 ? (merge.Item(0).Text(), merge.Item(1).Text())
        : throw new InvalidDataException($"{merge.Name} should have two parts, but has {merge.Count}.");

    /// <summary>A component, or those of a Sequence of them, with their types.</summary>
    private static IEnumerable<(string Type, JsonField Field)> Parts(JsonField? component, string list) =>
        component is not { } present ? []
        : present.Required("type").Text() is not "Sequence" and var type ? [(type, present)]
        : present.Required(list).Items().SelectMany(part => Parts(part, list));

    private static (List<SplitStep> Steps, int? PrefixSpaceBefore) Steps(JsonField root)
    {
        var steps = new List<SplitStep>();
        (bool Found, int? PrefixSpaceBefore) byteLevel = default;
        foreach (var (type, step) in Parts(root.Optional("pre_tokenizer"), "pretokenizers"))
        {
            switch (type)
            {
                case var _ when byteLevel.Found:
                    throw step.Refuse("ByteLevel as the last step");
                case "ByteLevel":
                    byteLevel = (true, step.Flag("add_prefix_space", missing: true) ? steps.Count : null);
                    if (step.Flag("use_regex", missing: true))
                    {
                        steps.Add(new(KnownPatterns.Gpt2));
                    }

                    break;
                case "Digits":
                    steps.Add(new(step.Flag("individual_digits") ? KnownPatterns.Digit : KnownPatterns.Digits));
                    break;
                case "Split":
                    steps.Add(Split(step));
                    break;
                default:
                    throw step.Required("type").Refuse("ByteLevel, Digits, Split, Sequence");
            }
        }

        return byteLevel.Found ? (steps, byteLevel.PrefixSpaceBefore) : throw new NotSupportedException(
            $"{root.File}: pre_tokenizer has no ByteLevel step; only byte-level BPE is supported, not SentencePiece or character BPE.");
    }

    private static SplitStep Split(JsonField split)
    {
        var behavior = split.Required("behavior");
        if (!Enum.TryParse<SplitBehavior>(behavior.Text(), out var parsed) || !Enum.IsDefined(parsed))
        {
            throw behavior.Refuse(string.Join(", ", Enum.GetNames<SplitBehavior>()));
        }

        var pattern = split.Required("pattern");
        var literal = pattern.Optional("String");
        var found = literal ?? pattern.Required("Regex");
        return found.Text().Length == 0 ? throw found.Refuse("a text that is not empty")
            : new(literal is null ? new(found.Text(), found.Name) : SplitPattern.Literal(found.Text()), parsed, split.Flag("invert"));
    }

    private static (List<int> Prefix, List<int> Suffix) Template(JsonField root)
    {
        List<int> prefix = [];
        List<int> suffix = [];
        foreach (var (type, processor) in Parts(root.Optional("post_processor"), "processors"))
        {
            // ByteLevel concerns offsets only.
            if (type == "ByteLevel")
            {
                continue;
            }

            if (type != "TemplateProcessing")
            {
                throw processor.Required("type").Refuse("TemplateProcessing, ByteLevel, Sequence, null");
            }

            List<int> before = [];
            var texts = 0;
            foreach (var piece in processor.Required("single").Items())
            {
                if (piece.Optional("SpecialToken") is { } special)
                {
                    var ids = processor.Required("special_tokens").Required(special.Required("id").Text()).Required("ids");
                    (texts == 0 ? before : suffix).AddRange(ids.Items().Select(id => id.TokenId()));
                }
                else
                {
                    texts += piece.Required("Sequence").Required("id").Text() == "A" ? 1 : throw piece.Refuse("the sequence A");
                }
            }

            prefix.InsertRange(0, texts == 1 ? before : throw processor.Required("single").Refuse("the text (sequence A) exactly once"));
        }

        return (prefix, suffix);
    }
}
