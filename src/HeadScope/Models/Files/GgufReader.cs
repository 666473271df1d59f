using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace HeadScope;

/// <summary>Reads the numbers, strings and arrays of a GGUF header in order; says where it stopped when one does not fit.</summary>
/// <param name="path">The file, for messages.</param>
/// <param name="bytes">The file from its start, at least as far as the header goes.</param>
internal ref struct GgufReader(string path, ReadOnlySpan<byte> bytes)
{
    /// <summary>Arrays of arrays are allowed by the format; deeper ones than this are damage.</summary>
    private const int DeepestArray = 4;

    private readonly ReadOnlySpan<byte> bytes = bytes;

    /// <summary>The next byte, counted from the start of the file.</summary>
    public int Position { get; private set; }

    /// <summary>Reads a number.</summary>
    /// <param name="what">What it is, for the message.</param>
    /// <exception cref="InvalidDataException">The file ends before.</exception>
    public T Read<T>(string what)
        where T : unmanaged =>
        MemoryMarshal.Read<T>(Take(Unsafe.SizeOf<T>(), what));

    /// <summary>Reads a number of things of which each takes at least so many bytes, and refuses one that cannot be in the file.</summary>
    /// <param name="smallest">The bytes that one of them takes at least.</param>
    /// <param name="what">What they are, for the message.</param>
    /// <exception cref="InvalidDataException">The file is not long enough for them.</exception>
    public int ReadCount(int smallest, string what)
    {
        var start = Position;
        var count = Read<ulong>(what);
        var rest = bytes.Length - Position;
        return count <= (ulong)(rest / smallest)
            ? (int)count
            : throw new InvalidDataException(
                $"'{path}', byte {start}: {count} {what} cannot be in the {rest} bytes that follow. The file is cut or damaged.");
    }

    /// <summary>Reads a string.</summary>
    /// <param name="what">What it is, for the message.</param>
    /// <exception cref="InvalidDataException">The file ends before.</exception>
    public string ReadString(string what)
    {
        var length = ReadCount(1, $"bytes of {what}");
        return Encoding.UTF8.GetString(Take(length, what));
    }

    /// <summary>Reads a value of metadata after its type.</summary>
    /// <param name="type">GGUF's number of the type.</param>
    /// <param name="key">Whose value it is, for the message.</param>
    /// <returns>bool, a number, a string or an array of these.</returns>
    /// <exception cref="InvalidDataException">The file ends before, or the type is not known.</exception>
    public object ReadValue(uint type, string key) => ReadValue(type, key, 0);

    private object ReadValue(uint type, string key, int depth) => type switch
    {
        0 => Read<byte>(key),
        1 => Read<sbyte>(key),
        2 => Read<ushort>(key),
        3 => Read<short>(key),
        4 => Read<uint>(key),
        5 => Read<int>(key),
        6 => Read<float>(key),
        7 => ReadBoolean(key),
        8 => ReadString(key),
        9 => ReadArray(key, depth),
        10 => Read<ulong>(key),
        11 => Read<long>(key),
        12 => Read<double>(key),
        _ => throw Unknown(type, key),
    };

    private object ReadArray(string key, int depth)
    {
        var type = Read<uint>(key);
        switch (type)
        {
            case 0: return ReadNumbers<byte>(key);
            case 1: return ReadNumbers<sbyte>(key);
            case 2: return ReadNumbers<ushort>(key);
            case 3: return ReadNumbers<short>(key);
            case 4: return ReadNumbers<uint>(key);
            case 5: return ReadNumbers<int>(key);
            case 6: return ReadNumbers<float>(key);
            case 10: return ReadNumbers<ulong>(key);
            case 11: return ReadNumbers<long>(key);
            case 12: return ReadNumbers<double>(key);
            case 7:
                var flags = new bool[ReadCount(1, $"entries of {key}")];
                for (var i = 0; i < flags.Length; i++)
                {
                    flags[i] = ReadBoolean(key);
                }

                return flags;
            case 8:
                var strings = new string[ReadCount(sizeof(ulong), $"entries of {key}")];
                for (var i = 0; i < strings.Length; i++)
                {
                    strings[i] = ReadString(key);
                }

                return strings;
            case 9 when depth < DeepestArray:
                var arrays = new object[ReadCount(sizeof(uint) + sizeof(ulong), $"entries of {key}")];
                for (var i = 0; i < arrays.Length; i++)
                {
                    arrays[i] = ReadArray(key, depth + 1);
                }

                return arrays;
            default:
                throw Unknown(type, key);
        }
    }

    private T[] ReadNumbers<T>(string key)
        where T : unmanaged
    {
        var size = Unsafe.SizeOf<T>();
        var count = ReadCount(size, $"entries of {key}");
        return MemoryMarshal.Cast<byte, T>(Take(checked(count * size), key)).ToArray();
    }

    private bool ReadBoolean(string key)
    {
        var start = Position;
        return Read<byte>(key) switch
        {
            0 => false,
            1 => true,
            var other => throw new InvalidDataException($"'{path}', byte {start}, {key}: expected a truth value 0 or 1, found {other}."),
        };
    }

    private readonly InvalidDataException Unknown(uint type, string key) =>
        new($"'{path}', before byte {Position}, {key}: the type {type} is not one of GGUF's (0 to 12), or arrays are nested too deeply. The file is damaged.");

    private ReadOnlySpan<byte> Take(int count, string what)
    {
        if (count > bytes.Length - Position)
        {
            throw new InvalidDataException($"'{path}' ends at byte {bytes.Length}, within {what}. The file is cut; download it again.");
        }

        Position += count;
        return bytes.Slice(Position - count, count);
    }
}
