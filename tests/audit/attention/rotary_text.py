"""A right attention with rotary positions, which tests edit."""

ROTARY = """import math

import torch
from torch import nn


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def apply_rotary(x, cos, sin):
    return x * cos + rotate_half(x) * sin


class Attention(nn.Module):
    def __init__(self, dim: int = 48, num_heads: int = 6):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))
        self.norm = nn.Identity()

    def forward(self, x):
        b, n, d = x.shape
        x = self.norm(x)
        q, k, v = (each(x).view(b, n, self.num_heads, -1).transpose(1, 2)
                   for each in (self.q_proj, self.k_proj, self.v_proj))
        half = q.shape[-1] // 2
        angles = torch.arange(n)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos().to(x), angles.sin().to(x)
        q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -math.inf)
        out = scores.softmax(dim=-1) @ v
        return self.out_proj(out.transpose(1, 2).reshape(b, n, d))
"""
