"""Self-supervised channel weights by a k-nearest-neighbour vote in a memory bank (spec/daam.md 1.7), in numpy."""

import numpy as np


def vote_weights(
    features: np.ndarray, bank: np.ndarray, labels: np.ndarray, k: int = 20, temperature: float = 0.07
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (B,D) in [0,1] and the label voted for (B,), an image each.

    features (B,D) as the network gives them; bank (M,D) with unit rows; labels (M,) integers. A bank with fewer than k
    rows takes part whole. The smallest label wins a tie.
    """
    weights, winners = np.ones_like(features), np.zeros(len(features), np.int64)
    for i, raw in enumerate(features):
        unit = raw / max(np.linalg.norm(raw), 1e-12)
        similarity = bank @ unit
        nearest = np.argsort(-similarity, kind="stable")[:k]
        votes = {int(y): np.exp(similarity[nearest[labels[nearest] == y]] / temperature).sum() for y in labels[nearest]}
        winners[i] = max(sorted(votes), key=votes.__getitem__)
        q = (unit * bank[nearest[labels[nearest] == winners[i]]]).mean(axis=0)
        mean = abs(q.sum())  # the mean cosine similarity
        if mean > 0:
            q = q / mean
        if q.max() > q.min():
            weights[i] = (q - q.min()) / (q.max() - q.min())
    return weights, winners
