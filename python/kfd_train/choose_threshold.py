"""Chooses the decision threshold on every validation person, held-out ones included, and says what that is worth on people left out.

Thirteen calibration people are too few for a share of 95 %: one of them with an odd photograph decides it alone. So the threshold is
chosen on all validation people together, each counting the same, and what it is worth comes from leaving one person out at a time:
the threshold of the others, applied to that person. It is high enough when 95 % of the untouched pictures of people left out lie below it.
"""

import numpy as np

from kfd_model import KFD

from . import calibrate
from .choices import Build, revise

LEFT_ALONE = 0.95  # share of the untouched faces of people left out that must lie below the threshold
SHARES = np.arange(0.95, 0.9951, 0.005)  # of the untouched faces it is chosen on


def person_quantile(values: np.ndarray, identity: np.ndarray, share: float) -> float:
    """The value below which `share` of the pictures lie, every person counting the same whatever the number of pictures."""
    people, index, count = np.unique(identity, return_inverse=True, return_counts=True)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(1 / (count[index[order]] * len(people)))
    return float(values[order][min(len(values) - 1, int(np.searchsorted(reached, share)))])


def choose(score: np.ndarray, scored: calibrate.Scored, share: float) -> float:
    """0.5, or as much higher (in hundredths) as `share` of the untouched faces need. `score` (N,) in 0..1 belongs to the rows of `scored`."""
    real = ~scored.forged
    return max(0.5, float(np.floor(person_quantile(score[real], scored.identity[real], share) * 100 + 1) / 100))


def on_people_left_out(score: np.ndarray, scored: calibrate.Scored, share: float) -> dict[str, float]:
    """Shares of untouched faces left alone and of whole-face forgeries found, of each person by the others' threshold; means over people."""
    whole = scored.forged & (scored.region == "face")
    alone, found, thresholds = [], [], []
    for person in np.unique(scored.identity):
        mine = scored.identity == person
        threshold = choose(score[~mine], scored.of(~mine), share)
        thresholds.append(threshold)
        alone.append((score[mine & ~scored.forged] < threshold).mean())
        if (mine & whole).any():
            found.append((score[mine & whole] >= threshold).mean())
    return {
        "people": len(thresholds),
        "lowest": min(thresholds),
        "highest": max(thresholds),
        "realsLeftAlone": float(np.mean(alone)),
        "wholeFaceFound": float(np.mean(found)),
    }


def choose_for(scored: calibrate.Scored, scale: float = 1.0, bias: float = 0.0) -> tuple[float, dict]:
    """Threshold of the probability sigmoid(scale * logit + bias), and its figures on people left out.

    Of people who are left out a smaller share lies below it than of those it was chosen on. So the share is raised until enough
    of the former do.
    """
    score = 1 / (1 + np.exp(-(scale * scored.logit + bias)))
    for share in SHARES:
        figures = on_people_left_out(score, scored, share)
        if figures["realsLeftAlone"] >= LEFT_ALONE:
            break
    return choose(score, scored, float(share)), {"share": float(share)} | figures


def main(argv: list[str]) -> None:
    def choose_anew(kfd: KFD, _: float, training: dict, build: Build, __: dict) -> tuple[float, dict]:
        tests = [build(split, loose) for split in ("calibration", "held-out") for loose in (False, True)]
        threshold, figures = choose_for(calibrate.score(kfd, tests))
        calibration = training["calibration"]
        calibration |= {"threshold": threshold, "leaveOneOut": calibration.get("leaveOneOut", {}) | figures}
        return threshold, {"threshold": threshold, "leaveOneOut": figures}

    revise(argv, "threshold", __doc__ + "\nThe region rule depends on it: run `naming` afterwards.", 4, choose_anew)
