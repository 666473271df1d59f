using System.Text;
using Node = HeadScope.SplitPatternParser.Node;

namespace HeadScope;

/// <summary>
/// A regular expression over code points that cuts text into pieces, run as a small program with backtracking.
/// </summary>
/// <remarks>
/// .NET's own engine works on UTF-16 units, where a letter beyond the basic plane is two surrogates and not a letter, and it
/// folds case differently; both change tokens. The stack of the way back is kept on the heap: no text can overflow the thread's.
/// </remarks>
internal sealed class SplitPattern
{
    private const int MostAlternatives = 64;
    private const int LongestProgram = 100_000;

    private readonly List<Instruction> _code = [];
    private readonly Instruction[] _program;

    // Where each alternative of the whole expression starts, and which of them can start with a given ASCII character.
    private readonly int[] _entries;
    private readonly ulong[] _startsWith = new ulong[128];
    private readonly ulong _all;

    /// <summary>Compiles an expression.</summary>
    /// <exception cref="NotSupportedException">The expression uses what this engine does not have.</exception>
    public SplitPattern(string pattern)
        : this(SplitPatternParser.Parse(pattern) is { MayBeEmpty: false } root
            ? root
            : throw new NotSupportedException($"The pattern {pattern} can match the empty text, which is not supported."))
    {
    }

    private SplitPattern(Node root)
    {
        IReadOnlyList<Node> alternatives = root is Node.Choice { Alternatives.Count: <= MostAlternatives } choice
            ? choice.Alternatives
            : [root];
        _entries = new int[alternatives.Count];
        for (var i = 0; i < alternatives.Count; i++)
        {
            _entries[i] = _code.Count;
            Emit(alternatives[i]);
            _code.Add(new(Operation.Accept));
        }

        _program = [.. _code];
        _all = ulong.MaxValue >> (MostAlternatives - _entries.Length);
        for (var character = 0; character < 128; character++)
        {
            for (var i = 0; i < _entries.Length; i++)
            {
                _startsWith[character] |= CanStart(_entries[i], character) ? 1UL << i : 0;
            }
        }
    }

    private enum Operation
    {
        /// <summary>A run of members of a class, as long as possible, with a way back to its minimum.</summary>
        Run,

        /// <summary>Go on, and come back to the target on failure.</summary>
        TryNext,

        /// <summary>Go to the target, and come back to the next instruction on failure.</summary>
        TryTarget,
        Jump,
        Follows,
        DoesNotFollow,
        Atomic,
        Accept,
    }

    /// <summary>The expression that matches a literal text.</summary>
    public static SplitPattern Literal(string text) => new(new Node.Sequence(
        [.. text.EnumerateRunes().Select(rune => new Node.Run(new CharacterClass(ranges: [(rune.Value, rune.Value)]), 1, 1))]));

    /// <summary>The first match at or after a position.</summary>
    public bool Find(ReadOnlySpan<char> text, int from, Scratch scratch, out int start, out int end)
    {
        for (start = from; start < text.Length; start++)
        {
            var first = text[start];
            var candidates = first < 128 ? _startsWith[first] : _all;
            for (; candidates != 0; candidates &= candidates - 1)
            {
                end = Execute(text, start, _entries[System.Numerics.BitOperations.TrailingZeroCount(candidates)], scratch);
                if (end >= 0)
                {
                    return true;
                }
            }

            if (char.IsHighSurrogate(first) && start + 1 < text.Length && char.IsLowSurrogate(text[start + 1]))
            {
                start++;
            }
        }

        end = start;
        return false;
    }

    private int Execute(ReadOnlySpan<char> text, int position, int pc, Scratch scratch)
    {
        var floor = scratch.Count;
        while (true)
        {
            ref readonly var step = ref _program[pc++];
            switch (step.Operation)
            {
                case Operation.Run:
                    var count = 0;
                    var lowest = position;
                    while (count < step.Maximum && position < text.Length)
                    {
                        var width = step.Class!.WidthAt(text, position);
                        if (width == 0)
                        {
                            break;
                        }

                        position += width;
                        if (++count == step.Minimum)
                        {
                            lowest = position;
                        }
                    }

                    if (count < step.Minimum)
                    {
                        goto Failed;
                    }

                    if (count > step.Minimum)
                    {
                        scratch.Push(pc, position, lowest);
                    }

                    continue;
                case Operation.TryNext:
                    scratch.Push(step.Target, position, position);
                    continue;
                case Operation.TryTarget:
                    scratch.Push(pc, position, position);
                    pc = step.Target;
                    continue;
                case Operation.Jump:
                    pc = step.Target;
                    continue;
                case Operation.Follows or Operation.DoesNotFollow:
                    if (Execute(text, position, pc, scratch) >= 0 != (step.Operation == Operation.Follows))
                    {
                        goto Failed;
                    }

                    pc = step.Target;
                    continue;
                case Operation.Atomic:
                    position = Execute(text, position, pc, scratch);
                    if (position < 0)
                    {
                        goto Failed;
                    }

                    pc = step.Target;
                    continue;
                case Operation.Accept:
                    scratch.Count = floor;
                    return position;
            }

        Failed:
            if (scratch.Count == floor)
            {
                return -1;
            }

            ref var back = ref scratch.Top;
            pc = back.Program;
            if (back.Position > back.Lowest)
            {
                // One code point less of a run.
                back.Position -= char.IsLowSurrogate(text[back.Position - 1]) && back.Position - 2 >= back.Lowest
                    && char.IsHighSurrogate(text[back.Position - 2]) ? 2 : 1;
            }

            position = back.Position;
            if (back.Position <= back.Lowest)
            {
                scratch.Count--;
            }
        }
    }

    private void Emit(Node node)
    {
        if (_code.Count > LongestProgram)
        {
            throw new NotSupportedException("The pattern repeats too much to be compiled.");
        }

        switch (node)
        {
            case Node.Run run:
                _code.Add(new(Operation.Run, run.Class, run.Minimum, run.Maximum));
                break;
            case Node.Sequence sequence:
                foreach (var part in sequence.Parts)
                {
                    Emit(part);
                }

                break;
            case Node.Choice choice:
                var ends = new List<int>();
                for (var i = 0; i < choice.Alternatives.Count - 1; i++)
                {
                    var branch = Reserve();
                    Emit(choice.Alternatives[i]);
                    ends.Add(Reserve());
                    _code[branch] = new(Operation.TryNext, Target: _code.Count);
                }

                Emit(choice.Alternatives[^1]);
                ends.ForEach(end => _code[end] = new(Operation.Jump, Target: _code.Count));
                break;
            case Node.Repeat repeat:
                EmitRepeat(repeat);
                break;
            case Node.Look look:
                EmitInner(look.Negative ? Operation.DoesNotFollow : Operation.Follows, look.Body);
                break;
            case Node.Atomic atomic:
                EmitInner(Operation.Atomic, atomic.Body);
                break;
        }
    }

    private void EmitRepeat(Node.Repeat repeat)
    {
        var leave = repeat.Lazy ? Operation.TryTarget : Operation.TryNext;
        for (var i = 0; i < repeat.Minimum; i++)
        {
            Emit(repeat.Body);
        }

        if (repeat.Maximum == int.MaxValue)
        {
            var loop = Reserve();
            Emit(repeat.Body);
            _code.Add(new(Operation.Jump, Target: loop));
            _code[loop] = new(leave, Target: _code.Count);
            return;
        }

        var exits = new List<int>();
        for (var i = repeat.Minimum; i < repeat.Maximum; i++)
        {
            exits.Add(Reserve());
            Emit(repeat.Body);
        }

        exits.ForEach(exit => _code[exit] = new(leave, Target: _code.Count));
    }

    private void EmitInner(Operation operation, Node body)
    {
        var head = Reserve();
        Emit(body);
        _code.Add(new(Operation.Accept));
        _code[head] = new(operation, Target: _code.Count);
    }

    private int Reserve()
    {
        _code.Add(default);
        return _code.Count - 1;
    }

    /// <summary>Whether a match from here can start with an ASCII character; true when in doubt.</summary>
    private bool CanStart(int pc, int character)
    {
        while (true)
        {
            var step = _program[pc++];
            switch (step.Operation)
            {
                case Operation.Run when step.Class!.Contains(character):
                    return true;
                case Operation.Run when step.Minimum > 0:
                    return false;
                case Operation.Run:
                    break;
                case Operation.TryNext or Operation.TryTarget:
                    if (CanStart(pc, character))
                    {
                        return true;
                    }

                    pc = step.Target;
                    break;
                case Operation.Jump or Operation.Follows or Operation.DoesNotFollow:
                    pc = step.Target;
                    break;
                default:
                    return true;
            }
        }
    }

    /// <summary>One instruction; the body of a look-ahead or an atomic group follows it and ends with Accept.</summary>
    private readonly record struct Instruction(
        Operation Operation, CharacterClass? Class = null, int Minimum = 0, int Maximum = 0, int Target = 0);

    /// <summary>The places to come back to when a match fails; one for each thread at work, reused between matches.</summary>
    internal sealed class Scratch
    {
        private Place[] _places = new Place[16];

        /// <summary>How many places there are.</summary>
        public int Count { get; set; }

        /// <summary>The last place.</summary>
        public ref Place Top => ref _places[Count - 1];

        /// <summary>Adds a place; a run can also be cut back from <paramref name="position"/> to <paramref name="lowest"/>.</summary>
        public void Push(int program, int position, int lowest)
        {
            if (Count == _places.Length)
            {
                Array.Resize(ref _places, 2 * Count);
            }

            _places[Count++] = new Place { Program = program, Position = position, Lowest = lowest };
        }

        /// <summary>Where to go on, in the program and in the text.</summary>
        internal struct Place
        {
            public int Program;
            public int Position;
            public int Lowest;
        }
    }
}
