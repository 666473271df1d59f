using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace HeadScope;

/// <summary>Checks whose message is put together only where they fail.</summary>
internal static class Fault
{
    /// <exception cref="InvalidDataException">It is so: a file is damaged or unfit.</exception>
    public static void InvalidDataIf([DoesNotReturnIf(true)] bool isSo, [InterpolatedStringHandlerArgument(nameof(isSo))] ref Message message) =>
        _ = isSo ? throw new InvalidDataException(message.Text()) : 0;

    /// <exception cref="NotSupportedException">It is so: something is refused.</exception>
    public static void NotSupportedIf([DoesNotReturnIf(true)] bool isSo, [InterpolatedStringHandlerArgument(nameof(isSo))] ref Message message) =>
        _ = isSo ? throw new NotSupportedException(message.Text()) : 0;

    /// <exception cref="ArgumentException">It is so: an argument is bad.</exception>
    public static void ArgumentIf([DoesNotReturnIf(true)] bool isSo, [InterpolatedStringHandlerArgument(nameof(isSo))] ref Message message) =>
        _ = isSo ? throw new ArgumentException(message.Text()) : 0;

    [InterpolatedStringHandler]
    public ref struct Message
    {
        private DefaultInterpolatedStringHandler text;

        public Message(int literalLength, int formattedCount, bool isSo, out bool isWanted)
        {
            isWanted = isSo;
            text = isSo ? new(literalLength, formattedCount, CultureInfo.InvariantCulture) : default;
        }

        public void AppendLiteral(string value) => text.AppendLiteral(value);

        public void AppendFormatted<T>(T value, string? format = null) => text.AppendFormatted(value, format);

        public string Text() => text.ToStringAndClear();
    }
}
