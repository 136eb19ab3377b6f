"""A vision transformer run with everything that an attention flow reads kept at hand, for autograd (spec/daam.md 1.1).

Shapes: B images, L blocks, N tokens (prefix first), D width, H heads, d = D/H. Nothing here is fast: every attention
matrix is formed.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .vit import VisionTransformer


@dataclass
class BlockTape:
    """One block: X' = x + attention_update, output = X' + mlp_update."""

    x: Tensor  # (B,N,D) input
    z: Tensor  # (B,N,D) after norm1
    attention: Tensor  # (B,H,N,N) after the softmax
    value: Tensor  # (B,H,N,d)
    mixed: Tensor  # (B,N,D) T_b: attention @ value, heads side by side; before attn.norm and the projection
    attention_update: Tensor  # (B,N,D)
    mlp_update: Tensor  # (B,N,D)
    output: Tensor  # (B,N,D)


def run_block(block: nn.Module, x: Tensor) -> BlockTape:
    attn = block.attn
    B, N, D = x.shape
    z = block.norm1(x)
    q, k, v = attn.qkv(z).reshape(B, N, 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    q, k = attn.q_norm(q), attn.k_norm(k)
    attention = (q @ k.transpose(-2, -1) / attn.head_dim**0.5).softmax(-1)
    mixed = (attention @ v).transpose(1, 2).reshape(B, N, D)
    attention_update = block.ls1(attn.proj(attn.norm(mixed)))
    after = x + attention_update
    mlp_update = block.gate(block.ls2(block.mlp(block.norm2(after))))
    return BlockTape(x, z, attention, v, mixed, attention_update, mlp_update, after + mlp_update)


def run(model: VisionTransformer, image: Tensor) -> list[BlockTape]:
    """image (B,3,H,W) -> one tape a block, connected by one autograd graph (weights need no gradient)."""
    x = model.tokens(image).detach().requires_grad_()
    tapes = []
    for block in model.blocks:
        tapes.append(run_block(block, x))
        x = tapes[-1].output
    return tapes


def run_rows_alone(model: VisionTransformer, plain: list[BlockTape], rows: list[int]) -> list[BlockTape]:
    """The same forward pass in which only `rows` may change: all other tokens are constants before every block (I6).

    `rows` must be the first ones: [0], or [0, 1] with a distillation token.
    """
    live = plain[0].x[:, rows].detach().requires_grad_()
    tapes = []
    for block, known in zip(model.blocks, plain, strict=True):
        tapes.append(run_block(block, torch.cat([live, known.x[:, len(rows) :].detach()], dim=1)))
        live = tapes[-1].output[:, rows]
    return tapes


def feature(model: VisionTransformer, x: Tensor) -> Tensor:
    """Tokens after the last block (B,N,D) -> f (B,D): what the head reads; with a distillation token the class token's."""
    x = model.norm(x)
    return model.fc_norm(x[:, model.prefix :].mean(1)) if model.average else x[:, 0]


def head_rows(model: VisionTransformer) -> list[int]:
    """Rows that the paper's decomposition takes: the class token's, and the distillation token's."""
    return list(range(model.leading))


class FrozenLayerNorm(nn.Module):
    """LayerNorm whose scale sqrt(var + eps) is that of `reference`, whatever comes in: an affine map (spec 3.2)."""

    def __init__(self, norm: nn.LayerNorm, reference: Tensor):
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.sigma = (reference.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt().detach()

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(-1, keepdim=True)) / self.sigma * self.weight + self.bias


def frozen_head(model: VisionTransformer, last: Tensor) -> VisionTransformer:
    """The model with `norm` and `fc_norm` frozen at the tokens `last` (B,N,D) of the last block."""
    frozen = copy.copy(model)
    frozen._modules = dict(model._modules)
    if isinstance(model.norm, nn.LayerNorm):
        frozen.norm = FrozenLayerNorm(model.norm, last)
    if isinstance(model.fc_norm, nn.LayerNorm):
        frozen.fc_norm = FrozenLayerNorm(model.fc_norm, model.norm(last)[:, model.prefix :].mean(1))
    return frozen
