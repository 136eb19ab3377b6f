"""How well the forgery map finds the forged pixels and names the part, beside what a constant answer would reach."""

from dataclasses import dataclass

import cv2
import numpy as np

from . import metrics
from .testsets import TestSet

GROUPS = {
    "self-blend": ("self-blend",),
    "swap": ("swap-alpha", "swap-poisson"),
    "part edits": ("splice", "poisson-part", "liquify", "inpaint"),
    "smooth": ("smooth",),
}
STEP = 4  # pixels between those that count for the AUROC


@dataclass
class Prior:
    """Mean training mask (224,224) of a group of kinds and the threshold that gives it the best mean IoU in training."""

    mean: np.ndarray
    threshold: float


def constant_mask(training: TestSet) -> dict[str, Prior]:
    """One prior per group, so that it knows the kind of forgery, which the detector does not."""
    priors = {}
    for group, kinds in GROUPS.items():
        masks = training.masks[np.isin(training.kind, kinds)] > 0
        mean = masks.mean(0)
        thresholds = np.linspace(0.05, 0.95, 19)
        ious = [np.mean([metrics.iou(mean > t, m) for m in masks]) for t in thresholds]
        priors[group] = Prior(mean, float(thresholds[int(np.argmax(ious))]))
    return priors


def table(tests: TestSet, maps: np.ndarray, priors: dict[str, Prior]) -> dict:
    """Per group of kinds whose maps are there (not NaN): pixel AUROC over all fakes together, mean IoU at 0.5, both also for the constant mask."""
    out = {}
    for group, kinds in GROUPS.items():
        rows = np.flatnonzero(np.isin(tests.kind, kinds) & ~np.isnan(maps[:, 0, 0]))
        if len(rows) == 0:
            continue  # no map was made for this group
        truth = tests.masks[rows] > 0
        prior = priors[group]
        fine = (slice(None), slice(STEP // 2, None, STEP), slice(STEP // 2, None, STEP))
        labels = truth[fine].ravel()
        constant = np.broadcast_to(prior.mean, truth.shape)[fine].ravel()
        ious = np.array([metrics.iou(m > 0.5, t) for m, t in zip(maps[rows], truth)])
        constant_ious = np.array([metrics.iou(prior.mean > prior.threshold, t) for t in truth])
        who = tests.identity[rows]
        out[group] = {
            "fakes": len(rows),
            "iou": float(ious.mean()),
            "iouInterval": metrics.interval(lambda i: float(ious[i].mean()), who),
            "constantIou": float(constant_ious.mean()),
            "gain": float((ious - constant_ious).mean()),
            "gainInterval": metrics.interval(lambda i: float((ious - constant_ious)[i].mean()), who),
            "auroc": metrics.auc(labels, maps[rows][fine].ravel()),
            "constantAuroc": metrics.auc(labels, constant),
        }
    real = maps[tests.kind == "real"]
    out["real"] = {"litShare": float((real > 0.5).mean())}
    return out


def polygon_masks(regions: dict[str, list]) -> dict[str, np.ndarray]:
    """Boolean (224,224) masks of the named polygons of canonical.json."""
    masks = {}
    for name, polygon in regions.items():
        mask = np.zeros((224, 224), np.uint8)
        cv2.fillPoly(mask, [np.round(np.asarray(polygon)).astype(np.int32)], 1)
        masks[name] = mask > 0
    return masks


def best_region(weight: np.ndarray, masks: dict[str, np.ndarray]) -> str:
    """The region with the greatest soft IoU: sum of minima over sum of maxima of the map (0..1) and the region."""
    overlap = {name: np.minimum(weight, m).sum() / np.maximum(weight, m).sum() for name, m in masks.items()}
    return max(overlap, key=overlap.get)


def naming_table(tests: TestSet, maps: np.ndarray, found: np.ndarray, regions: dict[str, list]) -> dict:
    """Top-1 region of the map against that of the true mask, on the self-blends and splices that were found; it speaks only where
    the map rises above 0.5. 'majority' always says the most frequent true name."""
    masks = polygon_masks(regions)
    whole = {"full face", "center face", "face"}
    rows = np.flatnonzero(np.isin(tests.kind, ("self-blend", "splice")))
    truth = np.array([best_region(tests.masks[i].astype(np.float32), masks) for i in rows])
    speaks = np.array([bool(found[i]) and float(maps[i].max()) > 0.5 for i in rows])
    named = np.array([best_region(maps[i].astype(np.float32), masks) if s else "" for i, s in zip(rows, speaks)])
    part = np.array([t not in whole for t in truth])

    def line(chosen: np.ndarray) -> dict:
        spoken = chosen & speaks
        names, counts = np.unique(truth[chosen], return_counts=True) if chosen.any() else (np.array([""]), np.array([0]))
        return {
            "fakes": int(chosen.sum()),
            "named": int(spoken.sum()),
            "right": float((named == truth)[spoken].mean()) if spoken.any() else None,
            "majority": float(counts.max() / max(1, chosen.sum())),
            "majorityName": str(names[counts.argmax()]),
        }

    return {"all": line(np.ones(len(rows), bool)), "partEdits": line(part), "wholeFace": line(~part)}
