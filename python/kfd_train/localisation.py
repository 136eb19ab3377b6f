"""How well the forgery map finds the forged pixels and names the part, beside what a constant answer would reach."""

from dataclasses import dataclass

import numpy as np

from . import metrics
from .naming import CENTER, WHOLE, RegionNamer
from .testsets import TestSet

GROUPS = {
    "self-blend": ("self-blend",),
    "swap": ("swap-alpha", "swap-poisson"),
    "part edits": ("splice", "poisson-part", "liquify", "inpaint"),
    "smooth": ("smooth",),
}
STEP = 4  # pixels between those that count for the AUROC and for the cut of the map
FINE = (..., slice(STEP // 2, None, STEP), slice(STEP // 2, None, STEP))


@dataclass
class Prior:
    """Mean training mask (224,224) of a group of kinds and the threshold that gives it the best mean IoU in training."""

    mean: np.ndarray
    threshold: float


def constant_mask(training: TestSet) -> dict[str, Prior]:
    """One prior per group that occurs, so that it knows the kind of forgery, which the detector does not."""
    priors = {}
    for group, kinds in GROUPS.items():
        masks = training.masks[np.isin(training.kind, kinds)] > 0
        if len(masks) == 0:
            continue
        mean = masks.mean(0)
        thresholds = np.linspace(0.05, 0.95, 19)
        ious = [np.mean([metrics.iou(mean > t, m) for m in masks]) for t in thresholds]
        priors[group] = Prior(mean, float(thresholds[int(np.argmax(ious))]))
    return priors


def table(tests: TestSet, maps: np.ndarray, priors: dict[str, Prior], found: np.ndarray) -> dict:
    """Per group of kinds whose maps are there (not NaN): pixel AUROC over all fakes together, mean IoU at 0.5, both also for the constant mask.

    The gain in IoU is also given apart for the fakes that the score finds (`found`, boolean (N,)) and for those it misses: a map can
    only show what the network has seen, the constant mask marks the middle of every face. None where there are no such fakes."""
    out = {}
    for group, kinds in GROUPS.items():
        rows = np.flatnonzero(np.isin(tests.kind, kinds) & ~np.isnan(maps[:, 0, 0]))
        if len(rows) == 0:
            continue  # no map was made for this group
        truth = tests.masks[rows] > 0
        prior = priors[group]
        labels = truth[FINE].ravel()
        constant = np.broadcast_to(prior.mean, truth.shape)[FINE].ravel()
        ious = np.array([metrics.iou(m > 0.5, t) for m, t in zip(maps[rows], truth)])
        constant_ious = np.array([metrics.iou(prior.mean > prior.threshold, t) for t in truth])
        who = tests.identity[rows]
        gains, seen = ious - constant_ious, found[rows]
        out[group] = {
            "fakes": len(rows),
            "iou": float(ious.mean()),
            "iouInterval": metrics.interval(lambda i: float(ious[i].mean()), who),
            "constantIou": float(constant_ious.mean()),
            "gain": float(gains.mean()),
            "gainInterval": metrics.interval(lambda i: float(gains[i].mean()), who),
            "found": int(seen.sum()),
            "gainFound": float(gains[seen].mean()) if seen.any() else None,
            "gainMissed": float(gains[~seen].mean()) if not seen.all() else None,
            "auroc": metrics.auc(labels, maps[rows][FINE].ravel()),
            "constantAuroc": metrics.auc(labels, constant),
        }
    real = maps[tests.kind == "real"]
    out["real"] = {"litShare": float((real > 0.5).mean())}
    return out


RIGHT = 0.5  # share of a region's pixels that must be forged for its name to be right


def forged_shares(masks: np.ndarray, namer: RegionNamer) -> dict[str, np.ndarray]:
    """Per region the share of its pixels that is forged, (N,), for true masks (N,224,224)."""
    flat = (masks > 0).reshape(len(masks), masks.shape[1] * masks.shape[2])
    return {name: flat[:, region.ravel()].mean(1) for name, region in namer.masks.items()}


def naming_lines(shares: dict[str, np.ndarray], named: list[list[str]], found: np.ndarray) -> dict:
    """How often regions are named and rightly so: over all found fakes, over edits of a part, over forgeries of the whole face or center.

    A row is right if each of its names is (RIGHT); 'majority' names the one region that is right most often, every time.
    """
    large = (shares[WHOLE] >= RIGHT) | (shares[CENTER] >= RIGHT)
    right = np.array([all(shares[name][i] >= RIGHT for name in names) for i, names in enumerate(named)])
    speaks = np.array([bool(names) for names in named]) & found

    def line(chosen: np.ndarray) -> dict:
        rows, spoken = chosen & found, chosen & speaks
        always = {name: float((share[rows] >= RIGHT).mean()) if rows.any() else 0.0 for name, share in shares.items()}
        majority = max(always, key=always.get)
        return {
            "fakes": int(chosen.sum()),
            "found": int(rows.sum()),
            "named": int(spoken.sum()),
            "right": float(right[spoken].mean()) if spoken.any() else None,
            "majority": always[majority],
            "majorityName": majority,
        }

    return {"all": line(np.ones(len(found), bool)), "partEdits": line(~large), "wholeFace": line(large)}


def naming_table(tests: TestSet, maps: np.ndarray, found: np.ndarray, namer: RegionNamer) -> dict:
    """The regions named on forgeries of every kind whose map is there (not NaN); `found`: the score reaches the threshold."""
    rows = np.flatnonzero(tests.forged & ~np.isnan(maps[:, 0, 0]))
    named = [namer.name(maps[i].astype(np.float32), True) if found[i] else [] for i in rows]
    return naming_lines(forged_shares(tests.masks[rows], namer), named, found[rows])
