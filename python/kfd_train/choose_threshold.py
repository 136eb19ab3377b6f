"""Chooses the decision threshold on every validation person, held-out ones included, and says what that is worth on people left out.

Thirteen calibration people are too few for a share of 95 %: one of them with an odd photograph decides it alone. So the threshold is
chosen on all validation people together, each counting the same, and its figures come from leaving one person out at a time:
the threshold of the others, applied to that person.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from kfd_model import KFD

from . import calibrate, testsets
from .checkpoint import load_detector, save_detector
from .store import Face, read_canonical, read_faces

REAL_SHARE_KEPT = 0.95  # share of untouched faces that must lie below the threshold
KINDS = ("real", "self-blend", "swap-alpha", "swap-poisson")


@dataclass
class Scored:
    """Parallel arrays, one row a picture: score, whether it is untouched or a forgery of the whole face, whose face."""

    score: np.ndarray  # 0..1
    real: np.ndarray
    whole: np.ndarray
    identity: np.ndarray

    def of(self, rows: np.ndarray) -> "Scored":
        return Scored(*(values[rows] for values in vars(self).values()))


def person_quantile(values: np.ndarray, identity: np.ndarray, share: float) -> float:
    """The value below which `share` of the pictures lie, every person counting the same whatever the number of pictures."""
    people, index, count = np.unique(identity, return_inverse=True, return_counts=True)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(1 / (count[index[order]] * len(people)))
    return float(values[order][min(len(values) - 1, int(np.searchsorted(reached, share)))])


def choose(scored: Scored) -> float:
    """0.5, or as much higher (in hundredths) as REAL_SHARE_KEPT of the untouched faces need."""
    real = scored.of(scored.real)
    return max(0.5, float(np.floor(person_quantile(real.score, real.identity, REAL_SHARE_KEPT) * 100 + 1) / 100))


def on_people_left_out(scored: Scored) -> dict[str, float]:
    """Shares of untouched faces left alone and of whole-face forgeries found, of each person by the others' threshold; means over people."""
    alone, found, thresholds = [], [], []
    for person in np.unique(scored.identity):
        mine = scored.identity == person
        threshold = choose(scored.of(~mine))
        thresholds.append(threshold)
        alone.append((scored.score[mine & scored.real] < threshold).mean())
        if (mine & scored.whole).any():
            found.append((scored.score[mine & scored.whole] >= threshold).mean())
    return {
        "people": len(thresholds),
        "lowest": min(thresholds),
        "highest": max(thresholds),
        "realsLeftAlone": float(np.mean(alone)),
        "wholeFaceFound": float(np.mean(found)),
    }


def scores_of(kfd: KFD, tests: list[testsets.TestSet]) -> Scored:
    """Of untouched, self-blended and swapped pictures, clean and as JPEG 75."""
    parts = []
    for test in tests:
        rows = np.isin(test.kind, KINDS)
        for condition in calibrate.CONDITIONS:
            logits = calibrate.class_logits(kfd, test.degraded(condition)[rows]).astype(np.float64)
            kind, region = test.kind[rows], test.region[rows]
            parts.append(Scored(1 / (1 + np.exp(-logits)), kind == "real", (kind != "real") & (region == "face"), test.identity[rows]))
    return Scored(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))


def choose_for(kfd: KFD, faces: list[Face], template: np.ndarray, variants: int) -> dict:
    """Threshold and figures for a calibrated detector on all validation people of the store, aligned and loose."""
    people = [face for face in faces if face.split in ("calibration", "held-out")]
    scored = scores_of(kfd, [testsets.build(people, template, variants, loose) for loose in (False, True)])
    return {"threshold": choose(scored), "leaveOneOut": on_people_left_out(scored)}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train threshold", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    parser.add_argument("--checkpoint", type=Path, required=True, help="detector checkpoint written by heads; the choice is kept in it: run `naming` afterwards")
    parser.add_argument("--variants", type=int, default=4, help="rounds over the faces")
    a = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    kfd, _, training = load_detector(a.checkpoint)
    chosen = choose_for(kfd, read_faces(a.dir), np.asarray(read_canonical(a.dir)["template"], np.float64), a.variants)
    training["calibration"] |= chosen
    save_detector(a.checkpoint, kfd, chosen["threshold"], training)
    print(json.dumps(chosen))
