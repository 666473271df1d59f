using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace HeadScope.Numerics;

/// <summary>
/// The matrix product by register tiles (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008). C is cut into
/// blocks, which threads take in turn; the depth is never divided between threads, so each number of C is one sum in one order.
/// A block walks through the depth in steps; at each it packs its part of B into strips as wide as a tile, which then stay in the
/// caches while tile after tile of A meets them. A is read where it lies when its rows do that well, else copied as well.
/// </summary>
internal static unsafe class TiledProduct<TTile>
    where TTile : struct, IProductTile
{
    // Rows of A that are used together, and columns of B packed together: the latter fill about half of the second cache, and the
    // former leave room beside them. Measured on Zen 3; 144 rows were 15 % slower on a busy machine.
    private const int BlockRows = 48;
    private const int BlockColumns = 256;

    // Fewer rows than this are not worth a thread's own packing of B.
    private const int LeastRows = 144;

    // Rows that are asked for before they are packed.
    private const int Ahead = 4;

    // Between the copied rows of A, so that they do not fall onto the same lines of the first cache.
    private const int RowGap = 16;

    // Up to so many rows of A packing B costs more than its reuse brings, provided that rows of B share pages; rows that lie farther
    // apart than this are better packed, which asks for them ahead of time.
    private const int PageLength = 1024;
    private static int DirectRows => 3 * TTile.Rows;

    public static void Multiply(in ProductOperands operands)
    {
        // Blocks as large as the caches like, unless that leaves threads without work: then fewer rows, then fewer columns.
        var workers = operands.Flops < 1e6 ? 1 : Parallelism.WorkersFor(int.MaxValue);
        var wanted = workers == 1 ? 1 : workers * 4;
        var columnParts = Blocks(operands.N, BlockColumns);
        var rowParts = Math.Clamp(Blocks(wanted, columnParts), 1, Blocks(operands.M, LeastRows));
        columnParts = Math.Max(columnParts, Math.Min(Blocks(wanted, rowParts), Blocks(operands.N, 2 * TTile.Columns)));
        var work = new Work
        {
            Operands = operands,
            Rows = BlockSize(operands.M, rowParts, TTile.Rows),
            Columns = BlockSize(operands.N, columnParts, TTile.Columns),
        };
        work.RowBlocks = Blocks(operands.M, work.Rows);
        var columnBlocks = Blocks(operands.N, work.Columns);
        if (workers == 1)
        {
            for (var i = 0; i < columnBlocks * work.RowBlocks; i++)
            {
                MultiplyBlock(&work, i);
            }

            return;
        }

        Parallelism.For(columnBlocks * work.RowBlocks, &MultiplyBlock, &work);
    }

    private static int Blocks(int size, int block) => (size + block - 1) / block;

    // size / parts, rounded up to a multiple of the unit.
    private static int BlockSize(int size, int parts, int unit) => Blocks(Blocks(size, parts), unit) * unit;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyBlock(void* state, int index)
    {
        ref readonly var work = ref *(Work*)state;
        ref readonly var o = ref work.Operands;
        var i0 = index % work.RowBlocks * work.Rows;
        var j0 = index / work.RowBlocks * work.Columns;
        var rows = Math.Min(work.Rows, o.M - i0);
        var columns = Math.Min(work.Columns, o.N - j0);

        var depthBlock = Blocks(o.K, Blocks(o.K, TTile.Depth));
        var strips = Blocks(columns, TTile.Columns);
        var direct = o.BColumn == 1 && rows <= DirectRows && o.BRow < PageLength;
        var firstPacked = direct ? columns / TTile.Columns : 0;
        var copyA = !IsReadable(o);
        var rowBlock = Math.Min(rows, BlockRows);

        var bLength = (strips - firstPacked) * TTile.Columns * depthBlock;
        var aLength = copyA ? Blocks(rowBlock, TTile.Rows) * TTile.Rows * (depthBlock + RowGap) : 0;
        var buffer = bLength + aLength > 0 ? ArrayPool<float>.Shared.Rent(bLength + aLength + 32) : null;
        var scratch = stackalloc float[TTile.Rows * TTile.Columns];
        fixed (float* start = buffer)
        {
            var packedB = (float*)(((nuint)start + 63) & ~(nuint)63);
            var packedA = packedB + ((bLength + 15) & ~15);
            for (var p0 = 0; p0 < o.K; p0 += depthBlock)
            {
                var depth = Math.Min(depthBlock, o.K - p0);
                var accumulate = o.Accumulate || p0 > 0;
                var b = o.B + (p0 * o.BRow) + (j0 * o.BColumn);
                if (firstPacked < strips)
                {
                    var first = firstPacked * TTile.Columns;
                    PackB(b + (first * o.BColumn), o.BRow, o.BColumn, depth, columns - first, packedB);
                }

                for (var i = 0; i < rows; i += rowBlock)
                {
                    var blockRows = Math.Min(rowBlock, rows - i);
                    var a = o.A + ((i0 + i) * o.ARow) + (p0 * o.AColumn);
                    var (aRow, aStep) = (o.ARow, o.AColumn);
                    if (copyA)
                    {
                        PackA(a, o.ARow, o.AColumn, depth, blockRows, packedA);
                        a = packedA;
                        (aRow, aStep) = o.AColumn == 1 ? (depth + RowGap, 1) : (1, TTile.Rows);
                    }

                    var aTile = aRow == 1 && aStep == TTile.Rows ? depth : aRow;

                    for (var s = 0; s < strips; s++)
                    {
                        var strip = s < firstPacked ? b + (s * TTile.Columns) : packedB + ((s - firstPacked) * TTile.Columns * (nint)depth);
                        var stripStep = s < firstPacked ? o.BRow : TTile.Columns;
                        var width = Math.Min(TTile.Columns, columns - (s * TTile.Columns));
                        for (var r = 0; r < blockRows; r += TTile.Rows)
                        {
                            var height = Math.Min(TTile.Rows, blockRows - r);
                            var tileA = a + (r * aTile);
                            var c = o.C + ((i0 + i + r) * o.CRow) + j0 + (s * TTile.Columns);
                            Prefetch(c, height, width, o.CRow);
                            if (width == TTile.Columns)
                            {
                                Tile(height, depth, tileA, aRow, aStep, strip, stripStep, c, o.CRow, accumulate);
                            }
                            else
                            {
                                Tile(height, depth, tileA, aRow, aStep, strip, stripStep, scratch, TTile.Columns, accumulate: false);
                                Put(scratch, height, width, c, o.CRow, accumulate);
                            }
                        }
                    }
                }
            }
        }

        if (buffer is not null)
        {
            ArrayPool<float>.Shared.Return(buffer);
        }
    }

    // Rows read in step must not fall onto the same few lines of the first cache, which happens when they lie near a multiple of
    // its 4096 bytes apart; a transposed A would take a new page at every step.
    private static bool IsReadable(in ProductOperands o) =>
        o.AColumn == 1 && (o.M <= TTile.Rows || ((o.ARow + 48) & 1023) > 96);

    // Strips of TTile.Columns columns, each step's numbers side by side, the last strip filled up with zeros.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackB(float* b, nint bRow, nint bColumn, int depth, int columns, float* packed)
    {
        var width = TTile.Columns;
        var whole = columns / width * width;
        if (bColumn == 1)
        {
            for (var p = 0; p < depth; p++)
            {
                var row = b + (p * bRow);
                var to = packed + (p * width);
                var ahead = row + (Ahead * bRow);
                for (var j = 0; j < whole; j += width)
                {
                    Prefetch(ahead + j, 1, width, 0);
                    Unsafe.CopyBlockUnaligned(to + (j * (nint)depth), row + j, (uint)(width * sizeof(float)));
                }
            }
        }
        else
        {
            for (var j = 0; j < whole; j += width)
            {
                Transpose(b + (j * bColumn), bColumn, width, depth, packed + (j * (nint)depth));
            }
        }

        if (whole == columns)
        {
            return;
        }

        var last = packed + (whole * (nint)depth);
        for (var p = 0; p < depth; p++)
        {
            for (var j = 0; j < width; j++)
            {
                last[(p * width) + j] = whole + j < columns ? b[(p * bRow) + ((whole + j) * bColumn)] : 0;
            }
        }
    }

    // packed[p * rows + r] = stored[r * stride + p], eight by eight numbers at a time where there are so many.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Transpose(float* stored, nint stride, int rows, int depth, float* packed)
    {
        var wholeDepth = Avx.IsSupported && rows % 8 == 0 ? depth & ~7 : 0;
        for (var r = 0; r < rows && wholeDepth > 0; r += 8)
        {
            var from = stored + (r * stride);
            var to = packed + r;
            for (var p = 0; p < wholeDepth; p += 8, from += 8, to += 8 * rows)
            {
                var half = from + (4 * stride);
                var r0 = Vector256.Load(from);
                var r1 = Vector256.Load(from + stride);
                var r2 = Vector256.Load(from + (2 * stride));
                var r3 = Vector256.Load(from + (3 * stride));
                var r4 = Vector256.Load(half);
                var r5 = Vector256.Load(half + stride);
                var r6 = Vector256.Load(half + (2 * stride));
                var r7 = Vector256.Load(half + (3 * stride));
                var t0 = Avx.UnpackLow(r0, r1);
                var t1 = Avx.UnpackHigh(r0, r1);
                var t2 = Avx.UnpackLow(r2, r3);
                var t3 = Avx.UnpackHigh(r2, r3);
                var t4 = Avx.UnpackLow(r4, r5);
                var t5 = Avx.UnpackHigh(r4, r5);
                var t6 = Avx.UnpackLow(r6, r7);
                var t7 = Avx.UnpackHigh(r6, r7);
                r0 = Avx.Shuffle(t0, t2, 0x44);
                r1 = Avx.Shuffle(t0, t2, 0xEE);
                r2 = Avx.Shuffle(t1, t3, 0x44);
                r3 = Avx.Shuffle(t1, t3, 0xEE);
                r4 = Avx.Shuffle(t4, t6, 0x44);
                r5 = Avx.Shuffle(t4, t6, 0xEE);
                r6 = Avx.Shuffle(t5, t7, 0x44);
                r7 = Avx.Shuffle(t5, t7, 0xEE);
                Avx.Permute2x128(r0, r4, 0x20).Store(to);
                Avx.Permute2x128(r1, r5, 0x20).Store(to + rows);
                Avx.Permute2x128(r2, r6, 0x20).Store(to + (2 * rows));
                Avx.Permute2x128(r3, r7, 0x20).Store(to + (3 * rows));
                Avx.Permute2x128(r0, r4, 0x31).Store(to + (4 * rows));
                Avx.Permute2x128(r1, r5, 0x31).Store(to + (5 * rows));
                Avx.Permute2x128(r2, r6, 0x31).Store(to + (6 * rows));
                Avx.Permute2x128(r3, r7, 0x31).Store(to + (7 * rows));
            }
        }

        for (var r = 0; r < rows; r++)
        {
            for (var p = wholeDepth; p < depth; p++)
            {
                packed[(p * rows) + r] = stored[(r * stride) + p];
            }
        }
    }

    // As stored, so that nothing is transposed: rows of A as rows a little apart, columns of A in groups of TTile.Rows numbers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackA(float* a, nint aRow, nint aColumn, int depth, int rows, float* packed)
    {
        if (aColumn == 1)
        {
            for (var r = 0; r < rows; r++)
            {
                var ahead = a + ((r + Ahead) * aRow);
                for (var p = 0; p < depth; p += 16)
                {
                    Prefetch(ahead + p, 1, 1, 0);
                }

                Unsafe.CopyBlockUnaligned(packed + (r * (nint)(depth + RowGap)), a + (r * aRow), (uint)(depth * sizeof(float)));
            }

            return;
        }

        for (var r = 0; r < rows; r += TTile.Rows)
        {
            var height = (uint)(Math.Min(TTile.Rows, rows - r) * sizeof(float));
            for (var p = 0; p < depth; p++)
            {
                Unsafe.CopyBlockUnaligned(packed + (r * (nint)depth) + (p * TTile.Rows), a + r + (p * aColumn), height);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Put(float* tile, int height, int width, float* c, nint cRow, bool accumulate)
    {
        for (var r = 0; r < height; r++)
        {
            for (var j = 0; j < width; j++)
            {
                ref var target = ref c[(r * cRow) + j];
                target = tile[(r * TTile.Columns) + j] + (accumulate ? target : 0);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile(
        int rows, int depth, float* a, nint aRow, nint aStep, float* b, nint bStep, float* c, nint cRow, bool accumulate)
    {
        switch (rows)
        {
            case 1: TTile.Multiply<C1>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 2: TTile.Multiply<C2>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 3: TTile.Multiply<C3>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 4: TTile.Multiply<C4>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 5: TTile.Multiply<C5>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 6: TTile.Multiply<C6>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 7: TTile.Multiply<C7>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 8: TTile.Multiply<C8>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 9: TTile.Multiply<C9>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 10: TTile.Multiply<C10>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            case 11: TTile.Multiply<C11>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
            default: TTile.Multiply<C12>(depth, a, aRow, aStep, b, bStep, c, cRow, accumulate); break;
        }
    }

    private static void Prefetch(float* c, int height, int width, nint cRow)
    {
        if (Sse.IsSupported)
        {
            for (; height > 0; height--, c += cRow)
            {
                Sse.Prefetch0(c);
                Sse.Prefetch0(c + width - 1);
            }
        }
    }

    private struct Work
    {
        public ProductOperands Operands;
        public int Rows;
        public int Columns;
        public int RowBlocks;
    }
}
