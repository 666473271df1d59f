using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

/// <summary>A file with some of its bytes changed, over and over.</summary>
internal static class FlippedBytes
{
    public const int Times = 2000;

    /// <summary>How many of the files are refused; what is neither read nor refused fails the test.</summary>
    /// <param name="path">The file, written anew each time.</param>
    /// <param name="whole">Its bytes as they should be.</param>
    /// <param name="length">How many bytes, from the first on, may change.</param>
    /// <param name="read">Reads the file.</param>
    /// <param name="isRefusal">Whether an exception is a refusal.</param>
    public static int Refused(string path, byte[] whole, int length, Action<string> read, Func<Exception, bool> isRefusal)
    {
        var flips = Gen.Choose(0, length - 1).SelectMany(at => Gen.Choose(1, 255).Select(by => (at, by))).NonEmptyListOf();
        var refused = 0;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(Times), Prop.ForAll(flips.ToArbitrary(), given =>
        {
            var bytes = (byte[])whole.Clone();
            foreach (var (at, by) in given)
            {
                bytes[at] ^= (byte)by;
            }

            File.WriteAllBytes(path, bytes);
            try
            {
                read(path);
            }
            catch (Exception error) when (isRefusal(error))
            {
                refused++;
            }
        }));
        return refused;
    }

    /// <summary>The same for a file of tensors: whatever its damaged header says, the numbers of all of them are inside the file.</summary>
    public static int Refused(string path, byte[] whole, int length, Func<string, TensorFile> open) => Refused(
        path,
        whole,
        length,
        file =>
        {
            using var opened = open(file);
            foreach (var name in opened.Tensors.Keys)
            {
                opened.Read(name).Dispose();
            }
        },
        error => error is InvalidDataException or NotSupportedException);
}
