"""Detector checkpoints: a finished KFD's weights with what is needed to build it again."""

import os
from pathlib import Path

import torch

from kfd_model import KFD, VisionTransformer


def save_detector(path: Path, kfd: KFD, threshold: float, training: dict) -> None:
    """Writes under a temporary name, then renames."""
    encoder = kfd.encoder
    patch = encoder.patch_embed.proj.stride[0]
    side = int(round((encoder.pos_embed.shape[1] - 1) ** 0.5))
    shape = {
        "image": side * patch,
        "patch": patch,
        "width": encoder.cls_token.shape[-1],
        "depth": len(encoder.blocks),
        "heads": encoder.blocks[0].attn.num_heads,
        "hidden": encoder.blocks[0].mlp.fc1.out_features,
    }
    embedding = kfd.class_embeddings.shape[1]
    state = {"encoder": shape, "taps": list(kfd.taps), "embedding": embedding, "weights": kfd.state_dict(), "threshold": threshold, "training": training}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_detector(path: Path) -> tuple[KFD, float, dict]:
    """(module in eval mode, threshold, training record)."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected a detector checkpoint at {path}; write it with `python -m kfd_train heads`")
    state = torch.load(path, map_location="cpu", weights_only=True)
    kfd = KFD(VisionTransformer(**state["encoder"]), state["taps"], state["embedding"])
    kfd.load_state_dict(state["weights"])
    return kfd.eval().requires_grad_(False), state["threshold"], state["training"]
