namespace HeadScope.Tests;

public class HeadTests
{
    [Theory]
    [InlineData("3.5", 3, 5)]
    [InlineData("0.0", 0, 0)]
    [InlineData("29.11", 29, 11)]
    public void Parse_reads_what_ToString_writes(string text, int layer, int index)
    {
        var head = Head.Parse(text);
        Assert.Equal(new Head(layer, index), head);
        Assert.Equal(text, head.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("3")]
    [InlineData("3.")]
    [InlineData("3.5.1")]
    [InlineData("-1.2")]
    [InlineData("a.b")]
    [InlineData(" 3.5")]
    public void Parse_refuses_anything_else(string text)
    {
        var error = Assert.Throws<FormatException>(() => Head.Parse(text));
        Assert.Contains("3.5", error.Message, StringComparison.Ordinal);
    }
}
