namespace HeadScope;

/// <summary>One tensor of a model's parameters, read from its file when it is first used. Safe to use from several threads.</summary>
/// <remarks>What its members return lives in the caller's dispose scope.</remarks>
internal sealed class Parameter
{
    /// <summary>Rows that are read at a time where a whole matrix may be too much.</summary>
    private const long NumbersAtOnce = 1L << 24;

    private readonly WeightMemory memory;
    private readonly Func<long, long, Tensor> read;
    private readonly Lock gate = new();
    private Tensor? held;

    /// <summary>A parameter of which some neighbouring rows of the first dimension, or all, are read on the CPU, as stored or in fp64.</summary>
    public Parameter(WeightMemory memory, long[] shape, Func<long, long, Tensor> read)
    {
        (this.memory, this.read, Shape) = (memory, read, shape);
        memory.Add(this);
    }

    public long[] Shape { get; }

    public long Length => Shape.Aggregate(1L, (product, n) => product * n);

    public bool IsHeld => held is not null;

    public bool Stays => memory.Stays;

    /// <summary>The whole tensor on the model's device, in its dtype. Not to be changed.</summary>
    public Tensor Value
    {
        get
        {
            ObjectDisposedException.ThrowIf(memory.IsDisposed, typeof(Model));
            return memory.Stays ? Held() : Convert(Stored());
        }
    }

    /// <summary>The whole tensor for users: theirs to dispose or to ask for gradients, without effect on the model, whose memory it shares.</summary>
    public Tensor Fresh()
    {
        // Not the alias itself: what is asked of it (gradients, another shape) would stay in the model.
        using var scope = NewDisposeScope();
        return Value.detach().MoveToOuterDisposeScope();
    }

    /// <summary>As stored, or in fp64, on the CPU; for processing without rounding twice.</summary>
    public Tensor Stored() => read(0, Shape[0]);

    /// <summary>Some neighbouring rows, as <see cref="Stored"/>.</summary>
    public Tensor StoredRows(long first, long count) => read(first, count);

    /// <summary>Some neighbouring rows, on the model's device, in its dtype.</summary>
    public Tensor Rows(long first, long count) =>
        memory.Stays ? Value.narrow(0, first, count) : Convert(read(first, count));

    /// <summary>Rows by their numbers, [rows.Length, …], on the model's device, in its dtype; a copy.</summary>
    public Tensor Pick(long[] rows) => memory.Stays
        ? Value.index_select(0, tensor(rows, device: memory.Device))
        : Convert(cat([.. rows.Select(row => read(row, 1))]));

    /// <summary>The ranges of rows that together are the whole, each small enough to be held in fp64.</summary>
    public IEnumerable<(long First, long Count)> Chunks()
    {
        var rows = Math.Max(1, NumbersAtOnce / Math.Max(1, Length / Math.Max(1, Shape[0])));
        for (var first = 0L; first < Shape[0]; first += rows)
        {
            yield return (first, Math.Min(rows, Shape[0] - first));
        }
    }

    /// <summary>A parameter computed from this one in fp64, from some rows at a time.</summary>
    public Parameter MapRows(Func<Tensor, Tensor> change) => new(memory, Shape, (first, count) => change(read(first, count).to(float64)));

    /// <summary>A parameter computed from this one in fp64 as a whole.</summary>
    public Parameter Map(Func<Tensor, Tensor> change) =>
        new(memory, Shape, (first, count) => change(Stored().to(float64)).narrow(0, first, count));

    /// <summary>A parameter beside this one, given as numbers.</summary>
    public Parameter Beside(long[] shape, Func<double[]> numbers) =>
        new(memory, shape, (first, count) => tensor(numbers(), shape).narrow(0, first, count));

    public double[] ToArray()
    {
        using var scope = NewDisposeScope();
        return Stored().to(float64).contiguous().data<double>().ToArray();
    }

    public void Release()
    {
        lock (gate)
        {
            held?.Dispose();
            held = null;
        }
    }

    private Tensor Held()
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(memory.IsDisposed, typeof(Model));
            if (held is null)
            {
                // A user's inference mode would mark the weights for ever.
                using var ordinary = inference_mode(false);
                using var scope = NewDisposeScope();
                held = Convert(Stored()).DetachFromDisposeScope();
            }

            // A handle of the caller's own: the model may be disposed in another thread while native code reads the tensor.
            var own = held.alias();
            GC.KeepAlive(this);
            return own;
        }
    }

    private Tensor Convert(Tensor stored) => stored.to(memory.Dtype).to(memory.Device).contiguous();
}
