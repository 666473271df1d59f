namespace HeadScope.Tests;

public class RelationsTests
{
    public static TheoryData<string> Names => [.. Relations.All.Select(r => r.Name)];

    [Fact]
    public void Twenty_relations_of_four_categories_ship()
    {
        Assert.Equal(20, Relations.All.Count);
        Assert.Equal(20, Relations.All.Select(r => r.Name).Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(["knowledge", "language", "algorithmic", "translation"], Relations.All.Select(r => r.Category).Distinct(StringComparer.Ordinal));
        Assert.Equal(["word_copying", "name_copying"], Relations.All.Where(r => r.IsCopying).Select(r => r.Name));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_shipped_relation_is_clean(string name)
    {
        var relation = Relations.Named(name);
        Assert.True(relation.Pairs.Count >= 50, $"{relation.Pairs.Count} pairs");
        Assert.NotEmpty(relation.Source);
        Assert.Equal(relation.Pairs.Count, relation.Pairs.Select(p => p.Source).Distinct(StringComparer.Ordinal).Count());
        foreach (var pair in relation.Pairs)
        {
            Assert.Equal(pair.Source.Trim(), pair.Source);
            Assert.Equal(pair.Target.Trim(), pair.Target);
            Assert.True(pair.Source.IsNormalized() && pair.Target.IsNormalized(), $"{pair} is not in Unicode form C");
        }
    }

    [Theory]
    [InlineData("word_to_first_letter", 0)]
    [InlineData("word_to_last_letter", -1)]
    public void Letters_are_those_of_the_words(string name, int index) =>
        Assert.All(Relations.Named(name).Pairs, p => Assert.Equal(p.Source[index < 0 ? ^1 : 0].ToString(), p.Target));

    [Fact]
    public void Each_name_has_its_property()
    {
        var properties = typeof(Relations).GetProperties()
            .Where(p => p.PropertyType == typeof(Relation))
            .Select(p => ((Relation)p.GetValue(null)!).Name);
        Assert.Equal(Relations.All.Select(r => r.Name).Order(StringComparer.Ordinal), properties.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void FromCsv_reads_comments_quotes_and_any_column_order()
    {
        var path = Written("# category: made up\n# facts: none\ntarget,note,source\n\"a, b\",x,c\n\nPaïs,y,d\n");
        var relation = Relations.FromCsv(path);
        Assert.Equal("made up", relation.Category);
        Assert.Equal("none", relation.Source);
        Assert.Equal([("c", "a, b"), ("d", "Païs")], relation.Pairs);
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("source,target\n", "holds no pair")]
    [InlineData("country,capital\nFrance,Paris\n", "no column 'source'; the header reads 'country,capital'")]
    [InlineData("source,target\nFrance,Paris\nItaly\n", "line 3: the target is missing in 'Italy'")]
    [InlineData("source,target\n,Paris\n", "line 2: the source is missing")]
    [InlineData("source,target\nFrance,Paris,Lyon\n", "line 2: 'France,Paris,Lyon' has 3 values for 2 columns")]
    [InlineData("source,target\nFra\"nce,Paris\n", "line 2: a quote")]
    public void FromCsv_says_what_is_wrong_and_where(string text, string message)
    {
        var path = Written(text);
        var error = Assert.Throws<InvalidDataException>(() => Relations.FromCsv(path));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void FromCsv_names_a_missing_file() =>
        Assert.Throws<FileNotFoundException>(() => Relations.FromCsv("no-such-relation.csv"));

    [Fact]
    public void An_unknown_name_lists_those_there_are()
    {
        var error = Assert.Throws<ArgumentException>(() => Relations.Named("country_to_anthem"));
        Assert.Contains("country_to_capital", error.Message, StringComparison.Ordinal);
    }

    private static string Written(string text)
    {
        var path = Path.Combine(Path.GetTempPath(), $"relation-{Guid.NewGuid():N}.csv");
        File.WriteAllText(path, text);
        return path;
    }
}
