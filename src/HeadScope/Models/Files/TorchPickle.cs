using System.Buffers.Binary;
using System.IO.Compression;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace HeadScope;

/// <summary>Reads the tensors of a PyTorch file (<c>torch.save</c>, zip format) without running anything: only the instructions that a dictionary
/// of tensors needs are known, and only the constructors of tensors and dictionaries are accepted. Anything else is refused, and so is whatever
/// claims more than the file holds.</summary>
internal static class TorchPickle
{
    // A dictionary of a thousand tensors takes a tenth of a megabyte; what is built from the instructions takes a hundred times their size.
    private const int LongestPickle = 4 << 20;
    private const int DeepestDictionary = 16;
    private const int MostEntries = 100_000;

    /// <summary>Reads all tensors by name, in the type that they are stored in; those of a nested dictionary are named <c>outer.inner</c>.
    /// Tensors that share a storage in the file share memory.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is not such a file, is damaged, claims too much, or asks for code that is not known.</exception>
    public static Dictionary<string, Tensor> Read(string path)
    {
        using var file = new RegularFile(path);
        using var scope = NewDisposeScope();
        try
        {
            using var zip = ZipFile.OpenRead(path);
            var pickle = zip.Entries.FirstOrDefault(entry => entry.FullName.EndsWith("/data.pkl", StringComparison.Ordinal))
                ?? throw new DamageException("has no data.pkl; expected a file written by torch.save in zip format");
            DamageException.If(pickle.Length > LongestPickle,
                $"has a data.pkl of {pickle.Length} bytes; expected at most {LongestPickle} for a dictionary of tensors");
            var code = new byte[pickle.Length];
            using var stream = pickle.Open();
            stream.ReadExactly(code);
            var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
            var entries = 0;
            Collect(new Machine(code, new(zip, pickle.FullName[..^"data.pkl".Length], file.Length)).Run(), "", 1);
            return tensors.ToDictionary(pair => pair.Key, pair => pair.Value.MoveToOuterDisposeScope(), StringComparer.Ordinal);

            void Collect(object? value, string prefix, int depth)
            {
                var dictionary = value as Dictionary<string, object?>
                    ?? throw new DamageException("holds something other than a dictionary of tensors");
                DamageException.If(depth > DeepestDictionary || (entries += dictionary.Count) > MostEntries,
                    $"nests dictionaries in one another or in themselves; expected at most {DeepestDictionary} deep and {MostEntries} entries");
                foreach (var (key, item) in dictionary)
                {
                    if (item is Tensor tensor)
                    {
                        tensors[prefix + key] = tensor;
                    }
                    else if (item is Dictionary<string, object?>)
                    {
                        Collect(item, $"{prefix}{key}.", depth + 1);
                    }
                }
            }
        }
        catch (Exception error) when (error is DamageException or InvalidDataException or EndOfStreamException or NotSupportedException
            or ArgumentOutOfRangeException)
        {
            // The last three are how the zip archive finds damage.
            var what = error is DamageException ? error.Message : $"is not a zip file as torch.save writes it since PyTorch 1.6, or is damaged ({error.Message})";
            throw new InvalidDataException($"'{path}' {what}. Download it again, or save the weights as safetensors.", error);
        }
    }

    private sealed class DamageException(string message) : Exception(message)
    {
        public static void If(bool isSo, [InterpolatedStringHandlerArgument(nameof(isSo))] ref Fault.Message message) =>
            _ = isSo ? throw new DamageException(message.Text()) : 0;
    }

    private sealed record Name(string Text);

    /// <summary>The storages of the file, each read once, together not more than the file can hold.</summary>
    private sealed class Storages(ZipArchive zip, string folder, long available)
    {
        private const int ChunkLength = 1 << 24;

        private readonly Dictionary<string, Tensor> read = new(StringComparer.Ordinal);
        private long left = available;

        public Tensor Read(string type, string key, long count)
        {
            var dtype = type switch
            {
                "torch.DoubleStorage" => ScalarType.Float64,
                "torch.FloatStorage" => ScalarType.Float32,
                "torch.HalfStorage" => ScalarType.Float16,
                "torch.BFloat16Storage" => ScalarType.BFloat16,
                "torch.LongStorage" => ScalarType.Int64,
                "torch.IntStorage" => ScalarType.Int32,
                "torch.ShortStorage" => ScalarType.Int16,
                "torch.CharStorage" => ScalarType.Int8,
                "torch.ByteStorage" => ScalarType.Byte,
                "torch.BoolStorage" => ScalarType.Bool,
                _ => throw new DamageException($"stores numbers as '{type}', which is not known"),
            };
            var size = NumberFormat.Of(dtype)!.BlockSize;
            if (read.TryGetValue(key, out var known))
            {
                DamageException.If(known.dtype != dtype || known.NumberOfElements != count, $"describes the storage '{key}' in two ways");
                return known;
            }

            var entry = zip.GetEntry($"{folder}data/{key}") ?? throw new DamageException($"lacks the storage '{key}'");
            DamageException.If(count < 0 || count > entry.Length / size || entry.Length != count * size,
                $"says that the storage '{key}' holds {count} numbers of {size} bytes, but it has {entry.Length} bytes");
            DamageException.If((left -= entry.Length) < 0, $"claims to store more bytes than it has; torch.save does not compress them");

            var storage = read[key] = empty(count, dtype, CPU);
            using var stream = entry.Open();
            for (var start = 0L; start < count; start += ChunkLength)
            {
                using var part = storage.narrow(0, start, Math.Min(ChunkLength, count - start));
                stream.ReadExactly(part.bytes);
            }

            return storage;
        }
    }

    /// <summary>The stack machine of the pickle format, protocol 2, as far as dictionaries of tensors need it.</summary>
    private sealed class Machine(byte[] code, Storages storages)
    {
        private readonly Stack<List<object?>> below = []; // what lies under each mark
        private readonly Dictionary<int, object?> memo = [];
        private List<object?> stack = [];
        private int at;

        public object? Run()
        {
            while (true)
            {
                var instruction = Take(1)[0];
                switch ((char)instruction)
                {
                    case '\x80': Take(1); break;
                    case '.': return Pop();
                    case '(': below.Push(stack); stack = []; break;
                    case '}': Push(new Dictionary<string, object?>(StringComparer.Ordinal)); break;
                    case ']': Push(new List<object?>()); break;
                    case ')': Push(Array.Empty<object?>()); break;
                    case 'N': Push(null); break;
                    case '\x88' or '\x89': Push(instruction == 0x88); break;
                    case 'K': Push((long)Take(1)[0]); break;
                    case 'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
                    case 'J': Push((long)Number()); break;
                    case '\x8a': Push(LongInteger(Take(Take(1)[0]))); break;
                    case 'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
                    case 'X': Push(Encoding.UTF8.GetString(Take(Number()))); break;
                    case '\x8c': Push(Encoding.UTF8.GetString(Take(Take(1)[0]))); break;
                    case 'c': Push(new Name($"{Line()}.{Line()}")); break;
                    case 'q': memo[Take(1)[0]] = Top(); break;
                    case 'r': memo[Number()] = Top(); break;
                    case '\x94': memo[memo.Count] = Top(); break;
                    case 'h': Push(Remembered(Take(1)[0])); break;
                    case 'j': Push(Remembered(Number())); break;
                    case 't': Push(PopToMark()); break;
                    case '\x85' or '\x86' or '\x87': Push(PopLast(instruction - 0x84)); break;
                    case 'l': Push(PopToMark().ToList()); break;
                    case 'a': Append(PopLast(1)); break;
                    case 'e': Append(PopToMark()); break;
                    case 's': SetItems(PopLast(2)); break;
                    case 'u': SetItems(PopToMark()); break;
                    case 'b': Pop(); break;
                    case 'Q': Push(Persistent(As<object?[]>(Pop()))); break;
                    case 'R': Reduce(); break;
                    default:
                        throw new DamageException(
                            $"has the pickle instruction 0x{instruction:x2} at {at - 1}, which is not one that a dictionary of tensors needs");
                }
            }
        }

        private DamageException Damage() => new($"is damaged: the instruction before byte {at} of data.pkl does not fit what comes before it");

        private object? Top() => stack is [.., var value] ? value : throw Damage();

        private void Push(object? value) => stack.Add(value);

        private object? Pop() => PopLast(1)[0];

        private T As<T>(object? value) => value is T known ? known : throw Damage();

        private object?[] PopLast(int count)
        {
            var values = stack.Count >= count ? stack[^count..].ToArray() : throw Damage();
            stack.RemoveRange(stack.Count - count, count);
            return values;
        }

        private object?[] PopToMark()
        {
            var values = stack.ToArray();
            stack = below.TryPop(out var before) ? before : throw Damage();
            return values;
        }

        private object? Remembered(int key) => memo.TryGetValue(key, out var value) ? value : throw Damage();

        private void Append(object?[] values) => As<List<object?>>(Top()).AddRange(values);

        private void SetItems(object?[] pairs)
        {
            var dictionary = As<Dictionary<string, object?>>(Top());
            for (var i = 0; i < pairs.Length; i += 2)
            {
                var key = pairs[i] is long number ? number.ToString(CultureInfo.InvariantCulture) : As<string>(pairs[i]);
                dictionary[key] = i + 1 < pairs.Length ? pairs[i + 1] : throw Damage();
            }
        }

        private Tensor Persistent(object?[] id) => id is ["storage", Name type, string key, _, long count, ..]
            ? storages.Read(type.Text, key, count)
            : throw new DamageException("refers to something other than a storage of numbers");

        private void Reduce()
        {
            var arguments = As<object?[]>(Pop());
            var function = As<Name>(Pop()).Text;
            Push(function switch
            {
                "collections.OrderedDict" => new Dictionary<string, object?>(StringComparer.Ordinal),
                "torch._utils._rebuild_tensor_v2" => arguments is [Tensor storage, long offset, object?[] sizes, object?[] strides, ..]
                    ? View(storage, offset, Array.ConvertAll(sizes, As<long>), Array.ConvertAll(strides, As<long>))
                    : throw Damage(),
                "torch._utils._rebuild_parameter" => arguments is [Tensor tensor, ..] ? tensor : throw Damage(),
                "torch.device" or "torch.Size" => null,
                _ => throw new DamageException($"asks for '{function}', which is not run: only dictionaries of tensors are read"),
            });
        }

        /// <summary>A view of a storage; none that shows a number of it twice, or one outside of it.</summary>
        private static Tensor View(Tensor storage, long offset, long[] shape, long[] strides)
        {
            var (count, product, last) = ((Int128)1, (Int128)1, (Int128)offset);
            var fits = offset >= 0 && shape.Length == strides.Length;
            for (var axis = 0; fits && axis < shape.Length; axis++)
            {
                count *= shape[axis];
                product *= Math.Max(1, shape[axis]); // a length of 0 hides no absurd other one
                fits = shape[axis] >= 0 && strides[axis] >= 0 && product <= long.MaxValue;
                last += (Int128)Math.Max(0, shape[axis] - 1) * strides[axis];
            }

            return !fits || count > storage.NumberOfElements || (count > 0 && last >= storage.NumberOfElements)
                ? throw new DamageException(
                    $"has a tensor [{string.Join(", ", shape)}] with the strides [{string.Join(", ", strides)}] from number {offset} on that its "
                    + $"storage of {storage.NumberOfElements} numbers does not hold")
                : count == 0 ? empty(shape, storage.dtype, CPU) : storage.as_strided(shape, strides, offset);
        }

        private int Number() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

        private ReadOnlySpan<byte> Take(int count)
        {
            if (count < 0 || count > code.Length - at)
            {
                throw Damage();
            }

            at += count;
            return code.AsSpan(at - count, count);
        }

        private string Line()
        {
            var length = code.AsSpan(at).IndexOf((byte)'\n');
            var line = Encoding.UTF8.GetString(Take(length));
            Take(1);
            return line;
        }

        // Little-endian in two's complement, as short as can be.
        private long LongInteger(ReadOnlySpan<byte> bytes) =>
            bytes.Length <= sizeof(long) ? (long)new BigInteger(bytes) : throw Damage();
    }
}
