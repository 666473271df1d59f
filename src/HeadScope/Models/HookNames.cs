using System.IO.Enumeration;

namespace HeadScope;

/// <summary>The names under which a model's activations are known: those of TransformerLens.</summary>
internal static class HookNames
{
    public static string Of(int? layer, string name) => layer is { } l ? $"blocks.{l}.{name}" : name;

    /// <summary>All names of a model, in the order of the forward pass.</summary>
    public static IEnumerable<(int? Layer, string Name)> All(TransformerConfig config)
    {
        string[] before = config.LearnedPositions ? ["hook_embed", "hook_pos_embed"] : ["hook_embed"];
        string[] block =
        [
            "hook_resid_pre",
            .. Norm("ln1."),
            "attn.hook_q", "attn.hook_k", "attn.hook_v",
            .. config.LearnedPositions ? Array.Empty<string>() : ["attn.hook_rot_q", "attn.hook_rot_k"],
            "attn.hook_attn_scores", "attn.hook_pattern", "attn.hook_z", "attn.hook_result", "hook_attn_out",
            .. config.ParallelResidual ? Array.Empty<string>() : ["hook_resid_mid"],
            .. config.SharedNorm ? [] : Norm("ln2."),
            "mlp.hook_pre",
            .. config.GatedMlp ? ["mlp.hook_pre_linear"] : Array.Empty<string>(),
            "mlp.hook_post", "hook_mlp_out", "hook_resid_post",
        ];
        return before.Select(name => ((int?)null, name))
            .Concat(Enumerable.Range(0, config.LayerCount).SelectMany(layer => block.Select(name => ((int?)layer, Of(layer, name)))))
            .Concat(Norm("ln_final.").Select(name => ((int?)null, name)));

        static string[] Norm(string place) => [place + "hook_scale", place + "hook_normalized", place + "hook_out"];
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
    public static (int? Layer, string Name)[] Matching(string pattern, IReadOnlyList<(int? Layer, string Name)> all)
    {
        ArgumentException.ThrowIfNullOrEmpty(pattern);
        var found = all.Where(hook => FileSystemName.MatchesSimpleExpression(pattern, hook.Name, ignoreCase: false)).ToArray();
        return found.Length > 0 ? found : throw new ArgumentException(
            $"The model has no activation '{pattern}'. The nearest name is '{all.MinBy(hook => Distance(pattern, hook.Name)).Name}'.", nameof(pattern));
    }

    // The number of letters to insert, delete or change.
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0]++;
            for (var j = 1; j <= b.Length; j++)
            {
                (diagonal, row[j]) = (row[j], Math.Min(diagonal + (a[i - 1] == b[j - 1] ? 0 : 1), Math.Min(row[j], row[j - 1]) + 1));
            }
        }

        return row[^1];
    }
}
