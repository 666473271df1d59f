using System.IO.Enumeration;

namespace HeadScope;

/// <summary>The names under which a model's activations are known: those of TransformerLens.</summary>
internal static class HookNames
{
    /// <summary>The name of a layer's activation.</summary>
    public static string Of(int? layer, string name) => layer is { } l ? $"blocks.{l}.{name}" : name;

    /// <summary>All names of a model, in the order of the forward pass.</summary>
    public static IEnumerable<(int? Layer, string Name)> All(TransformerConfig config)
    {
        yield return (null, "hook_embed");
        if (config.LearnedPositions)
        {
            yield return (null, "hook_pos_embed");
        }

        var names = OfBlock(config).ToArray();
        for (var layer = 0; layer < config.LayerCount; layer++)
        {
            foreach (var name in names)
            {
                yield return (layer, Of(layer, name));
            }
        }

        foreach (var name in new[] { "ln_final.hook_scale", "ln_final.hook_normalized", "ln_final.hook_out" })
        {
            yield return (null, name);
        }
    }

    /// <summary>How many numbers an activation has for each token; null for those with a number for each pair of tokens.</summary>
    public static long? NumbersPerToken(string name, TransformerConfig config) => name[(name.LastIndexOf('.') + 1)..] switch
    {
        "hook_attn_scores" or "hook_pattern" => null,
        "hook_scale" => 1,
        "hook_q" or "hook_rot_q" or "hook_z" => config.HeadCount * config.HeadWidth,
        "hook_k" or "hook_rot_k" or "hook_v" => config.KeyValueHeadCount * config.HeadWidth,
        "hook_result" => (long)config.HeadCount * config.ModelWidth,
        "hook_pre" or "hook_pre_linear" or "hook_post" => config.MlpWidth,
        _ => config.ModelWidth,
    };

    /// <summary>The names of <paramref name="all"/> that fit a pattern.</summary>
    /// <exception cref="ArgumentException">None does.</exception>
    public static IEnumerable<(int? Layer, string Name)> Matching(string pattern, IReadOnlyList<(int? Layer, string Name)> all)
    {
        ArgumentException.ThrowIfNullOrEmpty(pattern);
        var found = all.Where(hook => FileSystemName.MatchesSimpleExpression(pattern, hook.Name, ignoreCase: false)).ToArray();
        if (found.Length > 0)
        {
            return found;
        }

        var nearest = all.MinBy(hook => Distance(pattern, hook.Name)).Name;
        throw new ArgumentException($"The model has no activation '{pattern}'. The nearest name is '{nearest}'.", nameof(pattern));
    }

    private static IEnumerable<string> OfBlock(TransformerConfig config)
    {
        yield return "hook_resid_pre";
        yield return "ln1.hook_scale";
        yield return "ln1.hook_normalized";
        yield return "ln1.hook_out";
        yield return "attn.hook_q";
        yield return "attn.hook_k";
        yield return "attn.hook_v";
        if (!config.LearnedPositions)
        {
            yield return "attn.hook_rot_q";
            yield return "attn.hook_rot_k";
        }

        yield return "attn.hook_attn_scores";
        yield return "attn.hook_pattern";
        yield return "attn.hook_z";
        yield return "attn.hook_result";
        yield return "hook_attn_out";
        if (!config.ParallelResidual)
        {
            yield return "hook_resid_mid";
        }

        if (!config.SharedNorm)
        {
            yield return "ln2.hook_scale";
            yield return "ln2.hook_normalized";
            yield return "ln2.hook_out";
        }

        yield return "mlp.hook_pre";
        if (config.GatedMlp)
        {
            yield return "mlp.hook_pre_linear";
        }

        yield return "mlp.hook_post";
        yield return "hook_mlp_out";
        yield return "hook_resid_post";
    }

    // The number of letters to insert, delete or change.
    private static int Distance(string a, string b)
    {
        var previous = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var current = new int[b.Length + 1];
            current[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var change = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                current[j] = Math.Min(change, Math.Min(previous[j], current[j - 1]) + 1);
            }

            previous = current;
        }

        return previous[^1];
    }
}
