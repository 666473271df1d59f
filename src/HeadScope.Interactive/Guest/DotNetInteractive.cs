using System.Reflection;
using System.Runtime.Loader;
using Microsoft.DotNet.Interactive;
using Microsoft.DotNet.Interactive.Formatting;
using Plotly.NET;

namespace HeadScope;

/// <summary>What HeadScope needs in Microsoft's kernel, .NET Interactive. The package's <c>extension.dib</c> calls it, after a
/// <c>#r "nuget: HeadScope.Interactive"</c>.</summary>
public static class DotNetInteractive
{
    private const string Html = "text/html";

    private static int loaded;

    /// <summary>Makes charts work beside that kernel's older F# library, registers the formatters, and shows the progress of long calls as a line of
    /// text every 30 seconds. Does nothing the second time, and nothing in another kernel or program.</summary>
    public static void Load()
    {
        if (KernelInvocationContext.Current is null || Interlocked.Exchange(ref loaded, 1) == 1)
        {
            return;
        }

        // The kernel brings FSharp.Core 10.0; Plotly.NET asks for 10.1, gets nothing, and is content with what is there.
        AssemblyLoadContext.Default.Resolving += (_, name) => name.Name == "FSharp.Core" ? Assembly.Load("FSharp.Core") : null;
        ShowsValues();

        // The kernel shows no update of an output while a cell runs, so that bars would stack. Its stop button in VS Code cancels the context's token.
        var lines = new ProgressLines(Console.WriteLine, TimeProvider.System);
        AmbientWork.Outermost = () => (lines, KernelInvocationContext.Current?.CancellationToken ?? default);
    }

    // To Jupyter the kernel sends plotly.js's JSON as a text, which no viewer draws; and plain text only where it is asked for.
    private static void ShowsValues()
    {
        HeadScopeFormatters.Register();
        Type[] shown =
        [
            .. typeof(Head).Assembly.GetExportedTypes(), .. typeof(HeadScopeFormatters).Assembly.GetExportedTypes(), .. typeof(GenericChart).GetNestedTypes(),
            typeof(GenericChart), typeof(Microsoft.Data.Analysis.DataFrame), typeof(TorchSharp.torch.Tensor),
        ];
        foreach (var type in shown.Where(type => !type.ContainsGenericParameters && Formatter.GetPreferredMimeTypesFor(type).Contains(Html, StringComparer.Ordinal)))
        {
            Formatter.SetPreferredMimeTypesFor(type, Html, "text/plain");
        }
    }
}
