"""A timm vision transformer, or one from a local Hugging Face folder, as TorchScript with a manifest.

``python -m kfd_export vit NAME --weights FILE -o OUT.pt`` or ``python -m kfd_export vit --hf FOLDER -o OUT.pt``
writes OUT.pt and OUT.kfd.json beside it. Guide: docs/convert.md.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

from .files import sha256_of, write_json, write_whole
from .torchscript import save_script

TOLERANCE = 1e-5  # largest difference to the source model, relative to its largest output
STEPS = 4


class Progress:
    """Numbered steps on stderr."""

    def __init__(self, quiet: bool):
        self.quiet, self.done = quiet, 0

    def __call__(self, text: str) -> None:
        self.done += 1
        if not self.quiet:
            print(f"[{self.done}/{STEPS}] {text}", file=sys.stderr, flush=True)


def input_size(text: str) -> tuple[int, int]:
    """ "HxW" or one number for both -> (height, width)."""
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH in pixels, such as 224x224, got '{text}'")
    return int(parts[0]), int(parts[-1])


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m kfd_export vit",
        description=__doc__.splitlines()[0],
        epilog="Nothing is downloaded. Guide and limits: docs/convert.md",
    )
    parser.add_argument("model", nargs="?", metavar="NAME", help="a timm model, such as vit_base_patch16_224")
    parser.add_argument("--hf", type=Path, metavar="FOLDER", help="a local folder of transformers (ViT, DINOv2, CLIP) instead of NAME")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="local weights of NAME: .safetensors, .pth, .pt, .bin, .npz")
    parser.add_argument("--allow-random", action="store_true", help="without --weights: random weights, to try structure and speed")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.pt", help="TorchScript file to write")
    parser.add_argument("--input-size", type=input_size, metavar="HxW", help="resample the position embedding to another input size")
    parser.add_argument("--name", help="name in the manifest (default: the model's)")
    parser.add_argument("--licence", help="licence of the weights, for the manifest")
    parser.add_argument("--source", help="where the weights come from, for the manifest (default: name and file)")
    parser.add_argument("--fit", choices=("crop", "stretch", "letterbox"), help="how pictures are brought to the input size")
    parser.add_argument("--unchecked", action="store_true", help="--hf: do not compare with transformers")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, kfd.convert/1")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    args = parser.parse_args(argv)
    if (args.model is None) == (args.hf is None):
        parser.error("expected either the NAME of a timm model or --hf FOLDER")
    if args.hf is not None and (args.weights is not None or args.allow_random):
        parser.error("--weights and --allow-random go with the NAME of a timm model; a folder has its own weights")
    if args.model is not None and args.weights is None and not args.allow_random:
        parser.error("no weights: give --weights FILE, or --allow-random for a model that knows nothing")
    if args.out.suffix != ".pt":
        parser.error(f"expected an output file NAME.pt, got {args.out}")
    return args


def load_source(args: argparse.Namespace):
    if args.hf is not None:
        from . import vit_huggingface  # noqa: PLC0415

        return vit_huggingface.load(args.hf, args.input_size, compare=not args.unchecked)
    from . import vit_timm  # noqa: PLC0415

    return vit_timm.load(args.model, args.weights, args.input_size)


def script(model: nn.Module) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript's deprecation is known
            return torch.jit.script(model)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"TorchScript cannot compile this model ({reason}): it is not a plain vision transformer") from error


@torch.inference_mode()
def difference(source: nn.Module, path: Path, size: tuple[int, int]) -> float:
    """Largest difference of the written file to the source model on two random images, relative to the largest output."""
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected, found = source(images), torch.jit.load(str(path), map_location="cpu").eval()(images)
    if found.shape != expected.shape:
        raise ValueError(f"the converted model gives {tuple(found.shape)}, the source {tuple(expected.shape)}")
    return float((found - expected).abs().max() / expected.abs().max())


def manifest(args: argparse.Namespace, source, path: Path, error: float | None) -> dict:
    """kfd.model/1 of the written file; fields: lib/setup/modelManifest.ts."""
    from .vit_timm import activation_of, layer_norm_eps  # noqa: PLC0415

    model = source.model
    height, width = model.patch_embed.img_size
    vit = {
        "heads": model.blocks[0].attn.num_heads,
        "patch": model.patch_embed.proj.kernel_size[0],
        "prefixTokens": model.num_prefix_tokens,
        "layerNormEps": layer_norm_eps(model),
        "activation": activation_of(model),
    }
    content = {
        "schema": "kfd.model/1",
        "name": args.name or source.name,
        "kind": "vit",
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "licence": args.licence or source.licence or "not stated",
        "source": args.source or source.source,
        "input": {"width": width, "height": height, "fit": args.fit or source.fit, "mean": list(source.mean), "std": list(source.std)},
        "metrics": {} if error is None else {"conversionError": error},
    }
    # blocks of an unknown activation run as the module's own, which needs none of these
    return {**content, "vit": vit} if vit["activation"] is not None else content


def main(argv: list[str]) -> int:
    args = parse(argv)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")  # before timm and transformers are imported
    torch.set_num_threads(1)
    progress = Progress(args.quiet)
    progress(f"reading {args.hf or args.model}" + (f" with {args.weights}" if args.weights else ""))
    source = load_source(args)
    progress("compiling to TorchScript")
    scripted = script(source.model)
    unchecked = args.hf is not None and args.unchecked
    error = None

    def write_and_compare(temporary: Path) -> None:
        nonlocal error
        progress(f"writing {args.out}")
        save_script(scripted, temporary)
        progress("not comparing" if unchecked else f"comparing with {compared_with(source)}")
        if not unchecked:
            error = difference(source.reference or source.model, temporary, source.model.patch_embed.img_size)
            if not error <= TOLERANCE:
                raise ValueError(
                    f"the converted model differs from its source by {error:.1e} (relative; at most {TOLERANCE:.0e} is accepted)"
                )

    write_whole(args.out, write_and_compare)
    path = args.out.with_suffix(".kfd.json")
    content = manifest(args, source, args.out, error)
    write_json(path, content)
    if args.json:
        report = {"schema": "kfd.convert/1", "model": str(args.out), "manifest": str(path), "sha256": content["sha256"],
                  "difference": error, "comparedWith": None if unchecked else compared_with(source), "notes": source.notes}  # fmt: skip
        print(json.dumps(report))
        return 0
    height, width = source.model.patch_embed.img_size
    depth, prefix = len(source.model.blocks), source.model.num_prefix_tokens
    print(f"{args.out}: {source.name}, input {width} x {height}, {depth} blocks, {prefix} prefix tokens")
    if error is None:
        print("not compared with the original (--unchecked)")
    else:
        print(f"difference to {compared_with(source)}: {error:.1e} of the largest output")
    for note in source.notes:
        print(f"note: {note}")
    print(f"manifest: {path}")
    return 0


def compared_with(source) -> str:
    return "the timm model in memory" if source.reference is None else "the same folder in transformers"
