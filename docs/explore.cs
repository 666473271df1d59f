#:package HeadScope.Interactive@0.1.*
#:package TorchSharp-cpu@0.107.0
#:property UseCurrentRuntimeIdentifier=true

// Which heads of a model know a relation? Copy this file to a folder of your own, then
//     dotnet run explore.cs                           the built-in model, and its figure in head-map.html
//     dotnet run explore.cs gpt2 figure.pdf --open    another model; the figure opens in the program for its kind
using System.Diagnostics;
using HeadScope;

var words = args.Where(a => a != "--open").ToList();
using var model = Model.Load(words.ElementAtOrDefault(0) ?? "demo");
var map = HeadMap.Score(model, Relations.All);

Console.WriteLine($"{"head",-6}{"score",6}  examples");
var capitals = map["country_to_capital"];
foreach (var score in capitals.Top(5))
{
    Console.WriteLine($"{score.Head,-6}{score.Score,6:0.00}  {string.Join(", ", capitals.Examples(score.Head).Take(4).Select(p => $"{p.Source}→{p.Target}"))}");
}

var figure = Path.GetFullPath(words.ElementAtOrDefault(1) ?? "head-map.html");
Charts.HeadMap(map).SavePaper(figure, widthMm: 175);
Console.WriteLine($"The figure is {Path.GetFileName(figure)}.");
if (args.Contains("--open"))
{
    Process.Start(new ProcessStartInfo(figure) { UseShellExecute = true });
}
