using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// Takes the compiler through one small script on a thread of its own, so that its code is loaded, and compiled where it has to be, while
/// the program still reads its command line, opens its sockets and makes its session.
/// </summary>
internal static class CompilerStart
{
    // Touches what most cells do: a lambda, type inference, an interpolated string.
    private const string Script = "using System.Linq; Enumerable.Range(0, 2).Select(i => $\"{i}\").ToList()";

    private static int begun;

    /// <summary>Begins; the second and later calls do nothing.</summary>
    public static void Begin()
    {
        if (Interlocked.Exchange(ref begun, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(_ => Compile(), null);
        }
    }

    private static void Compile()
    {
        var compilation = CSharpCompilation.CreateScriptCompilation(
            "start",
            CSharpSyntaxTree.ParseText(Script, SessionDefaults.Parsing),
            [.. SessionDefaults.HostAssemblies().Where(IsNeeded).Select(SessionDefaults.Reference)],
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release),
            returnType: typeof(object));
        compilation.Emit(
            new MemoryStream(), new MemoryStream(), options: new EmitOptions(debugInformationFormat: DebugInformationFormat.PortablePdb));
    }

    private static bool IsNeeded(string path) =>
        Path.GetFileNameWithoutExtension(path) is "System.Private.CoreLib" or "System.Runtime" or "System.Linq" or "System.Collections";
}
