using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace HeadScope;

/// <summary>Reads the numbers, strings and arrays of a GGUF header in order; says where it stopped when one does not fit.</summary>
/// <param name="file">The file, read from its start on.</param>
internal sealed class GgufReader(RegularFile file)
{
    /// <summary>Arrays of arrays are allowed by the format; deeper ones than this are damage.</summary>
    private const int DeepestArray = 4;

    private const int BufferLength = 1 << 20;

    private byte[] buffer = [];
    private int used;

    /// <summary>The next byte, counted from the start of the file.</summary>
    public long Position { get; private set; }

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
        var rest = Math.Min(file.Length - Position, Array.MaxLength);
        return count <= (ulong)(rest / smallest)
            ? (int)count
            : throw new InvalidDataException(
                $"'{file.Path}', byte {start}: {count} {what} cannot be in the {rest} bytes that follow. The file is cut or damaged.");
    }

    /// <summary>Reads a string.</summary>
    /// <param name="what">What it is, for the message.</param>
    /// <exception cref="InvalidDataException">The file ends before.</exception>
    public string ReadString(string what) => Encoding.UTF8.GetString(Take(ReadCount(1, $"bytes of {what}"), what));

    /// <summary>Reads a value of metadata after its type.</summary>
    /// <param name="type">GGUF's number of the type.</param>
    /// <param name="key">Whose value it is, for the message.</param>
    /// <returns>bool, a number, a string or an array of these.</returns>
    /// <exception cref="InvalidDataException">The file ends before, or the type is not known.</exception>
    public object ReadValue(uint type, string key) => type switch
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
        9 => ReadArray(key, 0),
        10 => Read<ulong>(key),
        11 => Read<long>(key),
        12 => Read<double>(key),
        _ => throw Unknown(type, key),
    };

    private Array ReadArray(string key, int depth)
    {
        var type = Read<uint>(key);
        return type switch
        {
            0 => ReadEach(key, Read<byte>),
            1 => ReadEach(key, Read<sbyte>),
            2 => ReadEach(key, Read<ushort>),
            3 => ReadEach(key, Read<short>),
            4 => ReadEach(key, Read<uint>),
            5 => ReadEach(key, Read<int>),
            6 => ReadEach(key, Read<float>),
            7 => ReadEach(key, ReadBoolean),
            8 => ReadEach(key, ReadString, sizeof(ulong)),
            9 when depth < DeepestArray => ReadEach<object>(key, inner => ReadArray(inner, depth + 1), sizeof(uint) + sizeof(ulong)),
            10 => ReadEach(key, Read<ulong>),
            11 => ReadEach(key, Read<long>),
            12 => ReadEach(key, Read<double>),
            _ => throw Unknown(type, key),
        };
    }

    private T[] ReadEach<T>(string key, Func<string, T> read, int smallest = 0)
    {
        var values = new T[ReadCount(smallest == 0 ? Unsafe.SizeOf<T>() : smallest, $"entries of {key}")];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = read(key);
        }

        return values;
    }

    private bool ReadBoolean(string key)
    {
        var start = Position;
        return Read<byte>(key) switch
        {
            0 => false,
            1 => true,
            var other => throw new InvalidDataException($"'{file.Path}', byte {start}, {key}: expected a truth value 0 or 1, found {other}."),
        };
    }

    private InvalidDataException Unknown(uint type, string key) => new(
        $"'{file.Path}', before byte {Position}, {key}: the type {type} is not one of GGUF's (0 to 12), or arrays are nested too deeply. The file "
        + "is damaged.");

    private ReadOnlySpan<byte> Take(int count, string what)
    {
        if (count > file.Length - Position)
        {
            throw new InvalidDataException($"'{file.Path}' ends at byte {file.Length}, within {what}. The file is cut; download it again.");
        }

        if (count > buffer.Length - used)
        {
            var length = Math.Min(Math.Max(count, BufferLength), file.Length - Position);
            buffer = buffer.Length == length ? buffer : new byte[length];
            file.Read(Position, buffer, what);
            used = 0;
        }

        Position += count;
        used += count;
        return buffer.AsSpan(used - count, count);
    }
}
