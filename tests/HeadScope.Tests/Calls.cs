using System.Reflection;
using System.Reflection.Emit;

namespace HeadScope.Tests;

/// <summary>Which methods of the library use which methods and fields, read from its IL.</summary>
internal static class Calls
{
    private const BindingFlags Own =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> Codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value);

    /// <summary>The uses: from <c>Type.Method</c> as it is written in the source, so without the names that compilers give to lambdas and iterators.</summary>
    public static IEnumerable<(string Type, string Method, MemberInfo Called)> OfLibrary() =>
        from type in typeof(Model).Assembly.GetTypes()
        from method in type.GetMembers(Own).OfType<MethodBase>()
        from called in Called(method)
        select (Written(type).Name, Name(method), called);

    private static Type Written(Type type) => type.DeclaringType is { } outer ? Written(outer) : type;

    // Lambdas and local functions are called <Method>…, and what holds the steps of an iterator is a type of such a name.
    private static string Name(MethodBase method)
    {
        var name = method.Name is "MoveNext" && method.DeclaringType!.Name.StartsWith('<') ? method.DeclaringType.Name : method.Name;
        return name.StartsWith('<') ? name[1..name.IndexOf('>')] : name;
    }

    private static IEnumerable<MemberInfo> Called(MethodBase method)
    {
        if (method.GetMethodBody()?.GetILAsByteArray() is not { } il)
        {
            yield break;
        }

        for (var at = 0; at < il.Length;)
        {
            var code = Codes[il[at] == 0xFE ? (short)(0xFE00 | il[at + 1]) : il[at]];
            at += code.Size;
            if (code.OperandType is OperandType.InlineMethod or OperandType.InlineField)
            {
                yield return method.Module.ResolveMember(
                    BitConverter.ToInt32(il, at), method.DeclaringType!.GetGenericArguments(), method.IsGenericMethod ? method.GetGenericArguments() : null)!;
            }

            at += code.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(il, at)),
                _ => 4,
            };
        }
    }
}
