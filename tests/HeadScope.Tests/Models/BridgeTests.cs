using System.Reflection;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Where the library leaves its tensors: over the bridge, by which the methods read numbers, and on the way to the CPU.</summary>
public sealed class BridgeTests
{
    // Each method that moves onto tensors takes its types from this list.
    private static readonly string[] OverTheBridge =
    [
        // Maps
        nameof(AccuracyMeter), nameof(HeadScoring), nameof(PromptActivations), nameof(SalientOperations), nameof(StaticValues), nameof(VocabularyRows),

        // Lorsa
        nameof(ActivationBatch), nameof(LorsaHead), nameof(LorsaLossRecovered), nameof(LorsaModel), nameof(ModelActivationSource), nameof(OriginalAttention),
    ];

    private static readonly (string Method, string Reason)[] ToTheCpu =
    [
        ("ActivationBatch..ctor", "Lorsa trains on numbers in managed memory"),
        ("ActivationShards.Read", "they come from a file"),
        ("Bridge.Copy", "the methods compute on numbers in managed memory"),
        ("Folding.CenterColumns", "weights are processed as stored, in fp64, once"),
        ("Folding.PlusProduct", "weights are processed as stored, in fp64, once"),
        ("GgufConfig.Rotary", "a few numbers of the configuration, from a file"),
        ("LorsaModel.Load", "one number of the configuration, from a file"),
        ("LorsaTrainingState.Load", "they come from a file"),
        ("Model.Generate", "the chosen token, which is looked up and returned"),
        ("Parameter.ToArray", "weights are processed as stored, in fp64, once"),
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
