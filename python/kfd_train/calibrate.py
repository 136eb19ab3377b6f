"""Makes the classifier's score a probability, on all validation people, and cuts the map, on the calibration people alone.

Scale and bias of the score are two numbers, but thirteen people are few even for them (held-out ones included, the bias moved by
a quarter). What they are worth on new people is measured by leaving one person out at a time: fitted on the others, applied to that one.
"""

from dataclasses import dataclass

import numpy as np
import torch

from kfd_model import KFD

from . import localisation, metrics
from .similarities import enlarged, similarity_maps
from .testsets import TestSet

CONDITIONS = ("clean", "jpeg-75")
MIX = {("real",): 0.5, ("self-blend",): 0.25, ("swap-alpha", "swap-poisson"): 0.25}  # what the probability is calibrated for


@torch.no_grad()
def class_logits(kfd: KFD, pictures: np.ndarray, batch: int = 16) -> np.ndarray:
    """Deepfake minus pristine logit of the classifier, (N,), as the file ships: in float32."""
    out = []
    for i in range(0, len(pictures), batch):
        maps = similarity_maps(kfd, torch.from_numpy(pictures[i : i + batch]))
        logits = kfd.classifier.logits(enlarged(kfd, maps))
        out.append(logits[:, 1] - logits[:, 0])
    return torch.cat(out).cpu().numpy()


@dataclass
class Scored:
    """Parallel arrays, one row a picture."""

    logit: np.ndarray  # float64, deepfake minus pristine
    kind: np.ndarray
    region: np.ndarray
    identity: np.ndarray
    clean: np.ndarray  # not degraded

    @property
    def forged(self) -> np.ndarray:
        return self.kind != "real"

    def of(self, rows: np.ndarray) -> "Scored":
        return Scored(*(values[rows] for values in vars(self).values()))


def score(kfd: KFD, tests: list[TestSet]) -> Scored:
    """Untouched, self-blended and swapped pictures, clean and as JPEG 75."""
    parts = []
    for test in tests:
        rows = np.isin(test.kind, [name for kinds in MIX for name in kinds])
        for condition in CONDITIONS:
            logits = class_logits(kfd, test.degraded(condition)[rows]).astype(np.float64)
            parts.append(Scored(logits, test.kind[rows], test.region[rows], test.identity[rows], np.full(rows.sum(), condition == "clean")))
    return Scored(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))


def mixed(kind: np.ndarray) -> np.ndarray:
    """Weights (N,) that sum to 1 and give the groups of MIX their shares."""
    weight = np.zeros(len(kind))
    for kinds, share in MIX.items():
        rows = np.isin(kind, kinds)
        weight[rows] = share / max(1, rows.sum())
    return weight / weight.sum()


def fit_temperature(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Scale and bias (Platt 1999) that minimise the weighted log loss; Newton's method in two variables."""
    scale, bias = 1.0, 0.0
    design = np.stack([logits, np.ones_like(logits)], axis=1).astype(np.float64)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ [scale, bias], -40, 40)))
        gradient = design.T @ (weight * (p - labels)) + [1e-4 * (scale - 1), 0]
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag([1e-4, 1e-9])
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 1.0 / np.abs(step).max())
        scale, bias = scale - step[0], bias - step[1]
    return float(scale), float(bias)


@torch.no_grad()
def fold(kfd: KFD, scale: float, bias: float) -> None:
    """Builds scale and bias into the classifier's last layer."""
    last = kfd.classifier.fc2
    last.weight *= scale
    last.bias *= scale
    last.bias[1] += bias


REAL_PIXELS_LIT = 0.2  # largest share of the pixels of untouched calibration faces that the map may light


@torch.no_grad()
def map_logits(kfd: KFD, pictures: np.ndarray, batch: int = 8) -> np.ndarray:
    """Locator logit deepfake minus pristine at the pixels of localisation.FINE, (N,56,56)."""
    out = []
    for i in range(0, len(pictures), batch):
        maps = similarity_maps(kfd, torch.from_numpy(pictures[i : i + batch]))
        logits = kfd.locator.logits(enlarged(kfd, maps))[localisation.FINE]
        out.append(logits[:, 1] - logits[:, 0])
    return torch.cat(out).cpu().numpy()


def overlaps(lit: np.ndarray, masks: np.ndarray) -> float:
    """Mean IoU of boolean maps (N,56,56) with the true masks."""
    return float(np.mean([metrics.iou(a, b) for a, b in zip(lit, masks)]))


def shift_map(kfd: KFD, tests: list[TestSet]) -> dict[str, float]:
    """Chooses the bias of the map, so that 0.5 is the best cut, and folds it into the locator.

    The best: the greatest mean IoU above the constant mask's, on self-blends or on swaps, whichever gains less, among those that
    light at most REAL_PIXELS_LIT of untouched faces. The mean over both would hardly move with the cut: what one gains the other
    loses, and the self-blends that the detector misses would be given up for the swaps' sake.
    """
    groups: dict[str, list[tuple[np.ndarray, np.ndarray, float]]] = {"real": [], "self-blend": [], "swap": []}
    for test in tests:
        priors = localisation.constant_mask(test)
        for name, found in groups.items():
            rows = np.isin(test.kind, localisation.GROUPS.get(name, (name,)))
            masks = test.masks[rows][localisation.FINE] > 0
            constant = 0.0
            if name in priors:
                prior = priors[name].mean[localisation.FINE] > priors[name].threshold
                constant = overlaps(np.broadcast_to(prior, masks.shape), masks)
            found.append((map_logits(kfd, test.pictures[rows]), masks, constant))

    def gain(name: str, shift: float) -> float:
        return float(np.mean([overlaps(z + shift > 0, masks) - constant for z, masks, constant in groups[name]]))

    def lit(shift: float) -> float:
        return float(np.mean([(z + shift > 0).mean() for z, _, _ in groups["real"]]))

    shifts = [s for s in np.arange(-1.0, 3.01, 0.1) if lit(s) <= REAL_PIXELS_LIT] or [-1.0]
    shift = float(max(shifts, key=lambda s: min(gain("self-blend", s), gain("swap", s))))
    with torch.no_grad():
        kfd.locator.finalconv.bias[1] += shift
    return {"shift": shift, "selfBlendGain": gain("self-blend", shift), "swapGain": gain("swap", shift), "realPixelsLit": lit(shift)}


def probability(scored: Scored, must_rank: bool = True) -> tuple[float, float, dict]:
    """Scale and bias that make the logits a probability for pictures in the shares of MIX, and the figures for the training record.

    Scores that do not rise with forgery are an error, unless `must_rank` is False (smoke runs): then they stay as they are,
    scale 1, and it is printed.
    """
    scale, bias = fit_temperature(scored.logit, scored.forged, mixed(scored.kind))
    if scale <= 0 and must_rank:
        raise ValueError(f"expected scores that rise with forgery on the validation faces, got a slope of {scale:.3f}; train longer")
    if scale <= 0:
        print(f"not calibrated: the scores do not rise with forgery (slope {scale:.3f})", flush=True)
        scale, bias = 1.0, 0.0
    figures = {"scale": scale, "bias": bias, "auc": metrics.auc(scored.forged, scored.logit), "pictures": len(scored.kind)}
    return scale, bias, figures


def quality(kind: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Brier score and ECE, with what a perfectly calibrated score would show, on untouched faces, self-blends and swaps as 2 : 1 : 1."""
    rows = np.concatenate([np.flatnonzero(kind == name) for name in ("real", "real", "self-blend", "swap-alpha")])
    labels, p = kind[rows] != "real", probability[rows]
    return {"brier": metrics.brier(labels, p), "ece": metrics.expected_calibration_error(labels, p), "perfectEce": metrics.ece_of_a_perfect_score(p)}


def on_people_left_out(scored: Scored) -> dict[str, float]:
    """ECE and Brier score of clean pictures (real : self-blend : swap-alpha = 2 : 1 : 1), each person's by scale and bias of the others."""
    p = np.zeros(len(scored.kind))
    for person in np.unique(scored.identity):
        mine = scored.identity == person
        others = scored.of(~mine)
        scale, bias = fit_temperature(others.logit, others.forged, mixed(others.kind))
        p[mine] = 1 / (1 + np.exp(-(scale * scored.logit[mine] + bias)))
    return quality(scored.kind[scored.clean], p[scored.clean])
