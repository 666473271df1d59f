using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp;

namespace HeadScope;

/// <summary>
/// Activations saved to a folder of safetensors files, so that several trainings share one run of the model, or a model that is not here
/// can be learnt from. Every shard <c>activations-00000.safetensors</c> holds <c>hook_in</c> and <c>hook_out</c> [S, T, d], <c>mask</c>
/// [S, T] and, where known, <c>tokens</c> [S, T]; all shards have the same T and d.
/// </summary>
public sealed class ActivationShards : ActivationSource
{
    private readonly List<(string Path, int Sequences)> shards = [];
    private readonly int heldOut;
    private readonly int total;

    private ActivationShards(string folder, int heldOutSequences)
    {
        heldOut = heldOutSequences;
        foreach (var path in Directory.GetFiles(folder, "*.safetensors").Order(StringComparer.Ordinal))
        {
            using var file = SafetensorsFile.Open(path);
            if (!file.Tensors.TryGetValue("hook_in", out var input) || input.Shape is not [var sequences, var length, var width]
                || !file.Tensors.TryGetValue("hook_out", out var output) || !output.Shape.SequenceEqual(input.Shape)
                || !file.Tensors.TryGetValue("mask", out var mask) || !mask.Shape.SequenceEqual(input.Shape.Take(2)))
            {
                throw new InvalidDataException(
                    $"'{path}' is no shard of activations: expected hook_in and hook_out of one shape [sequences, tokens, width] and mask of "
                    + "[sequences, tokens].");
            }

            if (shards.Count > 0 && (length != Length || width != ModelWidth))
            {
                throw new InvalidDataException(
                    $"'{path}' holds sequences of {length} tokens and width {width}; the shards before it have {Length} and {ModelWidth}.");
            }

            (Length, ModelWidth) = ((int)length, (int)width);
            shards.Add((path, (int)sequences));
        }

        total = shards.Sum(shard => shard.Sequences);
        if (total <= heldOut)
        {
            throw new InvalidDataException(
                $"'{folder}' holds {total} sequences in {shards.Count} shards; with {heldOut} held out none is left to learn from.");
        }
    }

    /// <inheritdoc/>
    public override int ModelWidth { get; }

    /// <summary>T, the length of the sequences.</summary>
    public int Length { get; }

    /// <summary>Opens a folder of shards.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="heldOutSequences">How many sequences, from the first on, are held out from training.</param>
    /// <returns>The source; training takes the sequences in the order of the files.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">A file is not a shard, shards do not fit each other, or there are too few.</exception>
    public static ActivationShards Open(string folder, int heldOutSequences = 32) => new(folder, heldOutSequences);

    /// <summary>Saves the training batches of a source as shards that <see cref="Open"/> reads.</summary>
    /// <param name="source">The source; its held-out sequences come first.</param>
    /// <param name="folder">The folder; made when missing.</param>
    /// <param name="sequences">How many training sequences to save.</param>
    /// <param name="sequencesPerShard">How many go into one file.</param>
    /// <param name="dataType">F32, F16 or BF16.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops between shards.</param>
    public static void Save(
        ActivationSource source, string folder, int sequences, int sequencesPerShard = 64, string dataType = "F32",
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(source);
        var type = dataType is "F32" or "F16" or "BF16"
            ? NumberFormat.Of(dataType)!.Type
            : throw new ArgumentException($"Activations can be saved as F32, F16 or BF16, not as '{dataType}'.", nameof(dataType));
        var training = (sequences + sequencesPerShard - 1) / sequencesPerShard;
        var number = 0;
        foreach (var batch in source.HeldOut(sequencesPerShard, cancellationToken)
            .Concat(source.Batches(0, sequencesPerShard, cancellationToken).Take(training)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = torch.NewDisposeScope();
            var writer = new SafetensorsWriter();
            writer.Add("hook_in", batch.Input, type);
            writer.Add("hook_out", batch.Output, type);
            writer.Add("mask", batch.Mask);
            if (batch.Tokens is { } tokens)
            {
                writer.Add("tokens", tokens);
            }

            writer.Save(Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"activations-{number++:d5}.safetensors")));
            progress?.Report(new WorkProgress("saving activations", (long)number * sequencesPerShard * batch.Length, 0, "tokens"));
        }
    }

    /// <inheritdoc/>
    public override bool HasHeldOut => heldOut > 0;

    /// <inheritdoc/>
    public override IEnumerable<ActivationBatch> Batches(
        long firstSequence, int sequences, CancellationToken cancellationToken = default)
    {
        for (var next = firstSequence; ; next += sequences)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return Read([.. Enumerable.Range(0, sequences).Select(i => heldOut + (int)((next + i) % (total - heldOut)))]);
        }
    }

    /// <inheritdoc/>
    public override IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default) =>
        Enumerable.Range(0, heldOut).Chunk(sequences).Select(Read);

    private ActivationBatch Read(int[] sequences)
    {
        var (block, s) = (Length * ModelWidth, sequences.Length);
        var batch = new ActivationBatch(s, Length, new float[s * block], new float[s * block], new float[s * Length], new int[s * Length]);
        var withTokens = true;
        SafetensorsFile? file = null;
        var open = -1;
        try
        {
            for (var i = 0; i < s; i++)
            {
                var (shard, inside) = (0, sequences[i]);
                while (inside >= shards[shard].Sequences)
                {
                    inside -= shards[shard++].Sequences;
                }

                if (shard != open)
                {
                    file?.Dispose();
                    (file, open) = (SafetensorsFile.Open(shards[shard].Path), shard);
                }

                CopyRow("hook_in", inside, batch.InputNumbers.AsSpan(i * block, block));
                CopyRow("hook_out", inside, batch.OutputNumbers.AsSpan(i * block, block));
                CopyRow("mask", inside, batch.MaskNumbers.AsSpan(i * Length, Length));
                withTokens &= file!.Tensors.ContainsKey("tokens");
                if (withTokens)
                {
                    CopyRow("tokens", inside, batch.TokenNumbers.AsSpan(i * Length, Length));
                }
            }
        }
        finally
        {
            file?.Dispose();
        }

        return withTokens ? batch : batch with { TokenNumbers = [] };

        void CopyRow<T>(string name, long row, Span<T> destination)
            where T : unmanaged
        {
            using var scope = torch.NewDisposeScope();
            MemoryMarshal.Cast<byte, T>(file!.ReadRows(name, row, 1).to(typeof(T) == typeof(int) ? torch.int32 : torch.float32).bytes).CopyTo(destination);
        }
    }
}
