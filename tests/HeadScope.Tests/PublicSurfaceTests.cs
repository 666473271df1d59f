using System.Reflection;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>What a user can see of the library, so that a change of it is seen too, and where its tensors leave their device.</summary>
public sealed class PublicSurfaceTests
{
    // A type that no notebook, README line or verb names or reaches becomes internal. At most 61.
    private static readonly string[] PublicTypes =
    [
        nameof(Head), nameof(Parallelism), nameof(WorkProgress),

        // Models
        nameof(ActivationFunction), nameof(Attention), nameof(Block), nameof(ForwardPass), nameof(HookPoint), nameof(Hooks), nameof(KeyValueCache),
        nameof(LogitsOf), nameof(Mlp), nameof(Model), nameof(Norm), nameof(NormKind), nameof(Rotary), nameof(Tokenizer), nameof(Transformer),
        nameof(TransformerConfig), nameof(WeightProcessing),

        // Maps
        nameof(AblationOptions), nameof(Correlation), nameof(DynamicMap), nameof(DynamicScores), nameof(HeadAblation), nameof(HeadDescription),
        nameof(HeadMap), nameof(HeadMapOptions), nameof(HeadScore), nameof(Relation), nameof(RelationScores), nameof(Relations), nameof(SalientOperations),

        // Circuits
        nameof(ActivationPatching), nameof(Circuit), nameof(CircuitEdge), nameof(CircuitPrompt), nameof(Firing), nameof(GreaterThan), nameof(Induction),
        nameof(Intervention), nameof(Ioi), nameof(LogitLens), nameof(Omega), nameof(PromptSet), nameof(SignalSide), nameof(Signals), nameof(TraceOptions), nameof(Upstream),

        // Lorsa
        nameof(HeadActivities), nameof(Lorsa), nameof(LorsaActivation), nameof(LorsaActivations), nameof(LorsaConfig), nameof(LorsaCorpus),
        nameof(LorsaEvaluation), nameof(LorsaHead), nameof(LorsaTrainingOptions), nameof(LorsaTrainingReport), nameof(PlantedUnits), nameof(ZPattern),
    ];

    private static readonly (string Method, string Reason)[] ToTheCpu =
    [
        ("AccuracyMeter.Accuracy", "a number for tables"),
        ("Folding.CenterColumns", "weights are processed as stored, in fp64, once"),
        ("Folding.PlusProduct", "weights are processed as stored, in fp64, once"),
        ("GgufConfig.Rotary", "a few numbers of the configuration, from a file"),
        ("HeadActivities.Of", "a sum over any number of batches, for tables"),
        ("HeadHits.Of", "one number for each head, for tables"),
        ("HeadInputs.Damaged", "which weight an error names"),
        ("HeadInputs.RequireFinite", "whether numbers are finite"),
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
        ("Orthogonalized.Of", "whether columns are far enough from dependent for the fast way"),
        ("Orthogonalized.Round", "whether products are positive definite"),
        ("Parameter.ToArray", "weights are processed as stored, in fp64, once"),
        ("PlantedUnits.Match", "a result, read one by one"),
        ("SalientSearch.Largest", "the loop over a chunk of scores that runs on the CPU"),
        ("TargetRanking.Screen", "how many rows are left"),
        ("TensorMemory.Copied", "the one way to a managed copy"),
        ("TensorMemory.Memory", "the one way to a tensor's memory on the CPU"),
    ];

    [Fact]
    public void These_types_alone_are_public()
    {
        AssertSame(PublicTypes, typeof(Model).Assembly.GetExportedTypes().Select(type => type.Name));
        Assert.InRange(PublicTypes.Length, 1, 61);
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

    private static void AssertSame(IEnumerable<string> expected, IEnumerable<string> found)
    {
        string[] wanted = [.. expected], are = [.. found];
        Assert.True(
            !wanted.Except(are).Any() && !are.Except(wanted).Any(),
            $"New: {string.Join(", ", are.Except(wanted).Order(StringComparer.Ordinal))}. Gone: {string.Join(", ", wanted.Except(are).Order(StringComparer.Ordinal))}.");
    }
}
