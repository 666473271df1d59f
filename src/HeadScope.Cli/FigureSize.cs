using System.CommandLine;

namespace HeadScope.Cli;

/// <summary>How large pictures are that a verb writes, for the paper that they go into.</summary>
/// <param name="WidthMm">The width in millimetres.</param>
/// <param name="HeightMm">The height; null where it follows from the figure.</param>
/// <param name="Dpi">The dots an inch of a .png.</param>
internal sealed record FigureSize(double WidthMm, double? HeightMm, double Dpi)
{
    /// <summary>The options <c>--width</c>, <c>--height</c> and <c>--dpi</c> of a verb.</summary>
    internal sealed class Options
    {
        private readonly Option<double> width = new("--width")
        {
            Description = "The width of an .svg, .pdf or .png in millimetres; a column of a paper has about 84. The figure is laid out anew for it.", HelpName = "mm", DefaultValueFactory = _ => 175,
        };

        private readonly Option<double?> height = new("--height") { Description = "Its height in millimetres; else it follows from the figure.", HelpName = "mm" };

        private readonly Option<double> dpi = new("--dpi") { Description = "The dots an inch of a .png.", HelpName = "n", DefaultValueFactory = _ => 300 };

        /// <summary>Adds the options to a verb.</summary>
        public Options(Command verb)
        {
            verb.Options.Add(width);
            verb.Options.Add(height);
            verb.Options.Add(dpi);
        }

        /// <summary>What was given.</summary>
        /// <exception cref="UsageException">A number is not positive.</exception>
        public FigureSize Read(ParseResult parsed) => new(Positive(width, parsed.GetValue(width)), parsed.GetValue(height) is { } high ? Positive(height, high) : null, Positive(dpi, parsed.GetValue(dpi)));

        private static double Positive(Option option, double value) =>
            double.IsFinite(value) && value > 0 ? value : throw new UsageException($"{option.Name} {value}: expected a positive number.");
    }
}
