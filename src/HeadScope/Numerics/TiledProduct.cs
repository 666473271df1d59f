using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace HeadScope;

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
        work.ColumnBlocks = Blocks(operands.N, work.Columns);

        // A thread takes neighbouring blocks together, but enough times that both end at nearly the same time.
        work.Together = workers == 1 ? work.ColumnBlocks : Math.Clamp(work.ColumnBlocks * work.RowBlocks / (8 * workers), 1, work.ColumnBlocks);
        var turns = work.RowBlocks * Blocks(work.ColumnBlocks, work.Together);
        if (workers == 1)
        {
            for (var i = 0; i < turns; i++)
            {
                TakeTurn(&work, i);
            }

            return;
        }

        Parallelism.For(turns, &TakeTurn, &work);
    }

    private static int Blocks(int size, int block) => (size + block - 1) / block;

    // size / parts, rounded up to a multiple of the unit.
    private static int BlockSize(int size, int parts, int unit) => Blocks(Blocks(size, parts), unit) * unit;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TakeTurn(void* state, int index)
    {
        ref readonly var work = ref *(Work*)state;
        ref readonly var o = ref work.Operands;
        var i0 = index % work.RowBlocks * work.Rows;
        var firstColumn = index / work.RowBlocks * work.Together * work.Columns;
        var endColumn = (int)Math.Min(firstColumn + ((long)work.Together * work.Columns), o.N);
        var rows = Math.Min(work.Rows, o.M - i0);

        var depthBlock = Blocks(o.K, Blocks(o.K, TTile.Depth));
        var direct = o.BColumn == 1 && rows <= DirectRows && o.BRow < PageLength;
        var copyA = !IsReadable(o);
        var rowBlock = Math.Min(rows, BlockRows);
        var rowTiles = Blocks(rows, TTile.Rows);

        var bLength = work.Columns * depthBlock;
        var aLength = copyA ? rowBlock * (depthBlock + RowGap) : 0;
        var buffer = ArrayPool<float>.Shared.Rent(bLength + aLength + 32);
        var scratch = stackalloc float[TTile.Rows * TTile.Columns];
        fixed (float* start = buffer)
        {
            var packedB = (float*)(((nuint)start + 63) & ~(nuint)63);
            var packedA = packedB + ((bLength + 15) & ~15);
            for (var j0 = firstColumn; j0 < endColumn; j0 += work.Columns)
            {
                var columns = Math.Min(work.Columns, endColumn - j0);
                var strips = Blocks(columns, TTile.Columns);
                var firstPacked = direct ? columns / TTile.Columns : 0;
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

                    var isLastDepth = p0 + depthBlock >= o.K;
                    var nextB = direct || (isLastDepth && j0 + work.Columns >= endColumn)
                        ? default
                        : BAhead(
                            o, isLastDepth ? 0 : p0 + depthBlock, depthBlock, isLastDepth ? j0 + work.Columns : j0, work.Columns,
                            strips * rowTiles);

                    for (var i = 0; i < rows; i += rowBlock)
                    {
                        var blockRows = Math.Min(rowBlock, rows - i);
                        var a = o.A + ((i0 + i) * o.ARow) + (p0 * o.AColumn);
                        var aRow = o.ARow;
                        if (copyA)
                        {
                            aRow = depth + RowGap;
                            PackA(a, o.ARow, o.AColumn, depth, blockRows, packedA);
                            a = packedA;
                        }

                        var isLastRow = i + rowBlock >= rows;
                        var nextA = isLastRow && isLastDepth
                            ? default
                            : AAhead(
                                o, i0 + (isLastRow ? 0 : i + rowBlock), rowBlock, isLastRow ? p0 + depthBlock : p0, depthBlock,
                                strips * Blocks(blockRows, TTile.Rows));

                        for (var s = 0; s < strips; s++)
                        {
                            var strip = s < firstPacked
                                ? b + (s * TTile.Columns)
                                : packedB + ((s - firstPacked) * TTile.Columns * (nint)depth);
                            var stripStep = s < firstPacked ? o.BRow : TTile.Columns;
                            var width = Math.Min(TTile.Columns, columns - (s * TTile.Columns));
                            for (var r = 0; r < blockRows; r += TTile.Rows)
                            {
                                var height = Math.Min(TTile.Rows, blockRows - r);
                                var tileA = a + (r * aRow);
                                var c = o.C + ((i0 + i + r) * o.CRow) + j0 + (s * TTile.Columns);
                                nextB.Ask();
                                nextA.Ask();
                                Prefetch(c, height, width, o.CRow);
                                if (width == TTile.Columns)
                                {
                                    Tile(height, depth, tileA, aRow, strip, stripStep, c, o.CRow, accumulate);
                                }
                                else
                                {
                                    Tile(height, depth, tileA, aRow, strip, stripStep, scratch, TTile.Columns, accumulate: false);
                                    Put(scratch, height, width, c, o.CRow, accumulate);
                                }
                            }
                        }
                    }
                }
            }
        }

        ArrayPool<float>.Shared.Return(buffer);
    }

    private static LinesAhead BAhead(in ProductOperands o, int p0, int depth, int j0, int columns, int calls)
    {
        var start = o.B + (p0 * o.BRow) + (j0 * o.BColumn);
        depth = Math.Min(depth, o.K - p0);
        columns = Math.Min(columns, o.N - j0);
        return o.BColumn == 1 ? new(start, o.BRow, depth, columns, calls) : new(start, o.BColumn, columns, depth, calls);
    }

    private static LinesAhead AAhead(in ProductOperands o, int i0, int rows, int p0, int depth, int calls)
    {
        var start = o.A + (i0 * o.ARow) + (p0 * o.AColumn);
        rows = Math.Min(rows, o.M - i0);
        depth = Math.Min(depth, o.K - p0);
        return o.AColumn == 1 ? new(start, o.ARow, rows, depth, calls) : new(start, o.AColumn, depth, rows, calls);
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
                Transpose(b + (j * bColumn), bColumn, width, depth, packed + (j * (nint)depth), width);
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

    // packed[p * packedRow + r] = stored[r * stride + p] for so many rows and columns as stored, eight by eight numbers at a time.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Transpose(float* stored, nint stride, int rows, int columns, float* packed, nint packedRow)
    {
        var wholeRows = Avx.IsSupported ? rows & ~7 : 0;
        var wholeColumns = Avx.IsSupported ? columns & ~7 : 0;
        for (var r = 0; r < wholeRows; r += 8)
        {
            for (var p = 0; p < wholeColumns; p += 8)
            {
                Transpose8x8(stored + (r * stride) + p, stride, packed + (p * packedRow) + r, packedRow);
            }
        }

        for (var r = 0; r < rows; r++)
        {
            for (var p = r < wholeRows ? wholeColumns : 0; p < columns; p++)
            {
                packed[(p * packedRow) + r] = stored[(r * stride) + p];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose8x8(float* from, nint stride, float* to, nint toRow)
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
        Avx.Permute2x128(r1, r5, 0x20).Store(to + toRow);
        Avx.Permute2x128(r2, r6, 0x20).Store(to + (2 * toRow));
        Avx.Permute2x128(r3, r7, 0x20).Store(to + (3 * toRow));
        to += 4 * toRow;
        Avx.Permute2x128(r0, r4, 0x31).Store(to);
        Avx.Permute2x128(r1, r5, 0x31).Store(to + toRow);
        Avx.Permute2x128(r2, r6, 0x31).Store(to + (2 * toRow));
        Avx.Permute2x128(r3, r7, 0x31).Store(to + (3 * toRow));
    }

    // Rows a little farther apart than they are long.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackA(float* a, nint aRow, nint aColumn, int depth, int rows, float* packed)
    {
        nint packedRow = depth + RowGap;
        if (aColumn == 1)
        {
            for (var r = 0; r < rows; r++)
            {
                Unsafe.CopyBlockUnaligned(packed + (r * packedRow), a + (r * aRow), (uint)(depth * sizeof(float)));
            }

            return;
        }

        Transpose(a, aColumn, depth, rows, packed, packedRow);
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
        int rows, int depth, float* a, nint aRow, float* b, nint bStep, float* c, nint cRow, bool accumulate)
    {
        switch (rows)
        {
            case 1: TTile.Multiply<C1>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 2: TTile.Multiply<C2>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 3: TTile.Multiply<C3>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 4: TTile.Multiply<C4>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 5: TTile.Multiply<C5>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 6: TTile.Multiply<C6>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 7: TTile.Multiply<C7>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 8: TTile.Multiply<C8>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 9: TTile.Multiply<C9>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 10: TTile.Multiply<C10>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            case 11: TTile.Multiply<C11>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
            default: TTile.Multiply<C12>(depth, a, aRow, b, bStep, c, cRow, accumulate); break;
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
        public int ColumnBlocks;
        public int Together;
    }
}
