"""LoRA on the attention of the language model (Hu et al. 2021), and its GGUF adapter file (spec smollm-explainer section 4)."""

import math
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor, nn

from kfd_export.files import write_whole

RANK, ALPHA = 8, 16.0
# Our names of the four projections, and those of the GGUF tensors that they adapt.
TENSORS = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output"}


class LowRank(nn.Module):
    """The update alpha/rank * B A of one frozen weight (out,in). A (rank,in) is random, B (out,rank) zero: it starts at no change."""

    def __init__(self, inputs: int, outputs: int, rank: int = RANK, alpha: float = ALPHA):
        super().__init__()
        self.scale = alpha / rank
        self.A = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
        self.B = nn.Parameter(torch.zeros(outputs, rank))


def adapter_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A language model's state dict (`blocks.N.lora.q.A` ...) by GGUF names: `blk.N.attn_q.weight.lora_a` (rank,in), `.lora_b` (out,rank).

    The model keeps q and k in the GGUF's own row order (interleaved RoPE), so nothing is permuted. Raises ValueError for other keys.
    """
    factors = {}
    for key, factor in state.items():
        parts = key.split(".")
        if len(parts) != 5 or parts[0] != "blocks" or parts[2] != "lora" or parts[3] not in TENSORS or parts[4] not in ("A", "B"):
            raise ValueError(f"expected LoRA factors blocks.N.lora.{{q,k,v,o}}.{{A,B}}, got {key}")
        factors[f"blk.{parts[1]}.{TENSORS[parts[3]]}.weight.lora_{parts[4].lower()}"] = factor.detach()
    return factors


def state_of_adapter(factors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The other way: GGUF names to a language model's state dict."""
    names = {tensor: name for name, tensor in TENSORS.items()}
    state = {}
    for key, factor in factors.items():
        _, block, tensor, _, side = key.split(".")
        state[f"blocks.{block}.lora.{names[tensor]}.{side[-1].upper()}"] = factor
    return state


def write_adapter(factors: dict[str, Tensor], path: Path, alpha: float = ALPHA) -> None:
    """Writes a llama.cpp adapter in half precision, at once or not at all. Raises ValueError for values that are not finite there."""
    arrays = {name: factor.half().numpy() for name, factor in factors.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"expected finite half-precision values in {name}, got an overflow or NaN; lower the learning rate")

    def write(temporary: Path) -> None:
        writer = gguf.GGUFWriter(str(temporary), "llama")
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        writer.add_name("kfd explainer")
        writer.add_license("apache-2.0")
        for name, array in arrays.items():
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write_whole(path, write)


def read_adapter(path: Path) -> tuple[dict[str, Tensor], float]:
    """(factors in float32 by GGUF name, alpha) of an adapter file."""
    reader = gguf.GGUFReader(str(path))
    kind = reader.fields.get("adapter.type")
    if kind is None or kind.contents() != "lora":
        raise ValueError(f"expected a LoRA adapter in {path}, got another kind of GGUF file")
    factors = {t.name: torch.from_numpy(np.array(t.data, dtype=np.float32)) for t in reader.tensors}
    return factors, float(reader.fields["adapter.lora.alpha"].contents())
