"""Writes a randomly initialised ViT for benches: `python -m oracles.bench_vit --size base --out vit.pt`.

Speed does not depend on the weights. The attention is PyTorch's fused one, as in timm: the peer must not be slowed down.
"""

import argparse
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vit import Attention, VitConfig, make_vit

SIZES = {
    "tiny": VitConfig(height=224, width=224, patch=16, dim=192, depth=12, heads=3, classes=1000),
    "small": VitConfig(height=224, width=224, patch=16, dim=384, depth=12, heads=6, classes=1000),
    "base": VitConfig(height=224, width=224, patch=16, dim=768, depth=12, heads=12, classes=1000),
}


class FusedAttention(nn.Module):
    """As `Attention`, on scaled_dot_product_attention."""

    def __init__(self, attention: Attention):
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.num_heads: int = attention.num_heads
        self.head_dim: int = attention.head_dim

    def forward(self, x: Tensor) -> Tensor:
        B, N, D = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, N, D))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = make_vit(SIZES[arguments.size], seed=0)
    with torch.no_grad():
        for parameter in model.parameters():  # small weights keep the activations of 12 random blocks in range
            parameter.mul_(0.5)
    for block in model.blocks:
        block.attn = FusedAttention(block.attn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model.eval()).save(str(arguments.out))


if __name__ == "__main__":
    main()
