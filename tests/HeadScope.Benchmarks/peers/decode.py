"""Decoding weights to fp32 with NumPy, block by block in whole-array operations, as Python readers of GGUF files do."""

import numpy

import peer

numpy.seterr(all="ignore")  # random bytes hold some halves that are not numbers


def halves(blocks, at):
    return blocks[:, at : at + 2].copy().view(numpy.float16).astype(numpy.float32)


def nibbles(quants):
    return numpy.concatenate([quants & 15, quants >> 4], axis=1)


def fifth_bits(quants):
    return numpy.unpackbits(quants, axis=1, bitorder="little") << 4


def q8_0(blocks, out):
    numpy.multiply(blocks[:, 2:].view(numpy.int8), halves(blocks, 0), out=out)


def q4_0(blocks, out):
    numpy.multiply(nibbles(blocks[:, 2:]).view(numpy.int8) - numpy.int8(8), halves(blocks, 0), out=out)


def q4_1(blocks, out):
    numpy.multiply(nibbles(blocks[:, 4:]), halves(blocks, 0), out=out)
    out += halves(blocks, 2)


def q5_1(blocks, out):
    numpy.multiply(nibbles(blocks[:, 8:]) | fifth_bits(blocks[:, 4:8]), halves(blocks, 0), out=out)
    out += halves(blocks, 2)


def q4_k(blocks, out):
    scales = blocks[:, 4:16].reshape(-1, 3, 4)
    low, minima, high = scales[:, 0], scales[:, 1], scales[:, 2]
    factors = numpy.concatenate([low & 63, (high & 15) | ((low >> 2) & 48)], axis=1)
    offsets = numpy.concatenate([minima & 63, (high >> 4) | ((minima >> 2) & 48)], axis=1)
    quants = blocks[:, 16:].reshape(-1, 4, 32)
    quants = numpy.stack([quants & 15, quants >> 4], axis=2).reshape(-1, 8, 32)
    out = out.reshape(-1, 8, 32)
    numpy.multiply(quants, (halves(blocks, 0) * factors)[:, :, None], out=out)
    out -= (halves(blocks, 2) * offsets)[:, :, None]


def q6_k(blocks, out):
    low = blocks[:, :128].reshape(-1, 2, 2, 32)
    low = numpy.stack([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> numpy.array([0, 2, 4, 6], dtype=numpy.uint8).reshape(1, 1, 4, 1)
    quants = (low | ((high & 3) << 4)).view(numpy.int8) - numpy.int8(32)
    scales = halves(blocks, 208) * blocks[:, 192:208].view(numpy.int8)
    numpy.multiply(quants.reshape(-1, 16, 16), scales[:, :, None], out=out.reshape(-1, 16, 16))


BLOCKS = {
    "Q8_0": (q8_0, 32, 34),
    "Q4_0": (q4_0, 32, 18),
    "Q4_1": (q4_1, 32, 20),
    "Q5_1": (q5_1, 32, 24),
    "Q4_K": (q4_k, 256, 144),
    "Q6_K": (q6_k, 256, 210),
}


def decode(kind, count):
    count = int(count)
    random = numpy.random.default_rng(1)
    out = numpy.empty(count, dtype=numpy.float32)
    if kind == "BF16":
        data = random.integers(0, 65536, count, dtype=numpy.uint16)

        def run():
            bits = out.view(numpy.uint32)
            numpy.copyto(bits, data)
            numpy.left_shift(bits, 16, out=bits)

        return run
    if kind in ("F32", "F16"):
        data = random.integers(0, 256, count * (4 if kind == "F32" else 2), dtype=numpy.uint8)
        data = data.view(numpy.float32 if kind == "F32" else numpy.float16)
        return lambda: numpy.copyto(out, data)
    decode_blocks, length, size = BLOCKS[kind]
    blocks = random.integers(0, 256, (count // length, size), dtype=numpy.uint8)
    return lambda: decode_blocks(blocks, out.reshape(-1, length))


peer.serve(f"NumPy {numpy.__version__}", decode=decode)
