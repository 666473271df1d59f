using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace HeadScope.Notebooks.Kernel;

/// <summary>Signs messages with HMAC-SHA256 over header, parent header, metadata and content, and tells right signatures from wrong ones.</summary>
/// <param name="key">The key of the connection file; empty for no signatures.</param>
internal sealed class MessageSigner(string key)
{
    private readonly byte[] key = Encoding.UTF8.GetBytes(key);
    private readonly HashSet<UInt128> seen = [];

    /// <summary>The signature as lower-case hexadecimal digits; empty without a key.</summary>
    /// <param name="parts">The four parts, as sent.</param>
    public byte[] Sign(params ReadOnlySpan<byte[]> parts) => key.Length == 0 ? [] : Hexadecimal(Hash(parts));

    /// <summary>Whether a signature is right, in the same time wherever it differs, and comes for the first time: whoever recorded a message must
    /// not have it run again.</summary>
    /// <param name="signature">Hexadecimal digits, as received.</param>
    /// <param name="parts">The four parts, as received.</param>
    public bool Accepts(ReadOnlySpan<byte> signature, params ReadOnlySpan<byte[]> parts)
    {
        if (key.Length == 0)
        {
            return true;
        }

        // Half of each signature is kept for good: 3 MB for a hundred thousand messages.
        var hash = Hash(parts);
        if (!CryptographicOperations.FixedTimeEquals(signature, Hexadecimal(hash)))
        {
            return false;
        }

        lock (seen)
        {
            return seen.Add(BinaryPrimitives.ReadUInt128LittleEndian(hash));
        }
    }

    private static byte[] Hexadecimal(byte[] hash) => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(hash));

    private byte[] Hash(ReadOnlySpan<byte[]> parts)
    {
        using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        foreach (var part in parts)
        {
            hash.AppendData(part);
        }

        return hash.GetHashAndReset();
    }
}
