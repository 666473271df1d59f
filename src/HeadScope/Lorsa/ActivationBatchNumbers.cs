using static TorchSharp.torch;

namespace HeadScope;

// What the parts that still stand on arrays read of a batch; it goes with the last of them.
public sealed partial record ActivationBatch
{
    private float[]? input;
    private float[]? output;
    private float[]? mask;

    internal ActivationBatch(int sequences, int length, float[] input, float[] output, float[] mask, int[] tokens)
        : this(
            tensor(input, [sequences, length, input.Length / mask.Length]), tensor(output, [sequences, length, output.Length / mask.Length]),
            tensor(mask, [sequences, length]), tokens.Length == 0 ? null : tensor(tokens, [sequences, length], int64))
    {
    }

    internal float[] InputNumbers => input ??= Input.Copied<float>();

    internal float[] OutputNumbers => output ??= Output.Copied<float>();

    internal float[] MaskNumbers => mask ??= Mask.Copied<float>();
}
