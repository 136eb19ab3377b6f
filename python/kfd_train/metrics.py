"""Detection, calibration and localisation figures, with 95 % intervals that resample identities."""

from typing import Callable

import numpy as np


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; ties count half. Raises ValueError unless both classes are there."""
    labels = np.asarray(labels, bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives == 0 or negatives == 0:
        raise ValueError(f"expected both classes for an AUC, got {positives} fakes and {negatives} reals")
    _, inverse, counts = np.unique(np.asarray(scores, float), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean precision over the fakes, in order of descending score."""
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    hits = np.asarray(labels, bool)[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def equal_error_rate(labels: np.ndarray, scores: np.ndarray) -> float:
    """Where the miss rate meets the false alarm rate (mean of the two at the nearest threshold)."""
    labels, scores = np.asarray(labels, bool), np.asarray(scores, float)
    thresholds = np.unique(scores)
    misses = np.array([(scores[labels] < t).mean() for t in thresholds])
    alarms = np.array([(scores[~labels] >= t).mean() for t in thresholds])
    nearest = np.abs(misses - alarms).argmin()
    return float((misses[nearest] + alarms[nearest]) / 2)


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared distance of probability and label."""
    return float(np.mean((np.asarray(probabilities, float) - np.asarray(labels, float)) ** 2))


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Mean |fake share - mean probability| over equal-width bins, weighted by their counts."""
    labels, probabilities = np.asarray(labels, float), np.asarray(probabilities, float)
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [abs(labels[bin_of == b].mean() - probabilities[bin_of == b].mean()) * (bin_of == b).mean() for b in np.unique(bin_of)]
    return float(np.sum(gaps))


def ece_of_a_perfect_score(probabilities: np.ndarray, draws: int = 200, seed: int = 0) -> float:
    """The ECE that these probabilities would show on so many pictures if every one of them were right: labels are drawn from
    them. What a measured ECE has above this is miscalibration (or people whose pictures err together, which this leaves out)."""
    rng = np.random.default_rng(seed)
    p = np.asarray(probabilities, float)
    return float(np.mean([expected_calibration_error(rng.random(len(p)) < p, p) for _ in range(draws)]))


def interval(figure: Callable[[np.ndarray], float], identities: np.ndarray, draws: int = 400, seed: int = 0) -> list[float]:
    """95 % bootstrap interval of figure(row indices) over identities drawn with replacement. Draws without both classes are skipped."""
    rng = np.random.default_rng(seed)
    rows = {name: np.flatnonzero(identities == name) for name in np.unique(identities)}
    names = list(rows)
    values = []
    for _ in range(draws):
        chosen = np.concatenate([rows[names[i]] for i in rng.integers(len(names), size=len(names))])
        try:
            values.append(figure(chosen))
        except ValueError:
            continue
    return [float(v) for v in np.percentile(values, [2.5, 97.5])]


def iou(prediction: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of two boolean masks; 1 if both are empty."""
    union = (prediction | mask).sum()
    return 1.0 if union == 0 else float((prediction & mask).sum() / union)
