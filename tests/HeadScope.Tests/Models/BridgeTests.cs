using System.Reflection;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Where the library leaves its tensors: over the bridge, by which the methods read numbers, and on the way to the CPU.</summary>
public sealed class BridgeTests
{
    // Each method that moves onto tensors takes its types from this list.
    private static readonly string[] OverTheBridge =
    [
        // Circuits
        nameof(CircuitActivations), nameof(DirectEffect), nameof(Interventions), nameof(LocalChange), nameof(OmegaFactors), nameof(UpstreamReader),
    ];

    private static readonly (string Method, string Reason)[] ToTheCpu =
    [
        ("Bridge.Copy", "the methods compute on numbers in managed memory"),
        ("Folding.CenterColumns", "weights are processed as stored, in fp64, once"),
        ("Folding.PlusProduct", "weights are processed as stored, in fp64, once"),
        ("GgufConfig.Rotary", "a few numbers of the configuration, from a file"),
        ("HeadActivities.Of", "a sum over any number of batches, for tables"),
        ("Lorsa.Load", "one number of the configuration, from a file"),
        ("Lorsa.ZPatterns", "a result for figures and tables, whose numbers are read one by one"),
        ("LorsaAdam.Step", "whether a gradient has any number, which decides on the step"),
        ("LorsaCurve.Add", "a row of the training curve"),
        ("LorsaEvaluation.Of", "a sum over any number of batches, for tables"),
        ("LorsaStart.FitOutputNorm", "the loss that decides on the scale"),
        ("LorsaStepper.ByDefinition", "the loss of a step, for the curve"),
        ("LorsaStepper.Clip", "the norm of the gradient, which decides whether it is shortened"),
        ("LorsaStepper.NotFinite", "which parameter an error names"),
        ("LorsaStepper.TakeStep", "whether a batch is finite, and its number of tokens"),
        ("LorsaTraining.Norms", "two numbers of the finished Lorsa"),
        ("Model.Generate", "the chosen token, which is looked up and returned"),
        ("Omega.Along", "Omega is on the CPU, in fp64"),
        ("Parameter.ToArray", "weights are processed as stored, in fp64, once"),
        ("PlantedUnits.Match", "a result, read one by one"),
        ("TensorMemory.Copied", "the one way to a managed copy"),
        ("TensorMemory.Memory", "the one way to a tensor's memory on the CPU"),
    ];

    [Fact]
    public void These_types_alone_read_over_the_bridge()
    {
        var found = Calls.OfLibrary()
            .Where(call => (call.Called.DeclaringType == typeof(Bridge) || call.Called.DeclaringType == typeof(ActivationNumbers))
                && call.Type is not (nameof(Bridge) or nameof(ActivationNumbers)))
            .Select(call => call.Type).Distinct(StringComparer.Ordinal);
        AssertSame(OverTheBridge, found);
    }

    [Fact]
    public void Numbers_return_to_the_CPU_in_these_places_alone()
    {
        // The readers of files make tensors on the CPU, and their writer takes them from wherever they are.
        var files = Directory.EnumerateFiles(Path.Combine(TestData.Repository, "src", "HeadScope", "Models", "Files"), "*.cs")
            .Select(path => Path.GetFileName(path).Split('.')[0]).ToHashSet(StringComparer.Ordinal);
        Assert.Contains(nameof(SafetensorsWriter), files);
        var found = Calls.OfLibrary().Where(call => !files.Contains(call.Type)).GroupBy(call => $"{call.Type}.{call.Method}", call => call.Called)
            .Where(method => method.Any(Reads) || (method.Any(NamesTheCpu) && method.Any(Moves)))
            .Select(method => method.Key);
        AssertSame(ToTheCpu.Select(place => place.Method), found);

        static bool Reads(MemberInfo called) =>
            (called.DeclaringType == typeof(torch.Tensor) && called.Name is "cpu" or "data" or "get_bytes" or "item" or "op_Explicit" or "tolist")
            || (called.DeclaringType == typeof(TensorExtensionMethods) && called.Name.StartsWith("To", StringComparison.Ordinal));
        static bool NamesTheCpu(MemberInfo called) => called.DeclaringType == typeof(torch) && called.Name == nameof(torch.CPU);
        static bool Moves(MemberInfo called) =>
            called is MethodBase { Name: "to" } method && method.GetParameters().Any(p => p.ParameterType == typeof(torch.Device) || p.ParameterType == typeof(DeviceType));
    }

    [Fact]
    public void Public_members_give_and_take_arrays_as_tensors()
    {
        var found =
            from type in typeof(Model).Assembly.GetExportedTypes()
            from member in type.GetMembers(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
            where member is MethodBase { IsPublic: true } or MethodBase { IsFamily: true }
            let method = (MethodBase)member
            where method.GetParameters().Select(p => p.ParameterType).Append((method as MethodInfo)?.ReturnType ?? type).SelectMany(Parts).Any(IsArray)
            select $"{type.Name}.{member.Name}";
        AssertSame([], found.Distinct(StringComparer.Ordinal));

        static IEnumerable<Type> Parts(Type type) => type.GetGenericArguments().SelectMany(Parts).Append(type);

        // Tokens are integers, one sequence an array: what tokenizers return and models read.
        static bool IsArray(Type type) =>
            type.Namespace == "System.Numerics.Tensors"
            || (type.GetElementType() is { IsPrimitive: true } element && type.IsArray && element != typeof(int))
            || (type.IsByRefLike && type.GetGenericArguments() is [{ IsPrimitive: true } number] && number != typeof(int));
    }

    private static void AssertSame(IEnumerable<string> expected, IEnumerable<string> found) => Assert.Equal(
        string.Join('\n', expected.Order(StringComparer.Ordinal)), string.Join('\n', found.Order(StringComparer.Ordinal)));
}
