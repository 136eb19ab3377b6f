"""Self-blended images: a face pasted onto a changed copy of itself (Shiohara & Yamasaki 2022; constants in spec kfd 14.3)."""

from dataclasses import dataclass

import cv2
import numpy as np

from . import jitter
from .regions import region_mask

VISIBLE = 3.0  # mean change inside the mask, grey levels, below which a forgery is drawn again


@dataclass
class Forgery:
    """`fake` and its untouched partner `real`, float32 (n,n,3) in 0..255; `mask` (n,n) in 0..1, the forged share."""

    fake: np.ndarray
    real: np.ndarray
    mask: np.ndarray
    kind: str
    region: str


def elastic(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moves the mask's outline by a smooth random field, up to about 5 % of the mask's size."""
    height, width = mask.shape
    reach = 0.06 * np.sqrt(max(float(mask.sum()), 1.0)) * rng.uniform(0.1, 1.0)
    cells = int(rng.integers(4, 9))
    field = [cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in rng.normal(0, reach, (2, cells, cells)).astype(np.float32)]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(mask, x + field[0], y + field[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def soften(mask: np.ndarray, face_width: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian edge, sometimes a second one, so that the transition is not always centred on the hull."""
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.6, face_width * rng.uniform(0.003, 0.03)))
    if rng.random() < 0.5:
        mask = np.where(mask < 0.98, mask * rng.uniform(0.7, 1.0), mask)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.6, face_width * rng.uniform(0.003, 0.015)))
    return np.clip(mask, 0, 1)


def nudge(landmarks: np.ndarray, face_width: float, rng: np.random.Generator) -> np.ndarray:
    """Small affine of the pasted copy about the face centre: shift within 3 % of the face width, scale within 5 %."""
    centre = landmarks.mean(0)
    scale = 1 + rng.uniform(-0.05, 0.05, 2)
    shift = rng.uniform(-1, 1, 2) * [0.03 * face_width, 0.02 * face_width]
    return np.hstack([np.diag(scale), (centre * (1 - scale) + shift)[:, None]])


def visible(fake: np.ndarray, real: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the change inside the mask can be seen at all."""
    inside = mask > 0.5
    return inside.sum() > 60 and np.abs(fake - real).mean(2)[inside].mean() > VISIBLE


def self_blend(image: np.ndarray, landmarks: np.ndarray, region: str, rng: np.random.Generator) -> Forgery:
    """Pastes `region` of a changed copy of `image` (float32, n x n x 3) back onto it.

    Trap: when the target (not the pasted copy) got the colour change, the honest partner is the *changed* target;
    otherwise the colour cast of the whole picture would give the label away.
    """
    size, face_width = image.shape[:2], float(np.ptp(landmarks[:, 0]))
    for attempt in range(5):
        strength = 1 + 0.3 * attempt
        source, target = image, image
        if rng.random() < 0.5:
            source = jitter.colour(image, rng, strength)
        else:
            target = jitter.colour(image, rng, strength)
        if rng.random() < 0.6:
            source = jitter.frequency(source, rng)
        mask = region_mask(size, landmarks, region, rng)
        move = nudge(landmarks, face_width, rng)
        source = cv2.warpAffine(source, move, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        mask = soften(elastic(cv2.warpAffine(mask, move, size[::-1]), rng), face_width, rng)
        ratio = (0.25, 0.5, 0.75, 1, 1, 1, 1)[rng.integers(7)]
        fake = target + (source - target) * (mask[..., None] * ratio)
        if visible(fake, target, mask):
            break
    return Forgery(fake, target, mask, "self-blend", region)
