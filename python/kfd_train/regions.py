"""Parts of the face as hulls of dlib's 68 landmarks, and the blend masks made of them.

Left and right are the subject's. The eight blend parts follow spec kfd section 14.3; the compact ones are the parts a person would name.
"""

import cv2
import numpy as np

from kfd_export.canonical import BLEND_PARTS

COMPACT_PARTS = {
    "right eye": [*range(36, 42)],
    "left eye": [*range(42, 48)],
    "eyes": [*range(36, 48)],
    "brows": [*range(17, 27)],
    "nose": [*range(27, 36)],
    "mouth": [*range(48, 68)],
    "jaw": [*range(3, 14), 31, 35, *range(48, 55)],
    "right cheek": [1, 2, 3, 4, 48, 31, 39, 40, 41, 36],
    "left cheek": [15, 14, 13, 12, 54, 35, 42, 47, 46, 45],
}
# How often each compact part is forged when a part (not the whole face) is.
PART_WEIGHTS = {"right eye": 1, "left eye": 1, "eyes": 2, "brows": 1, "nose": 2, "mouth": 3, "jaw": 2, "right cheek": 1, "left cheek": 1}


def lifted_brows(landmarks: np.ndarray, share: float) -> np.ndarray:
    """Brow points (10,2) moved towards the forehead by `share` of the chin-to-nose-root distance."""
    return landmarks[17:27] + (landmarks[27] - landmarks[8]) * share


def choose_region(rng: np.random.Generator, face_share: float = 0.5) -> str:
    """'face' with probability face_share, else a compact part (3 in 4) or 'blend parts' (a union of 1 to 3 of the eight)."""
    if rng.random() < face_share:
        return "face"
    if rng.random() < 0.25:
        return "blend parts"
    names, weights = list(PART_WEIGHTS), np.array(list(PART_WEIGHTS.values()), float)
    return names[rng.choice(len(names), p=weights / weights.sum())]


def fill_hull(mask: np.ndarray, points: np.ndarray) -> None:
    """Sets the convex hull of points (n,2) to 1."""
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).round().astype(np.int32), 1.0)


def face_hull(landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points of a whole-face hull: inner face (brows to chin), jaw line included, or with the forehead."""
    kind = rng.random()
    if kind < 0.25:
        return landmarks[17:]
    if kind < 0.5:
        return landmarks
    return np.concatenate([landmarks, lifted_brows(landmarks, rng.uniform(0.1, 0.35))])


def region_mask(shape: tuple[int, int], landmarks: np.ndarray, region: str, rng: np.random.Generator) -> np.ndarray:
    """Hard mask float32 (H,W) in {0,1} of `region`, grown or shrunk at random."""
    mask = np.zeros(shape, np.float32)
    if region == "face":
        fill_hull(mask, face_hull(landmarks, rng))
        growth = rng.uniform(-0.10, 0.05)
    elif region == "blend parts":
        names = list(BLEND_PARTS)
        for i in rng.choice(len(names), rng.integers(1, 4), replace=False):
            fill_hull(mask, landmarks[BLEND_PARTS[names[i]]])
        growth = rng.uniform(-0.03, 0.05)
    elif region in COMPACT_PARTS:
        fill_hull(mask, landmarks[COMPACT_PARTS[region]])
        growth = rng.uniform(-0.02, 0.05) if region == "jaw" or "cheek" in region else rng.uniform(0.02, 0.08)
    else:
        raise ValueError(f"expected 'face', 'blend parts' or one of {sorted(COMPACT_PARTS)}, got {region!r}")
    return grow(mask, growth * float(np.ptp(landmarks[:, 0])))


def grow(mask: np.ndarray, pixels: float) -> np.ndarray:
    """Dilates (pixels > 0) or erodes (pixels < 0) by about so many pixels."""
    radius = int(round(abs(pixels)))
    if radius == 0:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask, kernel) if pixels > 0 else cv2.erode(mask, kernel)
