"""The forward pass in PyTorch, written as one writes it for research: whole matrices, one operation after the other. Weights
are random with the shapes of the model; the time does not depend on them."""

import math

import torch
import torch.nn.functional as F

import peer


def random(*shape):
    return torch.randn(*shape) * 0.02


class Llama:
    """SmolLM2-135M: 30 layers, width 576, 9 query heads of 64 on 3 key/value heads, gated MLP of 1536, tied embeddings."""

    layers, width, heads, key_heads, head, mlp, vocabulary, base = 30, 576, 9, 3, 64, 1536, 49152, 100000.0

    def __init__(self):
        d, q, k = self.width, self.heads * self.head, self.key_heads * self.head
        shapes = dict(q=(q, d), k=(k, d), v=(k, d), o=(d, q), gate=(self.mlp, d), up=(self.mlp, d), down=(d, self.mlp))
        self.blocks = [{name: random(*shape) for name, shape in shapes.items()} for _ in range(self.layers)]
        for block in self.blocks:
            block["norm1"], block["norm2"] = torch.ones(d), torch.ones(d)
        self.norm = torch.ones(d)
        self.embedding = random(self.vocabulary, d)
        self.frequencies = self.base ** (-torch.arange(0, self.head, 2).float() / self.head)

    def normalise(self, x, gain):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * gain

    def rotate(self, x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def split(self, x, heads):
        return x.view(x.shape[0], x.shape[1], heads, self.head).transpose(1, 2)

    def __call__(self, tokens, last, cache=None):
        batch, count = tokens.shape
        past = cache[0][0].shape[2] if cache else 0
        angles = torch.arange(past, past + count).float()[:, None] * self.frequencies
        cos, sin = angles.cos(), angles.sin()
        mask = torch.full((count, past + count), -math.inf).triu(past + 1)
        x = self.embedding[tokens]
        group = self.heads // self.key_heads
        for layer, w in enumerate(self.blocks):
            n = self.normalise(x, w["norm1"])
            q = self.rotate(self.split(F.linear(n, w["q"]), self.heads), cos, sin)
            k = self.rotate(self.split(F.linear(n, w["k"]), self.key_heads), cos, sin)
            v = self.split(F.linear(n, w["v"]), self.key_heads)
            if cache is not None:
                if past:
                    k, v = torch.cat((cache[layer][0], k), 2), torch.cat((cache[layer][1], v), 2)
                    cache[layer] = (k, v)
                else:
                    cache.append((k, v))
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            pattern = (q @ k.transpose(-1, -2) / math.sqrt(self.head) + mask).softmax(-1)
            z = (pattern @ v).transpose(1, 2)
            x = x + F.linear(z.reshape(batch, count, -1), w["o"])
            n = self.normalise(x, w["norm2"])
            x = x + F.linear(F.silu(F.linear(n, w["gate"])) * F.linear(n, w["up"]), w["down"])
        x = self.normalise(x[:, -1:] if last else x, self.norm)
        return F.linear(x, self.embedding)


class Gpt2:
    """GPT-2 small: 12 layers, width 768, 12 heads of 64, MLP of 3072, tied embeddings."""

    layers, width, heads, mlp, vocabulary, context = 12, 768, 12, 3072, 50257, 1024

    def __init__(self):
        d = self.width
        shapes = dict(qkv=(d, 3 * d), o=(d, d), up=(d, self.mlp), down=(self.mlp, d))
        self.blocks = [{name: (random(*shape), random(shape[1])) for name, shape in shapes.items()} for _ in range(self.layers)]
        self.gain, self.shift = torch.ones(d), torch.zeros(d)
        self.embedding, self.positions = random(self.vocabulary, d), random(self.context, d)

    def normalise(self, x):
        return F.layer_norm(x, (self.width,), self.gain, self.shift, 1e-5)

    def apply(self, x, weight):
        return torch.addmm(weight[1], x.reshape(-1, x.shape[-1]), weight[0]).view(*x.shape[:-1], -1)

    def gelu(self, x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))

    def __call__(self, tokens, last):
        batch, count = tokens.shape
        mask = torch.full((count, count), -math.inf).triu(1)
        x = self.embedding[tokens] + self.positions[:count]
        for w in self.blocks:
            q, k, v = (part.view(batch, count, self.heads, -1).transpose(1, 2)
                       for part in self.apply(self.normalise(x), w["qkv"]).split(self.width, -1))
            pattern = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask).softmax(-1)
            z = (pattern @ v).transpose(1, 2)
            x = x + self.apply(z.reshape(batch, count, -1), w["o"])
            x = x + self.apply(self.gelu(self.apply(self.normalise(x), w["up"])), w["down"])
        return F.linear(self.normalise(x[:, -1:] if last else x), self.embedding)


models = {}


def model(name):
    if name not in models:
        torch.manual_seed(0)
        models[name] = Llama() if name == "smollm2" else Gpt2()
    return models[name]


def forward(name, batch, count):
    m = model(name)
    tokens = torch.arange(int(batch) * int(count)).view(int(batch), int(count)) % m.vocabulary

    @torch.no_grad()
    def run():
        m(tokens, False)

    return run


def generate(name, count, new):
    m = model(name)
    prompt = torch.arange(int(count))[None]

    @torch.no_grad()
    def run():
        cache, tokens = [], prompt
        for _ in range(int(new)):
            tokens = m(tokens, True, cache=cache)[:, -1].argmax(-1, keepdim=True)

    return run


peer.serve(
    f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {peer.blas()}", forward=forward, generate=generate)
