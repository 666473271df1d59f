namespace HeadScope.Tests;

public class MapComparisonTests
{
    [Fact]
    public void Strength_count_and_depth_stand_side_by_side()
    {
        var a = Map("a", 5, 4, 2, new() { [new(4, 1)] = 8, [new(2, 0)] = 2 }, "capital", "only_a");
        var b = Map("b", 3, 2, 2, new() { [new(1, 0)] = 4, [new(1, 1)] = 4 }, "capital", "only_b");
        var comparison = HeadMap.Compare(a, b, threshold: 0.25);
        Assert.Equal(
            "relation,category,first_pairs,first_strongest_head,first_score,first_depth,first_heads,first_mean_depth,"
            + "second_pairs,second_strongest_head,second_score,second_depth,second_heads,second_mean_depth",
            string.Join(',', comparison.Columns.Select(column => column.Name)));
        Assert.Equal(1, comparison.Rows.Count);
        object Of(string column) => comparison[column][0];
        Assert.Equal("capital", Of("relation"));
        Assert.Equal(10, Of("first_pairs"));
        Assert.Equal("4.1", Of("first_strongest_head"));
        Assert.Equal(0.8f, Of("first_score"));
        Assert.Equal(1.0, Of("first_depth"));
        Assert.Equal(1, Of("first_heads"));
        Assert.Equal(((0.8 * 1) + (0.2 * 0.5)) / 1.0, (double)Of("first_mean_depth"), 6);
        Assert.Equal("1.0", Of("second_strongest_head"));
        Assert.Equal(2, Of("second_heads"));
        Assert.Equal(0.5, (double)Of("second_mean_depth"), 6);
        Assert.Equal(0, HeadMap.Compare(a, b, threshold: 0.5)["second_heads"][0]);
    }

    [Fact]
    public void Groups_that_share_values_are_weighed_against_the_rest_of_the_layer()
    {
        // Heads 0 and 1 share one key-value head, 2 and 3 another.
        var map = Map("grouped", 2, 4, 2, new() { [new(1, 0)] = 9, [new(1, 1)] = 2, [new(1, 2)] = 1 }, "capital");
        var sharing = map.GroupSharing(threshold: 0.5);
        Assert.Equal(1, sharing.Rows.Count);
        Assert.Equal(1, sharing["heads"][0]);
        Assert.Equal(0.2, (double)sharing["group_score"][0], 6);
        Assert.Equal(0.05, (double)sharing["layer_score"][0], 6);
        var own = Map("own", 2, 2, 2, new() { [new(1, 0)] = 9 }, "capital").GroupSharing();
        Assert.True(double.IsNaN((double)own["group_score"][0]));
    }

    [Fact]
    public void Parts_and_different_k_are_refused()
    {
        var whole = Map("a", 2, 2, 2, new(), "capital");
        var part = HeadMap.FromJson(whole.ToJson().Replace("\"1/1\"", "\"1/2\"", StringComparison.Ordinal));
        Assert.Contains("merge the parts", Assert.Throws<ArgumentException>(() => HeadMap.Compare(whole, part)).Message, StringComparison.Ordinal);
        var other = HeadMap.FromJson(whole.ToJson().Replace("\"k\":10", "\"k\":1", StringComparison.Ordinal));
        Assert.Contains("k = 10", Assert.Throws<ArgumentException>(() => HeadMap.Compare(whole, other)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"layers\":2", "\"layers\":-2", "'layers' = -2; expected a positive")]
    [InlineData("\"keyValueHeads\":2", "\"keyValueHeads\":0", "'keyValueHeads' = 0; expected a positive")]
    [InlineData("\"1/1\"", "\"3/2\"", "part 3/2")]
    [InlineData("\"k\":10", "\"k\":0", "'relations[0].k' = 0; expected a positive")]
    [InlineData("[[0,0]", "[[0,11]", "each from -1 to 10")]
    [InlineData("\"s3\"", "null", "'relations[0].pairs[3][0]' = null; expected a text")]
    [InlineData("\"model\":\"a\"", "\"model\":null", "has no 'model'")]
    [InlineData("\"pairs\":", "\"pairs\":[],\"_\":", "no pairs")]
    [InlineData("\"relations\":", "\"relations\":[],\"_\":", "0 relations")]
    public void A_map_with_a_field_that_no_model_has_is_refused(string field, string other, string message)
    {
        var json = Map("a", 2, 2, 2, new(), "capital").ToJson();
        Assert.Contains(field, json, StringComparison.Ordinal);
        Assert.Contains(
            message, Assert.Throws<InvalidDataException>(() => HeadMap.FromJson(json.Replace(field, other, StringComparison.Ordinal))).Message, StringComparison.Ordinal);
    }

    // A map of ten pairs with the given hits, read from JSON as any other.
    private static HeadMap Map(string model, int layers, int heads, int keyValueHeads, Dictionary<Head, int> hits, params string[] relations)
    {
        string Rows() => "[" + string.Join(',', Enumerable.Range(0, layers).Select(
            l => "[" + string.Join(',', Enumerable.Range(0, heads).Select(h => hits.GetValueOrDefault(new(l, h)))) + "]")) + "]";
        var pairs = string.Join(',', Enumerable.Range(0, 10).Select(i => $"[\"s{i}\",\"t{i}\",{i},{i}]"));
        var written = relations.Select(name =>
            $$"""{"name":"{{name}}","category":"c","k":10,"relationHits":{{Rows()}},"suppressionHits":{{Rows()}},"pairs":[{{pairs}}],"skippedPairs":[],"relationExamples":{},"suppressionExamples":{} }""");
        return HeadMap.FromJson(
            $$"""
            {"format":"headscope-head-map","version":1,"model":"{{model}}","layers":{{layers}},"heads":{{heads}},"keyValueHeads":{{keyValueHeads}},
             "firstMlp":true,"shard":"1/1","relations":[{{string.Join(',', written)}}],"skipped":[]}
            """);
    }
}
