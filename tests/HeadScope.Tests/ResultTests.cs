namespace HeadScope.Tests;

/// <summary>How results become tables, CSV and JSON.</summary>
public sealed class ResultTests
{
    private static readonly (Head Head, int Count, double? Share, string? Text)[] Rows = [(new(1, 2), 3, 0.5, "a, b"), (new(3, 4), 5, null, null)];

    [Fact]
    public void What_is_told_of_a_row_becomes_columns_by_name_and_type()
    {
        var table = ResultTable.Of(Rows, row => new { head = row.Head, count = row.Count, share = row.Share, is_many = row.Count > 3, text = row.Text });
        Assert.Equal(["head", "count", "share", "is_many", "text"], table.Columns.Select(column => column.Name));
        Assert.Equal([typeof(string), typeof(int), typeof(double), typeof(bool), typeof(string)], table.Columns.Select(column => column.DataType));
        Assert.Equal(["1.2", 3, 0.5, false, "a, b"], table.Rows[0]);
        Assert.Equal(["3.4", 5, null, true, null], table.Rows[1]);
        Assert.Equal("head,count,share,is_many,text\n1.2,3,0.5,False,\"a, b\"\n3.4,5,,True,\n", table.ToCsv());
    }

    [Fact]
    public void A_table_without_rows_has_its_columns() =>
        Assert.Equal("head,share\n", ResultTable.Of(Rows.Take(0), row => new { head = row.Head, share = row.Share }).ToCsv());

    [Fact]
    public void What_is_told_of_a_result_becomes_json() => Assert.Equal(
        """{"format":"f","version":1,"head":"1.2","pair":["é",1],"lists":[[1.5],[]],"of":{"is":true,"nothing":null},"firings":{"1.2":3,"3.4":5}}""",
        ResultJson.Write("f", new
        {
            head = Rows[0].Head, pair = ("é", 1L), lists = new[] { new[] { 1.5f }, [] }, of = new { @is = true, nothing = (string?)null },
            firings = ResultJson.ByHead(Rows.Reverse().ToDictionary(row => row.Head, row => row.Count)),
        }));

    [Theory]
    [InlineData("{", "The thing cannot be read")]
    [InlineData("[]", "no thing")]
    [InlineData("{\"format\":\"other\"}", "no thing")]
    [InlineData("{\"format\":\"f\"}", "'version'")]
    [InlineData("{\"format\":\"f\",\"version\":2}", "version 2")]
    [InlineData("{\"format\":\"f\",\"version\":1,\"list\":[{}]}", "'list[0].name'")]
    public void Json_that_is_another_thing_or_lacks_a_key_is_refused(string json, string message) => Assert.Contains(
        message,
        Assert.Throws<InvalidDataException>(() => ResultJson.Read(json, "f", "thing", root => root.Required("list").Items().Single().Required("name").Text())).Message,
        StringComparison.Ordinal);
}
