using System.Text;

namespace HeadScope.Notebooks.Session;

/// <summary>Sends what cells write to the console to their output, and what they read from it to the person at the notebook.</summary>
internal static class ConsoleStreams
{
    private static readonly Lock Gate = new();
    private static bool installed;

    /// <summary>Takes the console over, once for the process. Code outside of cells still reaches the real console.</summary>
    public static void Install()
    {
        lock (Gate)
        {
            if (installed)
            {
                return;
            }

            Console.SetOut(new Writer(OutputStream.Out, Console.Out));
            Console.SetError(new Writer(OutputStream.Error, Console.Error));
            Console.SetIn(new Reader(Console.In));
            installed = true;
        }
    }

    private sealed class Writer(OutputStream stream, TextWriter outside) : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => Write(value.ToString());

        public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

        public override void Write(ReadOnlySpan<char> buffer) => Write(buffer.ToString());

        public override void Write(string? value)
        {
            if (string.IsNullOrEmpty(value))
            {
                return;
            }

            if (CellContext.Current is { } cell)
            {
                cell.Output.Write(stream, value);
            }
            else
            {
                outside.Write(value);
            }
        }

        public override void WriteLine() => Write("\n");

        // One call for one line, so that lines of several threads do not mix.
        public override void WriteLine(string? value) => Write(value + "\n");

        public override void WriteLine(ReadOnlySpan<char> buffer) => Write($"{buffer}\n");

        public override void Flush() => outside.Flush();
    }

    private sealed class Reader(TextReader outside) : TextReader
    {
        private string rest = "";

        public override string? ReadLine()
        {
            if (CellContext.Current is not { } cell)
            {
                return outside.ReadLine();
            }

            if (rest.Length > 0)
            {
                var line = rest.TrimEnd('\n');
                rest = "";
                return line;
            }

            return cell.Output.ReadLine("", password: false, cell.CancellationToken);
        }

        public override int Peek()
        {
            if (CellContext.Current is null)
            {
                return outside.Peek();
            }

            Fill();
            return rest[0];
        }

        public override int Read()
        {
            if (CellContext.Current is null)
            {
                return outside.Read();
            }

            Fill();
            var next = rest[0];
            rest = rest[1..];
            return next;
        }

        private void Fill()
        {
            if (rest.Length == 0)
            {
                rest = ReadLine() + "\n";
            }
        }
    }
}
