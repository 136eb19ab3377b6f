"""Attention flow of a trained network: how far the class-row pass is from the full gradient, a block each (I6).

`python -m oracles.daam_trained` prints the figures for the bundled detector's encoder (DINOv2 ViT-S/14, tuned) on eight
crops of the photographs in test/fixtures; docs/daam.md quotes them.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

from kfd_model import KFD
from kfd_model import VisionTransformer as StoredEncoder

from . import daam_flow, daam_kfd, daam_tape, kfd
from .vit import VitConfig

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "weights" / "mini-kfd.pt"
PHOTOS = ROOT / "test" / "fixtures" / "photos"
CONFIG = VitConfig(height=224, width=224, patch=14, dim=384, depth=12, heads=6)
BOXES = [(110, 0, 334, 224), (0, 0, 512, 512), (60, 0, 380, 320), (150, 120, 512, 482)]  # left, top, right, bottom
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def detector() -> daam_kfd.Detector:
    """The bundled detector in float64, its encoder in the oracles' own structure."""
    stored = torch.jit.load(str(WEIGHTS), map_location="cpu")
    state = {name: value.double() for name, value in stored.state_dict().items() if not name.startswith("prompt_learner.")}
    whole = KFD(StoredEncoder(), list(stored.taps), state["adapters.0.weight"].shape[0], float(stored.logit_scale)).double()
    whole.load_state_dict(state)
    encoder = kfd.Encoder(CONFIG).double()
    encoder.load_state_dict({name.removeprefix("encoder."): v for name, v in state.items() if name.startswith("encoder.")})
    for module in (whole, encoder):
        module.eval().requires_grad_(False)
    return daam_kfd.Detector(
        encoder, whole.adapters, whole.class_embeddings, whole.classifier, whole.taps, whole.logit_scale, whole.map_size
    )


def crops() -> Tensor:
    """(8,3,224,224) float64, normalised: the portrait and its forgery, each in four squares; values exact in float32."""
    pictures = [Image.open(PHOTOS / name).convert("RGB") for name in ("astronaut.jpg", "astronaut-forged.jpg")]
    planes = [p.resize((224, 224), Image.Resampling.BICUBIC, box) for box in BOXES for p in pictures]
    values = (np.stack([np.asarray(p) for p in planes]) / 255 - MEAN) / STD
    return torch.from_numpy(values.transpose(0, 3, 1, 2).astype(np.float32)).double()


def compare(found: daam_kfd.Detector, image: Tensor, name: str) -> dict[str, np.ndarray]:
    """One crop (1,3,224,224): error of C and rank correlation of the accumulated map, (L,) each."""
    tapes = daam_tape.run(found.encoder, image)
    target = next(t for t in found.targets(tapes[-1].output.detach(), 7) if t.name == name)
    alone = daam_tape.run_rows_alone(found.encoder, tapes, [0])
    full, cheap = (daam_flow.maps(t, daam_flow.reverse(t, target), [0]) for t in (tapes, alone))
    error = (cheap["C"] - full["C"]).norm(dim=2) / full["C"].norm(dim=2)
    accumulated = [m["U_relu"][:, 0, 1:].clamp(min=0).cumsum(0).numpy() for m in (full, cheap)]
    rank = [spearmanr(a, b).statistic for a, b in zip(*accumulated, strict=True)]
    same_maximum = accumulated[0][-1].argmax() == accumulated[1][-1].argmax()
    return {"error": error[:, 0].numpy(), "spearman": np.array(rank), "same_maximum": np.array([same_maximum])}


def main() -> None:
    torch.set_num_threads(1)
    found, images = detector(), crops()
    for name in ("feature", "cosine-feature", "class-token-forgery"):
        results = [compare(found, images[i : i + 1], name) for i in range(len(images))]
        print(f"target {name}: class-row against the full gradient, {len(images)} crops; median (worst)")
        for b in range(CONFIG.depth):
            error, rank = ([r[key][b] for r in results] for key in ("error", "spearman"))
            print(f"  block {b + 1:2d}: error of C {100 * np.median(error):5.1f} % ({100 * max(error):5.1f} %), "
                  f"rank correlation of the accumulated map {np.median(rank):.3f} ({min(rank):.3f})")  # fmt: skip
        print(f"  hottest patch of the final map equal in {sum(r['same_maximum'][0] for r in results)} of {len(results)}")


if __name__ == "__main__":
    main()
