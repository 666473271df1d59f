using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace HeadScope.Tests;

/// <summary>
/// The analyzer of src/HeadScope/BannedSymbols.txt does not look at compound assignments: <c>x += y</c> makes a hidden Scalar too. So the
/// built library is searched for the banned operators.
/// </summary>
public sealed class BannedSymbolsTests
{
    private static readonly Dictionary<SignatureTypeCode, string> Numbers = new()
    {
        [SignatureTypeCode.Int32] = "System.Int32",
        [SignatureTypeCode.Int64] = "System.Int64",
        [SignatureTypeCode.Single] = "System.Single",
        [SignatureTypeCode.Double] = "System.Double",
    };

    [Fact]
    public void The_library_calls_no_banned_operator()
    {
        var banned = File.ReadLines(Path.Combine(TestData.Repository, "src", "HeadScope", "BannedSymbols.txt"))
            .Where(line => line.StartsWith("M:TorchSharp.torch.Tensor.op_", StringComparison.Ordinal))
            .Select(line => line[2..line.IndexOfAny([';', '~'])]).ToHashSet(StringComparer.Ordinal);
        Assert.Contains("TorchSharp.torch.Tensor.op_Addition(TorchSharp.torch.Tensor,TorchSharp.torch.Tensor)", banned);
        Assert.Contains("TorchSharp.torch.Tensor.op_Multiply(System.Double,TorchSharp.torch.Tensor)", banned);

        var called = Operators(typeof(BannedSymbolsTests).Assembly.Location);
        Assert.Contains("TorchSharp.torch.Tensor.op_Multiply(TorchSharp.torch.Tensor,TorchSharp.torch.Tensor)", called);
        Assert.Contains("TorchSharp.torch.Tensor.op_Addition(TorchSharp.torch.Tensor,System.Single)", called);
        Assert.Empty(Operators(typeof(Model).Assembly.Location).Intersect(banned, StringComparer.Ordinal));
    }

    /// <summary>What the search must find in this assembly.</summary>
    internal static TorchSharp.torch.Tensor Sample(TorchSharp.torch.Tensor x)
    {
        x *= x;
        x += 1f;
        return x;
    }

    // As the documentation names them: Type.op_Name(Type,Type).
    private static List<string> Operators(string assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        return [.. metadata.MemberReferences.Select(metadata.GetMemberReference)
            .Where(member => metadata.GetString(member.Name).StartsWith("op_", StringComparison.Ordinal) && member.Parent.Kind == HandleKind.TypeReference)
            .Select(member => $"{Name(member.Parent)}.{metadata.GetString(member.Name)}({string.Join(',', Parameters(member.Signature))})")];

        IEnumerable<string> Parameters(BlobHandle signature)
        {
            var blob = metadata.GetBlobReader(signature);
            blob.ReadSignatureHeader();
            var count = blob.ReadCompressedInteger();
            string[] types = [.. Enumerable.Range(0, count + 1).Select(_ => Type(ref blob))];
            return types[1..];
        }

        string Type(ref BlobReader blob)
        {
            var code = blob.ReadSignatureTypeCode();
            return code == SignatureTypeCode.TypeHandle ? Name(blob.ReadTypeHandle()) : Numbers.GetValueOrDefault(code, code.ToString());
        }

        string Name(EntityHandle handle)
        {
            if (handle.Kind != HandleKind.TypeReference)
            {
                return "";
            }

            var type = metadata.GetTypeReference((TypeReferenceHandle)handle);
            var name = metadata.GetString(type.Name);
            return type.ResolutionScope.Kind == HandleKind.TypeReference
                ? $"{Name(type.ResolutionScope)}.{name}"
                : $"{metadata.GetString(type.Namespace)}.{name}";
        }
    }
}
