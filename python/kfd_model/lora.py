"""Low-rank adaptation of linear layers: y = W x + b + scale * B A x, with W frozen (scale 1/rank, spec kfd section 3)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LoRALinear(nn.Module):
    """Wraps a Linear in -> out. `lora_A` (rank,in) is random, `lora_B` (out,rank) zero, so training starts at the wrapped layer."""

    def __init__(self, linear: nn.Linear, rank: int):
        super().__init__()
        if rank < 1:
            raise ValueError(f"expected a LoRA rank of at least 1, got {rank}")
        self.weight = nn.Parameter(linear.weight.detach().clone(), requires_grad=False)
        self.bias = nn.Parameter(linear.bias.detach().clone(), requires_grad=False)
        self.lora_A = nn.Parameter(torch.empty(rank, linear.in_features))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scale: float = 1.0 / rank
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        low_rank = F.linear(F.linear(x, self.lora_A), self.lora_B * self.scale)
        return F.linear(x, self.weight, self.bias) + low_rank

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain Linear with the same function."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        linear.weight.copy_(self.weight + self.scale * self.lora_B @ self.lora_A)
        linear.bias.copy_(self.bias)
        return linear


def add_lora(module: nn.Module, rank: int, names: tuple[str, ...] = ("fc1", "fc2")) -> list[str]:
    """Replaces every Linear child called one of `names` (at any depth) by a LoRALinear; returns their paths.

    Raises ValueError if nothing matched, so that a renamed layer cannot leave a model untrained unnoticed.
    """
    replaced = []
    for path, parent in list(module.named_modules()):
        for name, child in list(parent.named_children()):
            if name in names and isinstance(child, nn.Linear):
                setattr(parent, name, LoRALinear(child, rank))
                replaced.append(f"{path}.{name}" if path else name)
    if not replaced:
        raise ValueError(f"expected Linear layers called {names}, found none; check the layer names of the encoder")
    return replaced


def merge_lora(module: nn.Module) -> int:
    """Replaces every LoRALinear below `module` by its merged Linear; returns how many there were."""
    count = 0
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, child.merged())
                count += 1
    return count
