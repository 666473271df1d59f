namespace HeadScope.Tests;

/// <summary>Numbers with a shape, of no tensor library: what the tests speak in. The adapters in this folder translate.</summary>
internal sealed record NumberArray(float[] Values, int[] Shape)
{
    public float this[params ReadOnlySpan<int> at] => Values[Index(at)];

    /// <summary>The rows of a matrix.</summary>
    public float[] Row(int row) => Values[(row * Shape[^1])..((row + 1) * Shape[^1])];

    private int Index(ReadOnlySpan<int> at)
    {
        Assert.Equal(Shape.Length, at.Length);
        var index = 0;
        for (var i = 0; i < at.Length; i++)
        {
            Assert.InRange(at[i], 0, Shape[i] - 1);
            index = (index * Shape[i]) + at[i];
        }

        return index;
    }
}
