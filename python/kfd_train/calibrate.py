"""Makes the classifier's score a probability and chooses the decision threshold, on the calibration identities alone."""

import numpy as np
import torch

from kfd_model import KFD

from . import metrics
from .testsets import TestSet

REAL_SHARE_KEPT = 0.96  # share of untouched calibration faces that must stay below the threshold (wanted: 95 % on new ones)
CONDITIONS = ("clean", "jpeg-75")


@torch.no_grad()
def class_logits(kfd: KFD, pictures: np.ndarray, batch: int = 16) -> np.ndarray:
    """Deepfake minus pristine logit of the classifier, (N,), as the file ships: in float32."""
    from .stage2 import similarity_maps

    out = []
    for i in range(0, len(pictures), batch):
        maps = similarity_maps(kfd, torch.from_numpy(pictures[i : i + batch]))
        logits = kfd.classifier.logits(kfd.enlarge(list(maps.unbind(1))))
        out.append(logits[:, 1] - logits[:, 0])
    return torch.cat(out).cpu().numpy()


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Scale and bias (Platt 1999) that minimise the class-balanced log loss; Newton's method in two variables."""
    scale, bias = 1.0, 0.0
    weight = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
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


REAL_PIXELS_LIT = 0.06  # largest share of the pixels of untouched calibration faces that the map may light


@torch.no_grad()
def map_logits(kfd: KFD, pictures: np.ndarray, batch: int = 8) -> np.ndarray:
    """Locator logit deepfake minus pristine at every fourth pixel, (N,56,56)."""
    from .stage2 import similarity_maps

    out = []
    for i in range(0, len(pictures), batch):
        maps = similarity_maps(kfd, torch.from_numpy(pictures[i : i + batch]))
        enlarged = [m.contiguous(memory_format=torch.channels_last) for m in kfd.enlarge(list(maps.unbind(1)))]
        logits = kfd.locator.logits(enlarged)[:, :, 2::4, 2::4]
        out.append(logits[:, 1] - logits[:, 0])
    return torch.cat(out).cpu().numpy()


def shift_map(kfd: KFD, tests: list[TestSet]) -> dict[str, float]:
    """Chooses the bias of the map, so that 0.5 is the best cut, and folds it into the locator: the greatest mean IoU on
    self-blends and swaps among those that light at most REAL_PIXELS_LIT of untouched faces."""
    logits, masks, forged = [], [], []
    for test in tests:
        rows = np.isin(test.kind, ("real", "self-blend", "swap-alpha"))
        logits.append(map_logits(kfd, test.pictures[rows]))
        masks.append(test.masks[rows][:, 2::4, 2::4] > 0)
        forged.append(test.forged[rows])
    logits, masks, forged = np.concatenate(logits), np.concatenate(masks), np.concatenate(forged)
    best = {"shift": 0.0, "iou": 0.0, "realPixelsLit": float((logits[~forged] > 0).mean())}
    for shift in np.arange(-1.0, 3.01, 0.1):
        lit = float((logits[~forged] + shift > 0).mean())
        overlap = float(np.mean([metrics.iou(z + shift > 0, m) for z, m in zip(logits[forged], masks[forged])]))
        if overlap > best["iou"] and lit <= REAL_PIXELS_LIT:
            best = {"shift": float(shift), "iou": overlap, "realPixelsLit": lit}
    with torch.no_grad():
        kfd.locator.finalconv.bias[1] += best["shift"]
    return best


def calibrate(kfd: KFD, tests: list[TestSet], must_rank: bool = True) -> dict:
    """Fits and folds the temperature, then chooses the threshold: 0.5, or higher if too many untouched faces lie above it.

    Uses real, self-blended and swapped pictures of `tests`, clean and as JPEG 75. Returns the figures. Scores that do not
    rise with forgery are an error, unless `must_rank` is False (smoke runs): then they stay as they are, scale 1, and it is printed.
    """
    logits, labels = [], []
    for test in tests:
        rows = np.isin(test.kind, ("real", "self-blend", "swap-alpha", "swap-poisson"))
        for condition in CONDITIONS:
            logits.append(class_logits(kfd, test.degraded(condition)[rows]))
            labels.append(test.forged[rows])
    logits, labels = np.concatenate(logits), np.concatenate(labels)
    scale, bias = fit_temperature(logits, labels)
    if scale <= 0 and must_rank:
        raise ValueError(f"expected scores that rise with forgery on the calibration faces, got a slope of {scale:.3f}; train longer")
    if scale <= 0:
        print(f"not calibrated: the scores do not rise with forgery (slope {scale:.3f})", flush=True)
        scale, bias = 1.0, 0.0
    fold(kfd, scale, bias)
    score = 1 / (1 + np.exp(-np.clip(scale * logits + bias, -40, 40)))
    threshold = max(0.5, float(np.quantile(score[~labels], REAL_SHARE_KEPT)))
    threshold = float(np.ceil(threshold * 100) / 100)
    return {
        "map": shift_map(kfd, tests),
        "scale": scale,
        "bias": bias,
        "threshold": threshold,
        "auc": metrics.auc(labels, score),
        "realsBelow": float((score[~labels] < threshold).mean()),
        "fakesFound": float((score[labels] >= threshold).mean()),
        "pictures": int(len(labels)),
    }
