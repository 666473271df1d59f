using System.Reflection;
using System.Runtime.Loader;

namespace HeadScope.Benchmarks;

/// <summary>The library of some build of the project, this one or another, loaded beside what this program is linked with.</summary>
internal sealed class OtherBuild : AssemblyLoadContext
{
    private readonly AssemblyDependencyResolver resolver;

    private OtherBuild(string program) => resolver = new(program + ".dll");

    /// <summary>In a process of its own: what it takes from opening a model's file to the logits of a few tokens.</summary>
    /// <param name="program">The headscope program of the build.</param>
    /// <param name="model">The model.</param>
    public static Cost FirstLogits(string program, string model)
    {
        var library = new OtherBuild(program).LoadFromAssemblyName(new("HeadScope"));

        // The class had another name once. libtorch is there before the clock starts, as in the kernel, which brings it meanwhile.
        var type = library.GetType("HeadScope.Model") ?? library.GetType("HeadScope.Transformers.TransformerModel", throwOnError: true)!;
        library.GetType("HeadScope.LibTorch")?.GetMethod("Require", BindingFlags.Static | BindingFlags.Public)?.Invoke(null, null);
        return Cost.Of(() => Call(type, "Run", Call(type, "Load", null, model), (int[])[1, 2, 3, 4, 5]));
    }

    /// <inheritdoc/>
    protected override Assembly? Load(AssemblyName assemblyName) =>
        resolver.ResolveAssemblyToPath(assemblyName) is { } path ? LoadFromAssemblyPath(path) : null;

    /// <inheritdoc/>
    protected override nint LoadUnmanagedDll(string unmanagedDllName) =>
        resolver.ResolveUnmanagedDllToPath(unmanagedDllName) is { } path ? LoadUnmanagedDllFromPath(path) : 0;

    // With the defaults of all parameters but the first.
    private static object? Call(Type type, string name, object? target, object argument)
    {
        var method = type.GetMethods().First(method => method.Name == name && method.GetParameters()[0].ParameterType == argument.GetType());
        return method.Invoke(target, [argument, .. method.GetParameters().Skip(1).Select(_ => Type.Missing)]);
    }
}
