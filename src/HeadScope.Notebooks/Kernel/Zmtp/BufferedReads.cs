namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>Reads a connection in large pieces, since frames begin with a byte or two; writes go straight through, from another task.</summary>
internal sealed class BufferedReads(Stream inner) : Stream
{
    private readonly byte[] buffer = new byte[1 << 16];
    private int start;
    private int end;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken = default)
    {
        if (start == end)
        {
            if (destination.Length >= buffer.Length)
            {
                return await inner.ReadAsync(destination, cancellationToken);
            }

            start = 0;
            end = await inner.ReadAsync(buffer, cancellationToken);
        }

        var count = Math.Min(end - start, destination.Length);
        buffer.AsMemory(start, count).CopyTo(destination);
        start += count;
        return count;
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default) =>
        inner.WriteAsync(source, cancellationToken);

    public override int Read(byte[] destination, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] source, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Flush() => inner.Flush();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
        }

        base.Dispose(disposing);
    }
}
