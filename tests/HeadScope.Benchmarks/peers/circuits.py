"""Sparse Attention Decomposition as its authors' code computes it, in PyTorch, on the shapes of GPT-2 small."""

import torch

import peer

WIDTH, HEAD, HEADS = 768, 64, 12


def svd(heads):
    """The full SVD of (d+1) x (d+1) matrices of rank 64."""
    torch.manual_seed(0)
    factors = [(torch.randn(WIDTH + 1, HEAD) * 0.06, torch.randn(WIDTH + 1, HEAD) * 0.06) for _ in range(int(heads))]

    @torch.no_grad()
    def run():
        for query, key in factors:
            torch.linalg.svd(query @ key.T)

    return run


def follow(prompts, length, layer):
    """What one firing of a layer needs on both sides: the signal, and the outputs of all heads below, at all tokens of all prompts."""
    torch.manual_seed(0)
    prompts, length, layer = int(prompts), int(length), int(layer)
    z = torch.randn(layer, prompts, length, HEADS, HEAD)
    output = torch.randn(layer, HEADS, HEAD, WIDTH) * 0.02
    directions = torch.randn(2, WIDTH + 1, 8)
    ones = torch.ones(prompts, length, 1)

    @torch.no_grad()
    def run():
        for side in range(2):
            signal = directions[side].sum(1)
            parts = torch.zeros(layer, HEADS)
            for m in range(layer):
                for n in range(HEADS):
                    written = torch.cat((z[m, :, :, n] @ output[m, n], ones), -1)
                    parts[m, n] = written[0, -1] @ signal
            values = parts.flatten().sort(descending=True).values
            values.cumsum(0)

    return run


peer.serve(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {peer.blas()}", svd=svd, follow=follow)
