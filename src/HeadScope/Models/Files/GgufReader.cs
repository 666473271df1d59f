using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>Reads the numbers, strings and arrays of a GGUF header in order; says where it stopped when one does not fit.</summary>
/// <remarks>What a value is goes into the message where the file ends before it.</remarks>
internal sealed class GgufReader(RegularFile file)
{
    /// <summary>Arrays of arrays are allowed by the format; deeper ones than this are damage.</summary>
    private const int DeepestArray = 4;

    private const int BufferLength = 1 << 20;

    private byte[] buffer = [];
    private int used;

    public long Position { get; private set; }

    public T Read<T>(string what)
        where T : unmanaged =>
        MemoryMarshal.Read<T>(Take(Unsafe.SizeOf<T>(), what));

    /// <summary>Reads a number of things of which each takes at least so many bytes, and refuses one that cannot be in the file.</summary>
    public int ReadCount(int smallest, string what)
    {
        var start = Position;
        var count = Read<ulong>(what);
        var rest = Math.Min(file.Length - Position, Array.MaxLength);
        Fault.InvalidDataIf(count > (ulong)(rest / smallest),
            $"'{file.Path}', byte {start}: {count} {what} cannot be in the {rest} bytes that follow. The file is cut or damaged.");
        return (int)count;
    }

    public string ReadString(string what) => Encoding.UTF8.GetString(Take(ReadCount(1, $"bytes of {what}"), what));

    /// <summary>Reads a value of metadata after its type: bool, a number, a string or an array of these.</summary>
    public object ReadValue(uint type, string key) => type == 9 ? ReadArray(key, 0) : ReadPlain(type, key, isArray: false);

    private object ReadArray(string key, int depth)
    {
        var type = Read<uint>(key);
        return type == 9 && depth < DeepestArray
            ? ReadEach(key, inner => ReadArray(inner, depth + 1), sizeof(uint) + sizeof(ulong))
            : ReadPlain(type, key, isArray: true);
    }

    private object ReadPlain(uint type, string key, bool isArray)
    {
        return type switch
        {
            0 => Some(Read<byte>),
            1 => Some(Read<sbyte>),
            2 => Some(Read<ushort>),
            3 => Some(Read<short>),
            4 => Some(Read<uint>),
            5 => Some(Read<int>),
            6 => Some(Read<float>),
            7 => Some(ReadBoolean),
            8 => Some(ReadString, sizeof(ulong)),
            10 => Some(Read<ulong>),
            11 => Some(Read<long>),
            12 => Some(Read<double>),
            _ => throw new InvalidDataException(
                $"'{file.Path}', before byte {Position}, {key}: the type {type} is not one of GGUF's (0 to 12), or arrays are nested too deeply. The "
                + "file is damaged."),
        };

        object Some<T>(Func<string, T> read, int smallest = 0)
            where T : notnull =>
            isArray ? ReadEach(key, read, smallest == 0 ? Unsafe.SizeOf<T>() : smallest) : read(key);
    }

    private T[] ReadEach<T>(string key, Func<string, T> read, int smallest) =>
        [.. Enumerable.Range(0, ReadCount(smallest, $"entries of {key}")).Select(_ => read(key))];

    private bool ReadBoolean(string key)
    {
        var start = Position;
        var value = Read<byte>(key);
        Fault.InvalidDataIf(value > 1, $"'{file.Path}', byte {start}, {key}: expected a truth value 0 or 1, found {value}.");
        return value == 1;
    }

    private ReadOnlySpan<byte> Take(int count, string what)
    {
        Fault.InvalidDataIf(count > file.Length - Position,
            $"'{file.Path}' ends at byte {file.Length}, within {what}. The file is cut; download it again.");
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
