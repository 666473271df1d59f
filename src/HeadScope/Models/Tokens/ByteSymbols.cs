using System.Text;

namespace HeadScope;

/// <summary>
/// The one-to-one map between bytes and printable characters in which byte-level vocabularies are written (GPT-2): bytes that
/// are printable in Latin-1 stand for themselves, the other 68 for U+0100 upwards, in order. A space is written Ġ (U+0120).
/// </summary>
internal static class ByteSymbols
{
    private static readonly char[] Symbols = new char[256];
    private static readonly Dictionary<char, byte> Bytes = [];

    static ByteSymbols()
    {
        var next = 0x100;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            Symbols[value] = (char)(printable ? value : next++);
            Bytes[Symbols[value]] = (byte)value;
        }
    }

    /// <summary>The character a byte is written as.</summary>
    public static char Of(byte value) => Symbols[value];

    /// <summary>The bytes a vocabulary entry stands for: its own UTF-8 when it is not written in byte symbols.</summary>
    public static byte[] BytesOf(string entry)
    {
        var bytes = new byte[entry.Length];
        for (var i = 0; i < bytes.Length; i++)
        {
            if (!Bytes.TryGetValue(entry[i], out bytes[i]))
            {
                return Encoding.UTF8.GetBytes(entry);
            }
        }

        return bytes;
    }
}
