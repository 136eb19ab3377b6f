"""Attention flow by torch.autograd in float64: what every pass of the engine must return (spec/daam.md, engine.h Flow).

Arrays of one pass, first axis the block: `C` (L,B,D), `U`, `U_relu` (L,B,N), `total` (L,B), `U_heads`, `U_relu_heads`
(L,B,H,N); the direct split also `attention_bias`, `mlp` (L,B) and `embedding`, `norm_bias`, `head_bias`, `value` (B).
"""

import torch
from torch import Tensor

from . import daam_tape
from .daam_tape import BlockTape
from .daam_targets import Target
from .vit import VisionTransformer

Arrays = dict[str, Tensor]


def by_heads(x: Tensor, heads: int) -> Tensor:
    """(B,N,D) -> (B,H,N,d)."""
    B, N, D = x.shape
    return x.reshape(B, N, heads, D // heads).transpose(1, 2)


def combine(tape: BlockTape, coefficients: Tensor, rows: list[int]) -> Tensor:
    """sum over rows r and channels k of C[r,k] A[r,n] V[n,k], a head each: coefficients (B,N,D) -> (B,H,N) (1.2, 1.4)."""
    C = by_heads(coefficients, tape.attention.shape[1])[:, :, rows]
    alpha = torch.einsum("bhrd,bhnd->bhrn", C, tape.value)
    return (tape.attention[:, :, rows] * alpha).sum(2)


def maps(tapes: list[BlockTape], coefficients: list[Tensor], rows: list[int]) -> Arrays:
    """The arrays of one pass from its coefficients, one (B,N,D) a block."""
    per_block: dict[str, list[Tensor]] = {name: [] for name in ("C", "U", "U_relu", "U_heads", "U_relu_heads", "total")}
    for tape, C in zip(tapes, coefficients, strict=True):
        signed, positive = combine(tape, C, rows), combine(tape, C.clamp(min=0), rows)
        per_block["C"].append(C[:, 0])
        per_block["U_heads"].append(signed)
        per_block["U_relu_heads"].append(positive)
        per_block["U"].append(signed.sum(1))
        per_block["U_relu"].append(positive.sum(1))
        per_block["total"].append((C * tape.mixed)[:, rows].sum((1, 2)))
    return {name: torch.stack(values).detach() for name, values in per_block.items()}


def derivative(value: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """dY/dinput of each image's own Y (B); zeros where Y does not depend on it."""
    found = torch.autograd.grad(value.sum(), inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]


def reverse(tapes: list[BlockTape], target: Target) -> list[Tensor]:
    """dY/dT_b, (B,N,D) a block, along whatever graph the tapes have: the whole one or that of the class row alone."""
    value = target.value([t.output for t in tapes])
    return derivative(value, [t.mixed for t in tapes])


def direct_seeds(model: VisionTransformer, tapes: list[BlockTape], target: Target) -> tuple[list[Tensor], Arrays]:
    """Derivatives by every block's output with LayerNorm scales frozen, and the parts that no block has (3.2, I4).

    Targets on logits and features go through the frozen head; the others take their plain derivative.
    """
    outputs = [t.output.detach().requires_grad_() for t in tapes]  # cut off from each other
    zero = torch.zeros(outputs[0].shape[0], dtype=outputs[0].dtype)
    if target.weights is None:
        seeds = derivative(target.value(outputs), outputs)
        value = sum((s * o).sum((1, 2)) for s, o in zip(seeds, outputs, strict=True))
        return seeds, {"norm_bias": zero, "head_bias": zero, "value": value.detach()}
    last = outputs[-1]
    frozen = daam_tape.frozen_head(model, last)
    (seed,) = derivative(target.linear(frozen, last), [last])
    head_bias = zero
    if target.kind == "logits":
        bias = model.head.bias if not model.distilled else (model.head.bias + model.head_dist.bias) / 2
        head_bias = (target.weights * bias).sum(1)
    origin = target.linear(frozen, torch.zeros_like(last)).detach()  # an affine form at 0: only biases are left
    seeds = [torch.zeros_like(seed) for _ in tapes[:-1]] + [seed]
    return seeds, {"norm_bias": origin - head_bias, "head_bias": head_bias.detach(), "value": target.linear(model, last).detach()}


def direct(model: VisionTransformer, tapes: list[BlockTape], target: Target, rows: list[int]) -> Arrays:
    """Frozen-LayerNorm coefficients W_O^T (ls1 * u_b) and every other part of the exact sum I4."""
    seeds, parts = direct_seeds(model, tapes, target)
    coefficients, bias, mlp = [], [], []
    below = [torch.stack(seeds[b:]).sum(0) for b in range(len(tapes))]  # u_b: all that reads the output of block b
    for block, tape, u in zip(model.blocks, tapes, below, strict=True):
        scaled = block.ls1(u)  # ls1 is diagonal, so it is its own transpose
        coefficients.append(scaled @ block.attn.proj.weight)
        bias.append((scaled @ block.attn.proj.bias)[:, rows].sum(1))
        mlp.append((u * tape.mlp_update)[:, rows].sum((1, 2)))
    return {
        **maps(tapes, coefficients, rows),
        "attention_bias": torch.stack(bias).detach(),
        "mlp": torch.stack(mlp).detach(),
        "embedding": (below[0] * tapes[0].x)[:, rows].sum((1, 2)).detach(),
        **parts,
    }


def baselines(tapes: list[BlockTape], targets: list[Target]) -> Arrays:
    """`attention` (L,B,H,N), `rollout` (L,B,N) and `gradcam` (T,B,N) as engine.h defines them."""
    N = tapes[0].x.shape[1]
    product, rollout = torch.eye(N, dtype=torch.float64), []
    for tape in reversed(tapes):
        product = product @ ((tape.attention.mean(1) + torch.eye(N, dtype=torch.float64)) / 2)
        rollout.append(product[:, 0])
    z = tapes[-1].z
    gradcam = []
    for target in targets:
        (by_z,) = derivative(target.value([t.output for t in tapes]), [z])
        gradcam.append((by_z[:, :1] * z).sum(2))
    return {
        "attention": torch.stack([t.attention[:, :, 0] for t in tapes]).detach(),
        "rollout": torch.stack(rollout[::-1]).detach(),
        "gradcam": torch.stack(gradcam).detach(),
    }


def stack_targets(passes: list[Arrays]) -> Arrays:
    """A target each -> arrays with T behind the block axis where there is one, in front where there is none."""
    with_blocks = {"C", "U", "U_relu", "U_heads", "U_relu_heads", "total", "attention_bias", "mlp", "C_rows"}
    return {name: torch.stack([p[name] for p in passes], 1 if name in with_blocks else 0) for name in passes[0]}
