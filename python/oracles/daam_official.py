"""The published algorithm once more, as its authors' code works: hooks on a finished model, then one backward pass.

Written from spec/daam.md 1.2-1.6 as a second oracle beside `daam_flow`, with which it shares no code, and as the peer of
the benchmark. It keeps what the published code does in principle (attention computed again in a hook, full softmax
matrices, float32 as the model is) and drops its defects (section 2): batches keep their images apart, any grid and any
number of prefix tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class OfficialMaps:
    target: Tensor  # (B,) raw logit, or <w, f>
    block_maps: Tensor  # (B,L,h,w)
    coefficients: Tensor  # (B,L,D)

    @property
    def accumulated(self) -> Tensor:
        return self.block_maps.cumsum(1)


class OfficialDaam:
    """Context manager around a timm-named vision transformer: hooks hang on `blocks[b].attn` while it is open.

    `parameter_gradients` pays for the gradients of all weights too, as the published code does; the maps are the same.
    """

    def __init__(self, model: nn.Module, grid: tuple[int, int], prefix: int = 1, parameter_gradients: bool = False):
        self.model, self.grid, self.prefix = model, grid, prefix
        self.parameter_gradients = parameter_gradients
        self.class_parts: list[Tensor] = []  # S_b without its row order: (B,H,N,d) a block
        self.mixed: list[Tensor] = []
        self.handles: list = []

    def __enter__(self) -> "OfficialDaam":
        for block in self.model.blocks:
            attn = block.attn
            self.handles.append(attn.qkv.register_forward_hook(self.class_row_of(attn)))
            self.handles.append(attn.proj.register_forward_pre_hook(lambda _, inputs: self.mixed.append(inputs[0])))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def class_row_of(self, attn: nn.Module):
        def hook(_: nn.Module, __: tuple, qkv: Tensor) -> None:
            B, N, width = qkv.shape
            d = width // 3 // attn.num_heads
            q, k, v = qkv.detach().reshape(B, N, 3, attn.num_heads, d).permute(2, 0, 3, 1, 4).unbind(0)
            attention = (q @ k.transpose(-2, -1) * d**-0.5).softmax(-1)
            self.class_parts.append(attention[:, :, 0, :, None] * v)

        return hook

    def reverse(self, total: Tensor) -> list[Tensor]:
        """d total / d T_b, a block each."""
        if not self.parameter_gradients:
            return list(torch.autograd.grad(total, self.mixed))
        for mixed in self.mixed:
            mixed.retain_grad()
        total.backward()
        self.model.zero_grad(set_to_none=True)
        return [mixed.grad for mixed in self.mixed]

    def __call__(self, image: Tensor, index: Tensor | None = None, weights: Tensor | None = None) -> OfficialMaps:
        """image (B,3,H,W). Supervised: the logit `index` (B,), by default the largest, with max(C,0).

        With `weights` (B,D) self-supervised: the model must end in its feature, and C keeps its sign.
        """
        self.class_parts.clear()
        self.mixed.clear()
        with torch.enable_grad():
            out = self.model(image.detach().requires_grad_())
            if weights is not None:
                target = (out * weights).sum(1)
            else:
                index = out.argmax(1) if index is None else index
                target = out.gather(1, index[:, None])[:, 0]
            gradients = self.reverse(target.sum())
        maps, coefficients = [], []
        for gradient, parts in zip(gradients, self.class_parts, strict=True):
            C = gradient[:, 0]
            used = C if weights is not None else C.relu()
            B, H, N, d = parts.shape
            signed = (used.reshape(B, H, 1, d) * parts).sum((1, 3))
            maps.append(signed[:, self.prefix :].relu().reshape(B, *self.grid))
            coefficients.append(C)
        return OfficialMaps(target.detach(), torch.stack(maps, 1), torch.stack(coefficients, 1))
