"""Similarity maps of pictures, and the enlarged form in which the heads read them."""

import torch
from torch import Tensor

from kfd_model import KFD

from .network import autocast, normalise


@torch.no_grad()
def similarity_maps(kfd: KFD, pictures: Tensor, batch: int = 16, precision: str = "float32") -> Tensor:
    """uint8 (N,224,224,3) -> (N,levels,2,16,16) float32 on the model's device; `precision` of the encoder, by default as it ships."""
    device, out = kfd.class_embeddings.device, []
    for i in range(0, len(pictures), batch):
        x = normalise(pictures[i : i + batch].to(device))
        with autocast(str(device), precision):
            tapped = kfd.tapped_tokens(x)
        out.append(torch.stack(kfd.patch_similarities([t.float() for t in tapped]), dim=1))
    return torch.cat(out)


def enlarged(kfd: KFD, maps: Tensor) -> list[Tensor]:
    """(B,levels,2,g,g) -> per level (B,2,map_size,map_size), channels last, in which the heads' convolutions are faster (docs/training.md, Cost)."""
    return [m.contiguous(memory_format=torch.channels_last) for m in kfd.enlarge(list(maps.unbind(1)))]
