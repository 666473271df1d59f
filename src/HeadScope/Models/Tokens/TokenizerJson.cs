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
        var vocabulary = VocabularyFile.Entries(model.Required("vocab"));
        var added = (root.Optional("added_tokens")?.Items() ?? []).Select(token => AddedToken(token, token.Required("id").TokenId())).ToList();
        var known = added.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        added.AddRange(settings.AddedTokens.Where(token => known.Add(token.Content)));

        var steps = new List<SplitStep>();
        int? prefixSpaceBefore = null;
        var byteLevel = root.Optional("pre_tokenizer") is { } preTokenizer && AddSteps(preTokenizer, steps, ref prefixSpaceBefore);
        if (!byteLevel)
        {
            throw new NotSupportedException(
                $"{path}: pre_tokenizer has no ByteLevel step; only byte-level BPE is supported, not SentencePiece or character BPE.");
        }

        // Without a decoder the entries are written in byte symbols all the same.
        if (root.Optional("decoder") is { } decoder)
        {
            CheckDecoder(decoder);
        }

        List<int> prefix = [];
        List<int> suffix = [];
        if (root.Optional("post_processor") is { } postProcessor)
        {
            ReadTemplate(postProcessor, prefix, suffix);
        }

        return settings.AddEndsTo(new()
        {
            Source = path,
            Vocabulary = vocabulary,
            Merges = [.. model.Required("merges").Items().Select(Merge)],
            AddedTokens = added,
            Compose = root.Optional("normalizer") is { } normalizer && ReadNormalizer(normalizer),
            Steps = steps,
            PrefixSpaceBefore = prefixSpaceBefore,
            IgnoreMerges = model.Optional("ignore_merges")?.Flag() ?? false,
            ByteFallback = model.Optional("byte_fallback")?.Flag() ?? false,
            UnknownToken = model.Optional("unk_token")?.Text(),
            FuseUnknown = model.Optional("fuse_unk")?.Flag() ?? false,
            Prefix = prefix,
            Suffix = suffix,
        });
    }

    /// <summary>Reads one added token.</summary>
    public static AddedToken AddedToken(JsonField token, int id)
    {
        var special = token.Optional("special")?.Flag() ?? false;
        return new(
            id,
            token.Required("content").Text(),
            special,
            Normalized: token.Optional("normalized")?.Flag() ?? !special,
            LeftStrip: token.Optional("lstrip")?.Flag() ?? false,
            RightStrip: token.Optional("rstrip")?.Flag() ?? false,
            SingleWord: token.Optional("single_word")?.Flag() ?? false);
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
        : merge.Items().ToArray() is [var left, var right] ? (left.Text(), right.Text())
        : throw new InvalidDataException($"{merge.Name} should have two parts, but has {merge.Items().Count()}.");

    private static bool ReadNormalizer(JsonField normalizer)
    {
        var type = normalizer.Required("type");
        return type.Text() switch
        {
            "NFC" => true,
            "Sequence" => normalizer.Required("normalizers").Items().Select(ReadNormalizer).ToArray().Contains(true),
            _ => throw type.Refuse("NFC, Sequence, null"),
        };
    }

    /// <summary>Adds the steps of a pre-tokenizer; says whether the last is ByteLevel, which must come last.</summary>
    private static bool AddSteps(JsonField preTokenizer, List<SplitStep> steps, ref int? prefixSpaceBefore)
    {
        var type = preTokenizer.Required("type");
        switch (type.Text())
        {
            case "Sequence":
                var ended = false;
                foreach (var part in preTokenizer.Required("pretokenizers").Items())
                {
                    if (ended)
                    {
                        throw part.Refuse("ByteLevel as the last step");
                    }

                    ended = AddSteps(part, steps, ref prefixSpaceBefore);
                }

                return ended;
            case "ByteLevel":
                prefixSpaceBefore = (preTokenizer.Optional("add_prefix_space")?.Flag() ?? true) ? steps.Count : null;
                if (preTokenizer.Optional("use_regex")?.Flag() ?? true)
                {
                    steps.Add(new(KnownPatterns.Gpt2));
                }

                return true;
            case "Digits":
                var single = preTokenizer.Optional("individual_digits")?.Flag() ?? false;
                steps.Add(new(single ? KnownPatterns.Digit : KnownPatterns.Digits));
                return false;
            case "Split":
                steps.Add(Split(preTokenizer));
                return false;
            default:
                throw type.Refuse("ByteLevel, Digits, Split, Sequence");
        }
    }

    private static SplitStep Split(JsonField split)
    {
        var behavior = split.Required("behavior");
        if (!Enum.TryParse<SplitBehavior>(behavior.Text(), out var parsed) || !Enum.IsDefined(parsed))
        {
            throw behavior.Refuse(string.Join(", ", Enum.GetNames<SplitBehavior>()));
        }

        var invert = split.Optional("invert")?.Flag() ?? false;
        var pattern = split.Required("pattern");
        if (pattern.Optional("String") is { } literal)
        {
            return literal.Text().Length > 0
                ? new(SplitPattern.Literal(literal.Text()), parsed, invert)
                : throw literal.Refuse("a text that is not empty");
        }

        var regex = pattern.Required("Regex");
        return new(new SplitPattern(regex.Text(), regex.Name), parsed, invert);
    }

    private static void CheckDecoder(JsonField decoder)
    {
        var type = decoder.Required("type");
        if (type.Text() == "Sequence")
        {
            foreach (var part in decoder.Required("decoders").Items())
            {
                CheckDecoder(part);
            }
        }
        else if (type.Text() != "ByteLevel")
        {
            throw type.Refuse("ByteLevel");
        }
    }

    private static void ReadTemplate(JsonField processor, List<int> prefix, List<int> suffix)
    {
        var type = processor.Required("type");
        switch (type.Text())
        {
            case "ByteLevel":
                // Concerns offsets only.
                break;
            case "Sequence":
                foreach (var part in processor.Required("processors").Items())
                {
                    ReadTemplate(part, prefix, suffix);
                }

                break;
            case "TemplateProcessing":
                List<int> before = [];
                List<int> after = [];
                var texts = 0;
                foreach (var piece in processor.Required("single").Items())
                {
                    if (piece.Optional("SpecialToken") is not { } special)
                    {
                        texts += piece.Required("Sequence").Required("id").Text() == "A" ? 1 : throw piece.Refuse("the sequence A");
                        continue;
                    }

                    var ids = processor.Required("special_tokens").Required(special.Required("id").Text()).Required("ids");
                    (texts == 0 ? before : after).AddRange(ids.Items().Select(id => id.TokenId()));
                }

                if (texts != 1)
                {
                    throw processor.Required("single").Refuse("the text (sequence A) exactly once");
                }

                prefix.InsertRange(0, before);
                suffix.AddRange(after);
                break;
            default:
                throw type.Refuse("TemplateProcessing, ByteLevel, Sequence, null");
        }
    }
}
