using System.CommandLine;
using System.Globalization;

namespace HeadScope.Cli;

/// <summary>What a model is run on: <c>--text</c> or <c>--ids</c>, one of the two.</summary>
internal sealed class InputOptions
{
    /// <summary>The text.</summary>
    public Option<string?> Text { get; } = new("--text")
    {
        Description = "The text to run; special tokens are added as the model's tokenizer does.",
        HelpName = "text",
    };

    /// <summary>The token ids.</summary>
    public Option<string?> Ids { get; } = new("--ids") { Description = "The token ids to run instead, with commas between them: 5,7,9.", HelpName = "ids" };

    /// <summary>The tokens that were asked for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="model">The model.</param>
    /// <returns>The ids.</returns>
    /// <exception cref="UsageException">Neither or both options are given, or an id is no number of the vocabulary.</exception>
    public int[] Tokens(ParseResult parsed, Model model)
    {
        var (text, ids) = (parsed.GetValue(Text), parsed.GetValue(Ids));
        if ((text is null) == (ids is null))
        {
            throw new UsageException("Give either --text or --ids.");
        }

        var tokens = text is not null ? model.Tokenizer.Encode(text) : Parse(ids!, model.Config.VocabularySize);
        return tokens.Length > 0 ? tokens : throw new UsageException("The text has no tokens; there is nothing to run.");
    }

    private static int[] Parse(string ids, int vocabulary) =>
    [
        .. ids.Split(',', StringSplitOptions.TrimEntries).Select(id =>
            int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var token) && token < vocabulary
                ? token
                : throw new UsageException($"'{id}' in --ids is not a token of this model: expected whole numbers from 0 to {vocabulary - 1}, with commas between them.")),
    ];
}
