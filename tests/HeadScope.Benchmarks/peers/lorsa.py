"""A training step of a Lorsa with dense tensors: what the definition says, left to autograd and torch.optim.Adam."""

import math

import torch

import peer

D, G, E, N, K, B, T = 768, 12, 64, 6144, 64, 4, 256


def rotate(q, cos, sin):
    half = E // 2
    return torch.cat([q[..., :half] * cos - q[..., half:] * sin, q[..., half:] * cos + q[..., :half] * sin], dim=-1)


def step():
    torch.manual_seed(1)
    bound = math.sqrt(6 / ((D + G) * E))
    w_q = torch.empty(G, D, E).uniform_(-bound, bound).requires_grad_()
    w_k = torch.empty(G, D, E).uniform_(-bound, bound).requires_grad_()
    w_v = (torch.randn(N, D) / math.sqrt(N)).requires_grad_()
    w_o = (torch.randn(N, D) / math.sqrt(D)).requires_grad_()
    b_q, b_k = torch.zeros(G, E, requires_grad=True), torch.zeros(G, E, requires_grad=True)
    b_v, b_d = torch.zeros(N, requires_grad=True), torch.zeros(D, requires_grad=True)
    parameters = [w_q, w_k, w_v, w_o, b_q, b_k, b_v, b_d]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    x, y = torch.randn(B, T, D), torch.randn(B, T, D)
    mask = torch.ones(B, T)
    mask[:, 0] = 0
    future = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
    angles = torch.outer(torch.arange(T, dtype=torch.float32), 10000 ** (-torch.arange(0, E, 2) / E))
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]

    def run():
        q = rotate((x.reshape(B * T, D) @ w_q.permute(1, 0, 2).reshape(D, G * E)).view(B, T, G, E) + b_q, cos, sin)
        k = rotate((x.reshape(B * T, D) @ w_k.permute(1, 0, 2).reshape(D, G * E)).view(B, T, G, E) + b_k, cos, sin)
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / math.sqrt(E)
        pattern = scores.masked_fill(future, -math.inf).softmax(-1)
        v = (x.reshape(B * T, D) @ w_v.T + b_v).view(B, T, G, N // G).transpose(1, 2)
        z = (pattern @ v).transpose(1, 2).reshape(B, T, N)
        with torch.no_grad():
            u = torch.relu(z * w_o.norm(dim=1))
            active = torch.zeros_like(u).scatter_(-1, u.topk(K, dim=-1, sorted=False).indices, 1) * (u > 0)
        output = (z * active).view(B * T, N) @ w_o + b_d
        loss = ((output.view(B, T, D) - y).square().sum(-1) * mask).sum() / mask.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.sqrt(sum(p.grad.square().sum() for p in parameters))
        optimizer.step()

    return run


peer.serve(f"PyTorch {torch.__version__}, {peer.blas()}", step=step)
