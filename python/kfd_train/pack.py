"""Gathers what training reads into one small folder that can be carried to another machine, and says how large it is.

Photographs without faces become JPEG 95, an optional encoder or checkpoint is stored in half precision; faces stay as they are.
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import cv2
import torch

from kfd_export.files import write_json

JPEG_QUALITY = 95


def pack_photographs(folder: Path, out: Path) -> None:
    """photographs.json and its pictures as JPEG."""
    listing = json.loads((folder / "photographs.json").read_text(encoding="utf-8"))
    (out / "photographs").mkdir()
    renamed = {}
    for name in listing["photographs"]:
        picture = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"expected a readable photograph at {folder / name}; run `python -m kfd_train photographs` again")
        renamed[name] = str(Path(name).with_suffix(".jpg"))
        cv2.imwrite(str(out / renamed[name]), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    details = [entry | {"path": renamed[entry["path"]]} for entry in listing.get("details", [])]
    write_json(out / "photographs.json", listing | {"photographs": list(renamed.values()), "details": details})


def pack_weights(path: Path, out: Path) -> None:
    """The network (not the optimiser) of an averaged.pt or stage1.pt, or an encoder's state dict, in half precision."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    halve = lambda tensors: {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}  # noqa: E731
    packed = {"network": halve(state["network"]), "config": state["config"], "curve": state["curve"]} if "network" in state else halve(state)
    torch.save(packed, out)


def pack(folder: Path, out: Path, weights: list[Path]) -> int:
    """Writes `out` anew and returns its size in bytes."""
    incoming = out.with_name(out.name + ".incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    shutil.copytree(folder / "faces", incoming / "faces")
    shutil.copy(folder / "canonical.json", incoming)
    pack_photographs(folder, incoming)
    for path in weights:
        pack_weights(path, incoming / path.name)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(incoming, out)
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train pack", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/, photographs.json and canonical.json")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="encoder or checkpoints to carry along, in half precision")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; use it as --dir on the other machine")
    arguments = parser.parse_args(argv)
    size = pack(arguments.dir, arguments.out, arguments.weights)
    print(f"{arguments.out}: {size / 2**20:.1f} MiB")
