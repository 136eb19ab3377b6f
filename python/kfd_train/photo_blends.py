"""Crops of photographs without faces, with face-shaped landmarks at a random place: more blend material that shows nobody."""

import functools
from pathlib import Path

import cv2
import numpy as np

from .crops import SIZE, about_centre, apply


@functools.lru_cache(maxsize=64)
def load_photograph(path: Path, longest: int = 1600) -> np.ndarray:
    """RGB uint8, antialiased to at most `longest` pixels a side. Raises ValueError if it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"expected a readable photograph at {path}; fetch the sources again")
    scale = longest / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[..., ::-1])


def photograph_crop(path: Path, mean_landmarks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """float32 (n,n,3), n between 224 and 336, from a place that is not flat, and landmarks (68,2) laid over it."""
    photograph = load_photograph(path)
    shortest = min(photograph.shape[:2])
    for _ in range(20):
        side = int(rng.uniform(min(SIZE, 0.7 * shortest), 0.9 * shortest))
        top, left = rng.integers(photograph.shape[0] - side + 1), rng.integers(photograph.shape[1] - side + 1)
        crop = photograph[top : top + side, left : left + side]
        if crop[::4, ::4].std() > 18:
            break
    size = int(rng.uniform(SIZE, max(SIZE + 1, min(1.5 * SIZE, side))))
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if size < side else cv2.INTER_CUBIC).astype(np.float32)
    jitter = about_centre(SIZE, rng.uniform(-15, 15), rng.uniform(0.6, 1.15), tuple(rng.uniform(-0.15, 0.15, 2)))
    landmarks = (apply(jitter, mean_landmarks) + rng.normal(0, 1.5, (68, 2))) * (size / SIZE)
    return np.clip(crop, 0, 255), landmarks.astype(np.float32)
