"""Chooses the decision threshold on every validation person, held-out ones included, and says what that is worth on people left out.

Thirteen calibration people are too few for a share of 95 %: one of them with an odd photograph decides it alone. So the threshold is
chosen on all validation people together, each counting the same, and its figures come from leaving one person out at a time:
the threshold of the others, applied to that person.
"""

from dataclasses import dataclass

import numpy as np

from kfd_model import KFD

from . import calibrate, testsets
from .choices import Build, revise

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


def choose_for(kfd: KFD, tests: list[testsets.TestSet]) -> dict:
    """Threshold and figures for a calibrated detector on all validation people, as kept in its training record."""
    scored = scores_of(kfd, tests)
    return {"threshold": choose(scored), "leaveOneOut": on_people_left_out(scored)}


def main(argv: list[str]) -> None:
    def choose_anew(kfd: KFD, _: float, training: dict, build: Build, __: dict) -> tuple[float, dict]:
        chosen = choose_for(kfd, [build(split, loose) for split in ("calibration", "held-out") for loose in (False, True)])
        training["calibration"] |= chosen
        return chosen["threshold"], chosen

    revise(argv, "threshold", __doc__ + "\nThe region rule depends on it: run `naming` afterwards.", 4, choose_anew)
