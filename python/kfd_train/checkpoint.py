"""Detector checkpoints: a finished KFD's weights with what is needed to build it again."""

import json
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


def load_exported(path: Path) -> tuple[KFD, float, dict]:
    """The same of a shipped NAME.pt with NAME.kfd.json beside it: tensors as the file stores them (half precision), in float32."""
    manifest = Path(path).with_suffix(".kfd.json")
    if not Path(path).is_file() or not manifest.is_file():
        raise FileNotFoundError(f"expected a model file at {path} and its manifest {manifest.name} beside it")
    described = json.loads(manifest.read_text(encoding="utf-8"))
    weights = torch.jit.load(str(path), map_location="cpu").float().state_dict()
    vit, width = described["vit"], weights["encoder.cls_token"].shape[-1]
    depth = len({name.split(".")[2] for name in weights if name.startswith("encoder.blocks.")})
    hidden = weights["encoder.blocks.0.mlp.fc1.weight"].shape[0]
    encoder = VisionTransformer(described["input"]["width"], vit["patch"], width, depth, vit["heads"], hidden)
    kfd = KFD(encoder, vit["taps"], weights["class_embeddings"].shape[1], described["kfd"]["logitScale"])
    kfd.load_state_dict(weights)
    return kfd.eval().requires_grad_(False), described["kfd"]["threshold"], described["training"]
