using System.Text;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using HeadScope.Notebooks.Kernel;

namespace HeadScope.Notebooks.Tests;

public class MessageTests
{
    private static readonly MessageSigner Signer = new("a0436f6c-1916-498b-8eb9-e81ab9368e84");

    [Fact]
    public void Signatures_are_those_of_hmac_sha256()
    {
        // RFC 4231, test case 2, its data split over the four parts.
        var signature = new MessageSigner("Jefe").Sign("what do "u8.ToArray(), "ya want "u8.ToArray(), "for "u8.ToArray(), "nothing?"u8.ToArray());
        Assert.Equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", Encoding.ASCII.GetString(signature));
    }

    [Fact]
    public void A_message_comes_back_as_it_was_sent() => Prop.ForAll<string, string>((text, identity) =>
    {
        var sent = JupyterMessage.Create(
            "execute_request",
            new JsonObject { ["code"] = Valid(text) },
            "session",
            new JsonObject { ["msg_id"] = "parent" },
            [Encoding.UTF8.GetBytes("i" + Valid(identity))]);
        var got = JupyterMessage.Parse(sent.ToFrames(Signer), Signer);
        return got is not null
            && JsonNode.DeepEquals(sent.Content, got.Content)
            && JsonNode.DeepEquals(sent.Header, got.Header)
            && JsonNode.DeepEquals(sent.ParentHeader, got.ParentHeader)
            && got.Identities.Single().AsSpan().SequenceEqual(sent.Identities[0]);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_single_changed_bit_anywhere_is_noticed() => Prop.ForAll<int, int, int>((frame, place, bit) =>
    {
        var frames = Frames();
        var changed = frames[1 + (int)((uint)frame % 6)]; // the delimiter, the signature or one of the signed parts
        changed[(int)((uint)place % changed.Length)] ^= (byte)(1 << (int)((uint)bit % 8));
        return JupyterMessage.Parse(frames, Signer) is null;
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Frames_of_any_content_never_throw() => Prop.ForAll<byte[][]>(random =>
    {
        var frames = random.Select(f => f ?? []).ToList();
        var unsigned = new MessageSigner("");
        _ = JupyterMessage.Parse(frames, unsigned);
        frames.Insert(0, "<IDS|MSG>"u8.ToArray());
        _ = JupyterMessage.Parse(frames, unsigned);
        return JupyterMessage.Parse(frames, Signer) is null;
    }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("[]")]
    [InlineData("{\"msg_type\": 3}")]
    [InlineData("{}")]
    [InlineData("{\"msg_type\": \"a\", \"msg_type\": \"b\"}")]
    [InlineData("{")]
    [InlineData("{\"msg_type\": \"a\", \"session\": \"\\ud800\"}")]
    [InlineData("{\"msg_type\": \"a\", \"\\udc00\": 1}")]
    public void A_header_that_is_none_is_ignored(string header)
    {
        byte[][] parts = [Encoding.UTF8.GetBytes(header), "{}"u8.ToArray(), "{}"u8.ToArray(), "{}"u8.ToArray()];
        Assert.Null(JupyterMessage.Parse(["<IDS|MSG>"u8.ToArray(), Signer.Sign(parts), .. parts], Signer));
    }

    [Fact]
    public void A_missing_or_shortened_signature_is_noticed()
    {
        var frames = Frames();
        var whole = frames[2];
        frames[2] = [];
        Assert.Null(JupyterMessage.Parse(frames, Signer));
        frames[2] = whole[..10];
        Assert.Null(JupyterMessage.Parse(frames, Signer));
        frames[2] = whole;
        Assert.NotNull(JupyterMessage.Parse(frames, Signer));
    }

    [Fact]
    public void A_message_that_comes_again_is_ignored()
    {
        var frames = Frames();
        Assert.NotNull(JupyterMessage.Parse(frames, Signer));
        Assert.Null(JupyterMessage.Parse(frames, Signer));
        frames[0] = "another peer"u8.ToArray();
        Assert.Null(JupyterMessage.Parse(frames, Signer));
        Assert.NotNull(JupyterMessage.Parse(Frames(), Signer));
    }

    [Theory]
    [InlineData("a\U0001F600b", 2, 3)]
    [InlineData("abc", 2, 2)]
    [InlineData("abc", 9, 3)]
    public void Places_are_counted_in_code_points_outside_and_in_utf16_units_inside(string text, int codePoints, int units)
    {
        Assert.Equal(units, TextPosition.ToUnits(text, codePoints));
        Assert.Equal(Math.Min(codePoints, text.EnumerateRunes().Count()), TextPosition.ToCodePoints(text, units));
    }

    // Lone surrogates are not text; no client can send them.
    private static string Valid(string? text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));

    private static List<byte[]> Frames() =>
    [
        .. JupyterMessage.Create("execute_request", new JsonObject { ["code"] = "1" }, "s", new JsonObject { ["a"] = 1 }, ["id"u8.ToArray()])
            .ToFrames(Signer).Select(frame => frame.ToArray()),
    ];
}
