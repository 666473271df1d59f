using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace HeadScope;

/// <summary>
/// Reads the tensors of a PyTorch file (<c>torch.save</c>, zip format) without running anything: only the instructions that a dictionary of
/// tensors needs are known, and only the constructors of tensors and dictionaries are accepted. Anything else is refused.
/// </summary>
internal static class TorchPickle
{
    /// <summary>Reads the fp32 tensors; others (masks) are left out.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Shape and numbers by name; tensors of a nested dictionary are named <c>outer.inner</c>.</returns>
    /// <exception cref="InvalidDataException">It is not such a file, is damaged, or asks for code that is not known.</exception>
    public static Dictionary<string, (int[] Shape, float[] Values)> Read(string path)
    {
        using var zip = Open(path);
        var pickle = zip.Entries.FirstOrDefault(entry => entry.FullName.EndsWith("/data.pkl", StringComparison.Ordinal))
            ?? throw new InvalidDataException($"'{path}' has no data.pkl: expected a file written by torch.save in zip format.");
        var folder = pickle.FullName[..^"data.pkl".Length];
        try
        {
            var root = new Machine(path, Bytes(pickle), key => Bytes(
                zip.GetEntry($"{folder}data/{key}") ?? throw new InvalidDataException($"'{path}' lacks the storage '{key}'."))).Run();
            var tensors = new Dictionary<string, (int[] Shape, float[] Values)>(StringComparer.Ordinal);
            Collect(root, "");
            return tensors;

            void Collect(object? value, string prefix)
            {
                foreach (var (key, item) in value as Dictionary<object, object?> ?? [])
                {
                    if (item is TensorValue tensor)
                    {
                        tensors[prefix + key] = (tensor.Shape, tensor.Values);
                    }
                    else if (item is Dictionary<object, object?>)
                    {
                        Collect(item, $"{prefix}{key}.");
                    }
                }
            }
        }
        catch (Exception error) when (error is ArgumentOutOfRangeException or IndexOutOfRangeException or InvalidCastException
            or InvalidOperationException or OverflowException)
        {
            throw new InvalidDataException($"'{path}' is damaged or not a dictionary of tensors: {error.Message}", error);
        }
    }

    private static ZipArchive Open(string path)
    {
        try
        {
            return ZipFile.OpenRead(path);
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"'{path}' is not a zip file: expected one written by torch.save (PyTorch 1.6 or later).", error);
        }
    }

    private static byte[] Bytes(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        using var memory = new MemoryStream();
        stream.CopyTo(memory);
        return memory.ToArray();
    }

    private sealed record TensorValue(int[] Shape, float[] Values);

    private sealed record Name(string Text);

    private sealed record Storage(string Type, string Key);

    private sealed class Mark;

    /// <summary>The stack machine of the pickle format, protocol 2, as far as dictionaries of tensors need it.</summary>
    private sealed class Machine(string path, byte[] code, Func<string, byte[]> storage)
    {
        private readonly List<object?> stack = [];
        private readonly Dictionary<int, object?> memo = [];
        private int at;

        public object? Run()
        {
            while (true)
            {
                var instruction = code[at++];
                switch ((char)instruction)
                {
                    case '\x80': at++; break;
                    case '.': return Pop();
                    case '(': stack.Add(new Mark()); break;
                    case '}': stack.Add(new Dictionary<object, object?>()); break;
                    case ']': stack.Add(new List<object?>()); break;
                    case ')': stack.Add(Array.Empty<object?>()); break;
                    case 'N': stack.Add(null); break;
                    case '\x88': stack.Add(true); break;
                    case '\x89': stack.Add(false); break;
                    case 'K': stack.Add((int)code[at++]); break;
                    case 'M': stack.Add((int)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
                    case 'J': stack.Add(BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
                    case '\x8a': stack.Add(LongInteger(Take(code[at++]))); break;
                    case 'G': stack.Add(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
                    case 'X': stack.Add(Encoding.UTF8.GetString(Take(BinaryPrimitives.ReadInt32LittleEndian(Take(4))))); break;
                    case '\x8c': stack.Add(Encoding.UTF8.GetString(Take(code[at++]))); break;
                    case 'c': stack.Add(new Name($"{Line()}.{Line()}")); break;
                    case 'q': memo[code[at++]] = stack[^1]; break;
                    case 'r': memo[BinaryPrimitives.ReadInt32LittleEndian(Take(4))] = stack[^1]; break;
                    case '\x94': memo[memo.Count] = stack[^1]; break;
                    case 'h': stack.Add(memo[code[at++]]); break;
                    case 'j': stack.Add(memo[BinaryPrimitives.ReadInt32LittleEndian(Take(4))]); break;
                    case 't': stack.Add(PopToMark().ToArray()); break;
                    case '\x85': stack.Add(PopLast(1)); break;
                    case '\x86': stack.Add(PopLast(2)); break;
                    case '\x87': stack.Add(PopLast(3)); break;
                    case 'l': stack.Add(PopToMark()); break;
                    case 'a': Append([Pop()]); break;
                    case 'e': Append(PopToMark()); break;
                    case 's': SetItems(PopLast(2)); break;
                    case 'u': SetItems([.. PopToMark()]); break;
                    case 'b': Pop(); break;
                    case 'Q': stack.Add(Persistent((object?[])Pop()!)); break;
                    case 'R': Reduce(); break;
                    default:
                        throw new InvalidDataException(
                            $"'{path}': the pickle instruction 0x{instruction:x2} at {at - 1} is not one that a dictionary of tensors needs; "
                            + "save the weights as safetensors instead.");
                }
            }
        }

        private object? Pop()
        {
            var value = stack[^1];
            stack.RemoveAt(stack.Count - 1);
            return value;
        }

        private object?[] PopLast(int count)
        {
            var values = stack.GetRange(stack.Count - count, count).ToArray();
            stack.RemoveRange(stack.Count - count, count);
            return values;
        }

        private List<object?> PopToMark()
        {
            var mark = stack.FindLastIndex(value => value is Mark);
            var values = stack.GetRange(mark + 1, stack.Count - mark - 1);
            stack.RemoveRange(mark, stack.Count - mark);
            return values;
        }

        private void Append(List<object?> values) => ((List<object?>)stack[^1]!).AddRange(values);

        private void SetItems(object?[] pairs)
        {
            var dictionary = (Dictionary<object, object?>)stack[^1]!;
            for (var i = 0; i < pairs.Length; i += 2)
            {
                dictionary[pairs[i]!] = pairs[i + 1];
            }
        }

        private Storage Persistent(object?[] id) => id is ["storage", Name type, string key, ..]
            ? new Storage(type.Text, key)
            : throw new InvalidDataException($"'{path}' refers to something other than a storage of numbers.");

        private void Reduce()
        {
            var arguments = (object?[])Pop()!;
            var function = ((Name)Pop()!).Text;
            stack.Add(function switch
            {
                "collections.OrderedDict" => new Dictionary<object, object?>(),
                "torch._utils._rebuild_tensor_v2" => Tensor((Storage)arguments[0]!, (int)arguments[1]!, (object?[])arguments[2]!, (object?[])arguments[3]!),
                "torch._utils._rebuild_parameter" => arguments[0],
                "torch.device" or "torch.Size" => null,
                _ => throw new InvalidDataException(
                    $"'{path}' asks for '{function}', which is not run: only dictionaries of tensors are read. Save the weights as safetensors."),
            });
        }

        private TensorValue? Tensor(Storage source, int offset, object?[] sizes, object?[] strides)
        {
            if (source.Type != "torch.FloatStorage")
            {
                return null;
            }

            var shape = Array.ConvertAll(sizes, size => (int)size!);
            var bytes = storage(source.Key);
            var values = new float[shape.Aggregate(1, (product, length) => checked(product * length))];
            for (var i = 0; i < values.Length; i++)
            {
                var (rest, position) = (i, (long)offset);
                for (var axis = shape.Length - 1; axis >= 0; axis--)
                {
                    position += (long)(rest % shape[axis]) * (int)strides[axis]!;
                    rest /= shape[axis];
                }

                values[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(checked((int)position * 4), 4));
            }

            return new TensorValue(shape, values);
        }

        private ReadOnlySpan<byte> Take(int count)
        {
            at += count;
            return code.AsSpan(at - count, count);
        }

        private string Line()
        {
            var end = Array.IndexOf(code, (byte)'\n', at);
            var line = Encoding.UTF8.GetString(code, at, end - at);
            at = end + 1;
            return line;
        }

        private static long LongInteger(ReadOnlySpan<byte> bytes)
        {
            var value = 0L;
            for (var i = bytes.Length - 1; i >= 0; i--)
            {
                value = (value << 8) | bytes[i];
            }

            return value;
        }
    }
}
