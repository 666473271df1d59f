"""The static scores and the salient operations of MAPS in PyTorch, product by product as the authors' code goes about them: W_V W_O is
formed, all logits are computed and sorted with topk. Weights are random with the shapes of the model; the time does not depend on them."""

import torch

import peer


def random(*shape):
    return torch.randn(*shape) * 0.02


class Shape:
    def __init__(self, layers, width, heads, key_heads, head, mlp, vocabulary, gated):
        self.layers, self.heads, self.group = layers, heads, heads // key_heads
        self.embedding = random(vocabulary, width)
        self.unembedding = self.embedding.T.contiguous()
        self.values = random(layers, key_heads, width, head)
        self.outputs = random(layers, heads, head, width)
        self.mlp_in, self.mlp_out = random(width, mlp), random(mlp, width)
        self.mlp_gate = random(width, mlp) if gated else None

    def first_mlp(self, x):
        if self.mlp_gate is None:
            n = torch.nn.functional.layer_norm(x, x.shape[-1:])
            return torch.nn.functional.gelu(n @ self.mlp_in) @ self.mlp_out
        n = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)
        return (torch.nn.functional.silu(n @ self.mlp_gate) * (n @ self.mlp_in)) @ self.mlp_out

    def value_output(self, layer, head):
        return self.values[layer, head // self.group] @ self.outputs[layer, head]


SHAPES = {
    "smollm2": lambda: Shape(30, 576, 9, 3, 64, 1536, 49152, gated=True),
    "gpt2": lambda: Shape(12, 768, 12, 12, 64, 3072, 50257, gated=False),
}


def static(name, pairs, k):
    model, pairs, k = SHAPES[name](), int(pairs), int(k)
    sources = torch.randint(model.embedding.shape[0], (pairs,))
    targets = torch.randint(model.embedding.shape[0], (pairs, 1))

    def run():
        raw = model.embedding[sources]
        u = model.first_mlp(raw)
        scores = []
        for layer in range(model.layers):
            for head in range(model.heads):
                logits = ((u if layer else raw) @ model.value_output(layer, head)) @ model.unembedding
                for signed in (logits, -logits):
                    scores.append((torch.topk(signed, k).indices == targets).sum(1).float().mean().item())

    return run


def salient(name, heads, hoisted):
    model, heads = SHAPES[name](), int(heads)

    def run():
        u = model.first_mlp(model.embedding) if hoisted == "1" else None
        for at in range(heads):
            x = model.first_mlp(model.embedding) if u is None else u
            y = x @ model.value_output(at // model.heads, at % model.heads)
            top = torch.topk(y.norm(dim=-1) / x.norm(dim=-1), 15).indices
            torch.topk(y[top] @ model.unembedding, 5, dim=-1)

    return run


with torch.no_grad():
    peer.serve(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {peer.blas()}", static=static, salient=salient)
