namespace HeadScope;

/// <summary>How a GGUF file stores a tensor: blocks of <paramref name="BlockLength"/> numbers in <paramref name="BlockSize"/> bytes.</summary>
/// <param name="Name">ggml's name, such as <c>Q4_K</c>.</param>
/// <param name="BlockLength">Numbers of one block; 1 for plain numbers.</param>
/// <param name="BlockSize">Bytes of one block.</param>
internal sealed record GgufType(string Name, int BlockLength, int BlockSize)
{
    private static readonly Dictionary<uint, GgufType> Readable = new()
    {
        [0] = new("F32", 1, 4),
        [1] = new("F16", 1, 2),
        [2] = new("Q4_0", 32, 18),
        [3] = new("Q4_1", 32, 20),
        [6] = new("Q5_0", 32, 22),
        [7] = new("Q5_1", 32, 24),
        [8] = new("Q8_0", 32, 34),
        [12] = new("Q4_K", 256, 144),
        [13] = new("Q5_K", 256, 176),
        [14] = new("Q6_K", 256, 210),
        [24] = new("I8", 1, 1),
        [25] = new("I16", 1, 2),
        [26] = new("I32", 1, 4),
        [27] = new("I64", 1, 8),
        [28] = new("F64", 1, 8),
        [30] = new("BF16", 1, 2),
    };

    private static readonly Dictionary<uint, string> NotReadable = new()
    {
        [9] = "Q8_1", [10] = "Q2_K", [11] = "Q3_K", [15] = "Q8_K", [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S",
        [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS", [29] = "IQ1_M", [34] = "TQ1_0", [35] = "TQ2_0", [39] = "MXFP4",
    };

    /// <summary>The type with a number of ggml's.</summary>
    /// <param name="number">ggml's number for it.</param>
    /// <param name="where">The file and the tensor, for the message.</param>
    /// <exception cref="NotSupportedException">The type exists but is not read here.</exception>
    /// <exception cref="InvalidDataException">There is no such type.</exception>
    public static GgufType Of(uint number, string where)
    {
        if (Readable.TryGetValue(number, out var type))
        {
            return type;
        }

        var names = string.Join(", ", Readable.Values.Select(readable => readable.Name));
        return NotReadable.TryGetValue(number, out var name)
            ? throw new NotSupportedException($"{where} is stored as {name}; what can be read is {names}. Use another quantisation of the model.")
            : throw new InvalidDataException($"{where} has the unknown type {number}; the file is damaged, or newer than what can be read: {names}.");
    }
}
