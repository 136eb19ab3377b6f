"""Vision transformers out of timm, with weights from a local file, checked for what the engine can walk."""

import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .timm_import import import_timm

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".npz")
CLASSIFIER_NAMES = ("head.weight", "head.fc.weight", "module.head.weight")


@dataclass
class Source:
    """A model to convert, and what its manifest is to say."""

    model: nn.Module  # timm's VisionTransformer, eval mode, float32
    name: str
    source: str  # provenance, for the manifest
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: str  # of the manifest: crop, stretch
    licence: str | None = None
    reference: nn.Module | None = None  # image -> the same output by the original code; None: the model itself
    notes: list[str] = field(default_factory=list)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by name; nothing in the file is executed. The usual wrappers (`model`, `state_dict`) are opened."""
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: expected a local file ({', '.join(WEIGHT_SUFFIXES)})")
    if path.suffix not in WEIGHT_SUFFIXES:
        raise ValueError(f"{path} ends in '{path.suffix}', expected one of {', '.join(WEIGHT_SUFFIXES)}")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file  # noqa: PLC0415

        return load_file(str(path))
    try:
        return import_timm().models.load_state_dict(str(path), weights_only=True)
    except Exception as error:  # unpickling fails in many ways; all mean the same to the caller
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path} cannot be read as plain tensors ({reason}); save a state dict: torch.save(m.state_dict(), FILE)"
        ) from error


def classes_in_file(path: Path, weights: dict[str, torch.Tensor] | None) -> int | None:
    """Rows of the classifier in a checkpoint, 0 without one; None where it cannot be told."""
    if weights is None:  # the JAX format of the original ViT papers
        with np.load(path) as archive:
            return archive["head/bias"].shape[0] if "head/bias" in archive.files else 0
    for name in CLASSIFIER_NAMES:
        if name in weights:
            return weights[name].shape[0]
    known = any(name.split(".")[-1] in ("cls_token", "pos_embed") or name.startswith("blocks.") for name in weights)
    return 0 if known else None


def load(name: str, weights_file: Path | None, size: tuple[int, int] | None, seed: int = 0) -> Source:
    """The timm model `name` with the weights of a local file, or with random ones (`weights_file` None).

    `size` (height, width) resamples the position embedding as timm does. Raises ValueError for an unknown name, weights
    that do not fit, and models that the engine cannot walk.
    """
    timm = import_timm()
    logging.getLogger("timm").setLevel(logging.ERROR)
    bare = name.removeprefix("timm/")
    if not timm.models.is_model(bare):
        near = timm.list_models(f"*{bare.split('.')[0]}*")[:5]
        raise ValueError(f"timm {timm.__version__} has no model '{bare}'" + (f"; did you mean {', '.join(near)}?" if near else ""))
    options: dict = {"img_size": size} if size else {}
    if weights_file is None:
        torch.manual_seed(seed)
        model = create(timm, bare, pretrained=False, **options)
        origin = f"timm {timm.__version__} {bare}, random weights"
    else:
        weights = None if weights_file.suffix == ".npz" else read_weights(weights_file)
        classes = classes_in_file(weights_file, weights) if weights_file.is_file() else None
        # custom_load: the architecture's own reader of JAX archives
        overlay = {"file": str(weights_file), "custom_load": True} if weights is None else {"state_dict": weights, "custom_load": False}
        if classes is not None:
            options["num_classes"] = overlay["num_classes"] = classes
        try:
            model = create(timm, bare, pretrained=True, pretrained_cfg_overlay=overlay, **options)
        except (RuntimeError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"the weights of {weights_file} do not fit {bare}: {shorten(str(error))}") from error
        origin = f"timm {timm.__version__} {bare}, weights from {weights_file.name}"
    model = model.eval().requires_grad_(False).float()
    config = timm.data.resolve_model_data_config(model)
    check_walkable(timm, model, bare)
    square = model.patch_embed.img_size[0] == model.patch_embed.img_size[1]
    fit = "crop" if square and config["crop_mode"] == "center" else "stretch"
    notes = notes_of(model)
    if fit == "crop" and config["crop_pct"] < 1:
        notes.append(
            f"timm scales pictures by 1/{config['crop_pct']} before it cuts the centre; the manifest's 'crop' keeps the whole shorter side"
        )
    return Source(model, bare, origin, tuple(config["mean"]), tuple(config["std"]), fit, notes=notes)


def create(timm, name: str, **options) -> nn.Module:
    try:
        return timm.create_model(name, **options)
    except TypeError as error:  # an architecture without img_size is none that the engine can walk
        if "img_size" not in str(error):
            raise
        raise refusal(name, "it has no image size to set") from error


def shorten(message: str, length: int = 300) -> str:
    text = " ".join(message.split())
    return text if len(text) <= length else text[:length] + " ..."


def refusal(name: str, reason: str) -> ValueError:
    return ValueError(
        f"{name} cannot be converted: {reason}. The engine walks plain vision transformers: a patch embedding, tokens with "
        "absolute positions, and blocks of multi-head attention and MLP (ViT, DeiT, DeiT-3, DINO, DINOv2, CLIP, AugReg ...)"
    )


def check_walkable(timm, model: nn.Module, name: str) -> None:
    """Raises ValueError unless the model is timm's VisionTransformer with the plain patch embedding and blocks."""
    vision_transformer = timm.models.vision_transformer
    if not isinstance(model, vision_transformer.VisionTransformer):
        raise refusal(name, f"it is a {type(model).__name__}, not a VisionTransformer")
    if type(model.patch_embed).__name__ != "PatchEmbed":
        raise refusal(name, f"its patch embedding is a {type(model.patch_embed).__name__}")
    kernel, stride = model.patch_embed.proj.kernel_size, model.patch_embed.proj.stride
    if kernel != stride or kernel[0] != kernel[1]:
        raise refusal(name, f"its patches are {kernel} at steps of {stride}, not square and side by side")
    if getattr(model, "rope", None) is not None:
        raise refusal(name, "it uses rotary positions")
    for block in model.blocks:
        parts = dict(block.named_children())
        if "attn" not in parts or not hasattr(parts["attn"], "qkv"):
            raise refusal(name, f"its blocks are {type(block).__name__} without attn.qkv")


def activation_of(model: nn.Module) -> str | None:
    """The name in a manifest, None for an activation that the engine does not know."""
    act = getattr(model.blocks[0].mlp, "act", None)
    kind = type(act).__name__
    if kind == "GELU":
        return "gelu_tanh" if getattr(act, "approximate", "none") == "tanh" else "gelu"
    return {"GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu", "QuickGELUActivation": "quick_gelu"}.get(kind)


def layer_norm_eps(model: nn.Module) -> float:
    return float(model.blocks[0].norm1.eps)


def notes_of(model: nn.Module) -> list[str]:
    """What a user should know before using hooks or attention flows on the model."""
    notes = []
    block = model.blocks[0]
    mlp = type(block.mlp).__name__
    if type(block).__name__ != "Block" or mlp != "Mlp" or activation_of(model) is None or not isinstance(block.norm1, nn.LayerNorm):
        what = f"{type(block).__name__}, {mlp}, {type(block.norm1).__name__}"
        notes.append(f"its blocks ({what}) run as the module's own: slower, and attention flows are refused")
    if getattr(model, "attn_pool", None) is not None:
        notes.append("an attention pool reads the tokens: outputs and hooks work, attention flows are refused")
    return notes
