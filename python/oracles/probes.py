"""What the engine's hooks must return, from the full attention matrices of a model (spec: engine.h, Hooks)."""

import torch
from torch import Tensor

from .vit import VisionTransformer


def attention_parts(block, x: Tensor) -> tuple[Tensor, Tensor]:
    """Full softmax (B,H,N,N) and V (B,H,N,d) of one block for its input x (B,N,D)."""
    attention = block.attn
    y = block.norm1(x)
    B, N, _ = y.shape
    qkv = attention.qkv(y).reshape(B, N, 3, attention.num_heads, attention.head_dim).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    q, k = attention.q_norm(q), attention.k_norm(k)
    return (q @ k.transpose(-2, -1) * attention.scale).softmax(-1), v


def walk(model: VisionTransformer, image: Tensor, directions: Tensor | None) -> dict[str, Tensor]:
    """All hooks of all blocks. directions (L,D) of the residual stream, or None."""
    x = model.tokens(image)
    out: dict[str, list[Tensor]] = {k: [] for k in ("class_token", "class_attention", "prefix_mass", "contribution")}
    result: dict[str, Tensor] = {"tokens.in": x}
    for b, block in enumerate(model.blocks):
        attention, v = attention_parts(block, x)
        row = attention[:, :, 0]  # (B,H,N)
        out["class_attention"].append(row)
        out["prefix_mass"].append(row[:, :, : model.prefix].sum(-1).mean(1))
        if directions is not None:
            gamma = getattr(block.ls1, "gamma", torch.ones(x.shape[-1]))
            H, d = attention.shape[1], v.shape[-1]
            w_o = block.attn.proj.weight.reshape(-1, H, d)  # (D,H,d)
            weighted = row[..., None] * v  # (B,H,N,d)
            # every token's vector in the residual stream first, the direction last: not the engine's order of summing
            vectors = torch.einsum("bhnd,chd->bnc", weighted, w_o) * gamma
            out["contribution"].append(vectors @ directions[b])
        x = block(x)
        out["class_token"].append(x[:, 0])
        result[f"tokens.{b}"] = x
    for name, rows in out.items():
        if rows:
            result[name] = torch.stack(rows)
    result["logits"] = model.classify(x)
    return result
