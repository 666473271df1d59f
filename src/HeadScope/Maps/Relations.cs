using System.Reflection;

namespace HeadScope;

/// <summary>
/// The twenty relations that ship with HeadScope, of the four categories of the MAPS paper (arXiv 2412.11965, table 1), and relations
/// read from files. The shipped ones live in <c>data/relations</c>; each file says where its facts come from.
/// </summary>
public static class Relations
{
    private static readonly string[] Names =
    [
        "country_to_capital", "country_to_language", "object_to_superclass", "product_to_company", "work_to_location",
        "word_to_antonym", "adjective_to_comparative", "adjective_to_superlative", "entity_to_pronoun", "verb_to_past_tense",
        "word_to_compound", "word_to_homophone", "word_to_synonym",
        "word_to_first_letter", "word_to_last_letter", "word_copying", "name_copying", "year_to_following",
        "english_to_french", "english_to_spanish",
    ];

    private static readonly Lazy<(string Relation, string Use, string Template)[]> Templates = new(() =>
        [.. CsvFile.Read("templates.csv", ReadResource("templates.csv"), "relation", "use", "template").Select(row => (row[0], row[1], row[2]))]);

    private static readonly Lazy<IReadOnlyList<Relation>> Shipped = new(() => [.. Names.Select(name => Read(name, $"{name}.csv", ReadResource($"{name}.csv")))]);

    /// <summary>All twenty, by category: knowledge, language, algorithmic, translation.</summary>
    public static IReadOnlyList<Relation> All => Shipped.Value;

    /// <summary>The four prompts of dynamic scores, with <c>&lt;X&gt;</c> in the place of the source, which they mention without any relation
    /// (section 4.2); own-written, as the prompts of <see cref="Relation.Prompt"/>.</summary>
    public static IReadOnlyList<string> DynamicPrompts =>
        [.. Templates.Value.Where(t => string.Equals(t.Use, "dynamic", StringComparison.Ordinal)).Select(t => t.Template)];

    /// <summary>Country → capital: France → Paris.</summary>
    public static Relation CountryToCapital => Named("country_to_capital");
    /// <summary>Country → national language: France → French.</summary>
    public static Relation CountryToLanguage => Named("country_to_language");
    /// <summary>Object → class: salmon → fish.</summary>
    public static Relation ObjectToSuperclass => Named("object_to_superclass");
    /// <summary>Product → company: iPhone → Apple.</summary>
    public static Relation ProductToCompany => Named("product_to_company");
    /// <summary>Occupation → place of work: teacher → school.</summary>
    public static Relation WorkToLocation => Named("work_to_location");
    /// <summary>Word → opposite: big → small.</summary>
    public static Relation WordToAntonym => Named("word_to_antonym");
    /// <summary>Adjective → comparative: big → bigger.</summary>
    public static Relation AdjectiveToComparative => Named("adjective_to_comparative");
    /// <summary>Adjective → superlative: big → biggest.</summary>
    public static Relation AdjectiveToSuperlative => Named("adjective_to_superlative");
    /// <summary>Name or noun → pronoun: mother → she.</summary>
    public static Relation EntityToPronoun => Named("entity_to_pronoun");
    /// <summary>Verb → past tense: go → went.</summary>
    public static Relation VerbToPastTense => Named("verb_to_past_tense");
    /// <summary>Word → compound that begins with it: sun → sunflower.</summary>
    public static Relation WordToCompound => Named("word_to_compound");
    /// <summary>Word → word of the same sound: hear → here.</summary>
    public static Relation WordToHomophone => Named("word_to_homophone");
    /// <summary>Word → word of like meaning: big → large.</summary>
    public static Relation WordToSynonym => Named("word_to_synonym");
    /// <summary>Word → first letter: apple → a.</summary>
    public static Relation WordToFirstLetter => Named("word_to_first_letter");
    /// <summary>Word → last letter: apple → e.</summary>
    public static Relation WordToLastLetter => Named("word_to_last_letter");
    /// <summary>Word → the same word.</summary>
    public static Relation WordCopying => Named("word_copying");
    /// <summary>Given name → the same name.</summary>
    public static Relation NameCopying => Named("name_copying");
    /// <summary>Year → next year: 1999 → 2000. Tokenizers that split digits keep no pair of it.</summary>
    public static Relation YearToFollowing => Named("year_to_following");
    /// <summary>English → French: cat → chat.</summary>
    public static Relation EnglishToFrench => Named("english_to_french");
    /// <summary>English → Spanish: cat → gato.</summary>
    public static Relation EnglishToSpanish => Named("english_to_spanish");

    /// <summary>A shipped relation by its name.</summary>
    /// <param name="name">Its name, such as <c>country_to_capital</c>.</param>
    /// <returns>The relation.</returns>
    /// <exception cref="ArgumentException">None has that name; the message lists those there are.</exception>
    public static Relation Named(string name) =>
        All.FirstOrDefault(r => string.Equals(r.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException(
            $"No relation '{name}' ships with HeadScope. There are: {string.Join(", ", Names)}. Others are read from a CSV file.", nameof(name));

    /// <summary>
    /// Reads a relation from a CSV file with the columns <c>source</c> and <c>target</c>. Lines that begin with <c>#</c> are comments;
    /// <c># category: ...</c> and <c># facts: ...</c> say what they say in the shipped files. A relation that is named as a shipped one has
    /// its prompt.
    /// </summary>
    /// <param name="path">The file; its name without ending becomes the name of the relation.</param>
    /// <returns>The relation, pairs in the order of the file.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">A column or a value is missing, a line is no CSV, or the file holds no pair; the message
    /// names the file and the line.</exception>
    public static Relation FromCsv(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return File.Exists(path)
            ? Read(Path.GetFileNameWithoutExtension(path), path, File.ReadAllText(path))
            : throw new FileNotFoundException($"There is no relation file '{path}'.", path);
    }

    // A file of data/relations as it is embedded.
    private static string ReadResource(string file)
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream($"HeadScope.Relations.{file}")!, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    private static Relation Read(string name, string file, string text)
    {
        (string, string)[] pairs = [.. CsvFile.Read(file, text, "source", "target").Select(row => (row[0], row[1]))];
        Fault.InvalidDataIf(pairs.Length == 0, $"{file} holds no pair below its header: expected one 'source,target' pair a line.");
        string Note(string key) => text.Split('\n').TakeWhile(line => line.StartsWith('#'))
            .FirstOrDefault(line => line.StartsWith($"# {key}:", StringComparison.OrdinalIgnoreCase))?[(key.Length + 3)..].Trim() ?? "";
        var prompt = Templates.Value.FirstOrDefault(
            t => string.Equals(t.Use, "ablation", StringComparison.Ordinal) && string.Equals(t.Relation, name, StringComparison.OrdinalIgnoreCase));
        return new Relation(name, Note("category"), pairs, Note("facts")) { Prompt = prompt.Template };
    }
}
