"""The canonical crop: a similarity transform from four key points to a fixed template, and the warp that applies it.

The C++ engine repeats the warp with the same libtorch kernels, so both give the same bytes up to rounding.
Positions are continuous: pixel (row i, column j) covers [j,j+1) x [i,i+1), its centre is at +0.5.
"""

import numpy as np

from .resampling import resize_uint8, sample_uint8

CROP_SIZE = 224
# Key points of a face that the template uses, in this order (indices into face_detection.KEY_POINTS).
TEMPLATE_POINTS = ("rightEye", "leftEye", "nose", "mouth")


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Similarity (scale, rotation, translation; no reflection) that maps source (n,2) to target (n,2) with least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE PAMI 13 (1991),
    equations 38-43. Returns the 2x3 matrix M with target ~ M[:, :2] @ p + M[:, 2].
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ValueError(f"expected two equal sets of at least 2 points (n,2), got {source.shape} and {target.shape}")
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    variance = ((source - source_mean) ** 2).sum() / len(source)
    if not np.isfinite(variance) or variance <= 0:
        raise ValueError("the source points coincide or are not finite: no scale can be found")
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    left, singular, right = np.linalg.svd(covariance)
    sign = np.array([1.0, 1.0 if np.linalg.det(left) * np.linalg.det(right) > 0 else -1.0])
    linear = (left * sign) @ right * (singular @ sign) / variance
    return np.column_stack([linear, target_mean - linear @ source_mean])


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 2x3 matrix to points (..., 2)."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def invert(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a 2x3 affine matrix."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def warp_to_crop(image: np.ndarray, matrix: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """The crop (size,size,3) uint8 of an RGB picture (H,W,3) uint8, black where the picture ends.

    ``matrix`` (2x3) is the similarity from picture to crop positions. With s = picture pixels per crop pixel:
    s <= 1 samples the picture directly (bicubic). s > 1 first cuts the rectangle that the crop covers, with a margin of
    2*s pixels, clipped to the picture, reduces it by 1/s per axis (antialiased bicubic, sizes rounded, at least 1), then
    samples that; the true ratio of the rounded sizes enters the positions.
    """
    if size < 1:
        raise ValueError(f"a crop has 1x1 pixels or more, asked for {size}")
    inverse = invert(np.asarray(matrix, np.float64))
    scale = float(np.sqrt(abs(np.linalg.det(inverse[:, :2]))))
    step = np.arange(size) + 0.5
    points = transform(inverse, np.stack(np.meshgrid(step, step), axis=-1))
    if scale <= 1:
        return sample_uint8(image, points)
    height, width = image.shape[:2]
    corners = transform(inverse, np.array([[0, 0], [size, 0], [0, size], [size, size]]))
    x0, y0 = np.clip(np.floor(corners.min(axis=0) - 2 * scale), 0, [width, height]).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0) + 2 * scale), 0, [width, height]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((size, size, 3), np.uint8)  # the crop lies wholly outside the picture
    reduced_width = max(1, int(np.floor((x1 - x0) / scale + 0.5)))
    reduced_height = max(1, int(np.floor((y1 - y0) / scale + 0.5)))
    reduced = resize_uint8(image[y0:y1, x0:x1], reduced_height, reduced_width)
    ratio = np.array([reduced_width / (x1 - x0), reduced_height / (y1 - y0)])
    return sample_uint8(reduced, (points - [x0, y0]) * ratio)
