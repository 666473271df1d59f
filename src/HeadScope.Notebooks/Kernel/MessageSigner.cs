using System.Security.Cryptography;
using System.Text;

namespace HeadScope.Notebooks.Kernel;

/// <summary>Signs messages with HMAC-SHA256 over header, parent header, metadata and content, and tells right signatures from wrong ones.</summary>
/// <param name="key">The key of the connection file; empty for no signatures.</param>
internal sealed class MessageSigner(string key)
{
    private readonly byte[] key = Encoding.UTF8.GetBytes(key);

    /// <summary>The signature as lower-case hexadecimal digits; empty without a key.</summary>
    /// <param name="parts">The four parts, as sent.</param>
    public byte[] Sign(params ReadOnlySpan<byte[]> parts) => key.Length == 0 ? [] : Encoding.ASCII.GetBytes(Convert.ToHexStringLower(Hash(parts)));

    /// <summary>Whether a signature is right; takes the same time wherever it differs.</summary>
    /// <param name="signature">Hexadecimal digits, as received.</param>
    /// <param name="parts">The four parts, as received.</param>
    public bool IsRight(ReadOnlySpan<byte> signature, params ReadOnlySpan<byte[]> parts) =>
        key.Length == 0 || CryptographicOperations.FixedTimeEquals(signature, Sign(parts));

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
