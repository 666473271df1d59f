using static TorchSharp.torch;

namespace HeadScope;

/// <summary>Activations in a folder of safetensors files; see <see cref="ActivationSource.Open"/>.</summary>
internal sealed class ActivationShards : ActivationSource
{
    private readonly List<(string Path, long Sequences)> shards = [];
    private readonly int heldOut;
    private readonly long total;
    private readonly bool hasTokens = true;
    private readonly long length;

    public ActivationShards(string folder, int heldOutSequences)
    {
        heldOut = heldOutSequences;
        foreach (var path in Directory.GetFiles(folder, "*.safetensors").Order(StringComparer.Ordinal))
        {
            using var file = SafetensorsFile.Open(path);
            if (!file.Tensors.TryGetValue("hook_in", out var input) || input.Shape is not [var sequences, var tokens, var width]
                || !file.Tensors.TryGetValue("hook_out", out var output) || !output.Shape.SequenceEqual(input.Shape)
                || !file.Tensors.TryGetValue("mask", out var mask) || !mask.Shape.SequenceEqual(input.Shape.Take(2))
                || (file.Tensors.TryGetValue("tokens", out var ids) && !ids.Shape.SequenceEqual(input.Shape.Take(2))))
            {
                throw new InvalidDataException(
                    $"'{path}' is no file of activations: expected hook_in and hook_out of one shape [sequences, tokens, width], and mask and, where "
                    + "they are known, tokens of [sequences, tokens].");
            }

            if (shards.Count > 0 && (tokens != length || width != ModelWidth))
            {
                throw new InvalidDataException(
                    $"'{path}' holds sequences of {tokens} tokens and width {width}; the files before it have {length} and {ModelWidth}.");
            }

            (length, ModelWidth, hasTokens) = (tokens, (int)width, hasTokens && file.Tensors.ContainsKey("tokens"));
            shards.Add((path, sequences));
        }

        total = shards.Sum(shard => shard.Sequences);
        if (total <= heldOut)
        {
            throw new InvalidDataException(
                $"'{folder}' holds {total} sequences in {shards.Count} files; with {heldOut} held out none is left to learn from.");
        }
    }

    public override int ModelWidth { get; }

    public override bool HasHeldOut => heldOut > 0;

    public override IEnumerable<ActivationBatch> Batches(
        long firstSequence, int sequences, CancellationToken cancellationToken = default)
    {
        for (var next = firstSequence; ; next += sequences)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return Read([.. Enumerable.Range(0, sequences).Select(i => heldOut + ((next + i) % (total - heldOut)))]);
        }
    }

    public override IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default) =>
        Enumerable.Range(0, heldOut).Select(number => (long)number).Chunk(sequences).Select(Read);

    private ActivationBatch Read(long[] sequences)
    {
        using var scope = NewDisposeScope();
        var (inputs, outputs, masks, tokens) = (new List<Tensor>(), new List<Tensor>(), new List<Tensor>(), new List<Tensor>());
        foreach (var sequence in sequences)
        {
            var (shard, row) = (0, sequence);
            for (; row >= shards[shard].Sequences; shard++)
            {
                row -= shards[shard].Sequences;
            }

            using var file = SafetensorsFile.Open(shards[shard].Path);
            inputs.Add(file.ReadRows("hook_in", row, 1));
            outputs.Add(file.ReadRows("hook_out", row, 1));
            masks.Add(file.ReadRows("mask", row, 1));
            if (hasTokens)
            {
                tokens.Add(file.ReadRows("tokens", row, 1));
            }
        }

        return new(Whole(inputs, float32), Whole(outputs, float32), Whole(masks, float32), hasTokens ? Whole(tokens, int64) : null);

        Tensor Whole(List<Tensor> rows, TorchSharp.torch.ScalarType type) => scope.MoveToOuter(cat(rows).to(type));
    }
}
