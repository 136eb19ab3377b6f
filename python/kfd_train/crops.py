"""Crops around a face: canonical (aligned by four key points) and loose (upright box), both as affine warps.

A matrix (2,3) maps continuous source pixels to continuous crop pixels.
"""

import cv2
import numpy as np

from kfd_export.align import umeyama, warp_to_crop

SIZE = 224  # side of every crop the detector sees, pixels


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Affine map of points (n,2)."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The map that applies `first`, then `second`."""
    return np.hstack([second[:, :2] @ first[:, :2], (second[:, :2] @ first[:, 2] + second[:, 2])[:, None]])


def about_centre(size: float, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """Rotation and scaling about the centre of a size x size crop, then a shift in crop sides."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[c, -s], [s, c]])
    centre = np.full(2, size / 2)
    return np.hstack([linear, (centre - linear @ centre + np.asarray(shift) * size)[:, None]])


def warp(image: np.ndarray, matrix: np.ndarray, size: int, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Crop (size,size,3) float32 in 0..255 of an RGB uint8 image; black outside. Shrinking is antialiased by area first."""
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 0.8:
        height, width = image.shape[:2]
        new = max(1, round(width * shrink)), max(1, round(height * shrink))
        image = cv2.resize(image, new, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / new[0], height / new[1], 1.0])
    # OpenCV counts from pixel centres, the project from pixel corners.
    half = np.array([0.5, 0.5])
    centred = np.hstack([matrix[:, :2], (matrix[:, :2] @ half + matrix[:, 2] - half)[:, None]])
    out = cv2.warpAffine(image, centred, (size, size), flags=interpolation, borderMode=cv2.BORDER_CONSTANT)
    return out.astype(np.float32)


def canonical_matrix(points: np.ndarray, template: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Source -> canonical crop of `size` pixels; the template is given for 224."""
    return umeyama(points, template * (size / SIZE))


def loose_matrix(landmarks: np.ndarray, share: float, shift: tuple[float, float], size: int = SIZE) -> np.ndarray:
    """Source -> upright crop in which the 68 landmarks' larger extent takes `share` of the side; shift in crop sides."""
    low, high = landmarks.min(0), landmarks.max(0)
    extent = float((high - low).max())
    scale = share * size / extent
    # A face box reaches above the brows: move the crop up a little.
    centre = (low + high) / 2 - [0.0, 0.05 * extent]
    return np.hstack([np.eye(2) * scale, (np.full(2, size / 2) - scale * centre + np.asarray(shift) * size)[:, None]])


def training_crop(face, template: np.ndarray, rng: np.random.Generator, loose_share: float = 1 / 3) -> tuple[np.ndarray, np.ndarray]:
    """A jittered crop of `face`: float32 (n,n,3) with n between 224 and 336, and its landmarks (68,2).

    `loose_share` of the crops are loose, the rest canonical. Larger crops are shrunk after the forgery, as real ones are.
    """
    size = SIZE if rng.random() < 0.65 else int(rng.uniform(SIZE, 1.5 * SIZE))
    if rng.random() < loose_share:
        matrix = loose_matrix(face.landmarks, rng.uniform(0.48, 0.8), tuple(rng.uniform(-0.05, 0.05, 2)), size)
    else:
        jitter = about_centre(size, rng.uniform(-8, 8), rng.uniform(0.85, 1.2), tuple(rng.uniform(-0.06, 0.06, 2)))
        matrix = compose(jitter, canonical_matrix(face.points, template, size))
    interpolation = (cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_LANCZOS4)[rng.choice(3, p=[0.6, 0.25, 0.15])]
    return warp(face.pixels, matrix, size, interpolation), apply(matrix, face.landmarks)


def test_crop(face, template: np.ndarray, rng: np.random.Generator, loose: bool) -> tuple[np.ndarray, np.ndarray]:
    """A test crop (224,224,3) float32 and its landmarks, cut by the warp that the shipped package uses: canonical without jitter,
    or loose with a face share of 0.59..0.71."""
    if loose:
        matrix = loose_matrix(face.landmarks, rng.uniform(1 / 1.7, 1 / 1.4), (0.0, 0.0))
    else:
        matrix = canonical_matrix(face.points, template)
    return warp_to_crop(face.pixels, matrix, SIZE).astype(np.float32), apply(matrix, face.landmarks)
