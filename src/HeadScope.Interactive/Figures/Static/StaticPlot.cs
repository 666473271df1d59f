using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <summary>One pair of axes and the part of the page that it has.</summary>
/// <param name="X">The horizontal axis on the page.</param>
/// <param name="Y">The vertical axis on the page.</param>
/// <param name="Box">The part of the page.</param>
/// <param name="XAxis">How the horizontal axis looks.</param>
/// <param name="YAxis">How the vertical axis looks.</param>
internal readonly record struct StaticPlot(StaticAxis X, StaticAxis Y, Box Box, Axis XAxis, Axis YAxis);
