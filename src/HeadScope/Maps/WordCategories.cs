namespace HeadScope;

/// <summary>Groups of words of one kind, as the shipped relations know them: countries, capitals, animals, colours, given names, …</summary>
internal static class WordCategories
{
    private static readonly Lazy<Dictionary<string, HashSet<string>>> Groups = new(Build);

    /// <summary>Whether two words, in lower case, share a group.</summary>
    public static bool Share(string first, string second) =>
        Groups.Value.TryGetValue(first, out var a) && Groups.Value.TryGetValue(second, out var b) && a.Overlaps(b);

    private static Dictionary<string, HashSet<string>> Build()
    {
        var groups = new Dictionary<string, HashSet<string>>(StringComparer.Ordinal);
        void Add(string word, string group)
        {
            var key = Words.Folded(word);
            if (!groups.TryGetValue(key, out var list))
            {
                groups[key] = list = new HashSet<string>(StringComparer.Ordinal);
            }

            list.Add(group);
        }

        foreach (var (country, capital) in Relations.CountryToCapital.Pairs)
        {
            Add(country, "country");
            Add(capital, "capital");
        }

        foreach (var (country, language) in Relations.CountryToLanguage.Pairs)
        {
            Add(country, "country");
            Add(language, "language");
        }

        foreach (var (thing, kind) in Relations.ObjectToSuperclass.Pairs)
        {
            Add(thing, kind);
        }

        foreach (var (product, company) in Relations.ProductToCompany.Pairs)
        {
            Add(product, "product");
            Add(company, "company");
        }

        foreach (var (occupation, place) in Relations.WorkToLocation.Pairs)
        {
            Add(occupation, "profession");
            Add(place, "place");
        }

        foreach (var (name, _) in Relations.NameCopying.Pairs)
        {
            Add(name, "given name");
        }

        return groups;
    }
}
