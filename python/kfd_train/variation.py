"""Makes one photograph stand for many: changes that the forged and the untouched partner share, made before the forgery.

A few photographs seen thousands of times teach a network how forged *each of them* looks; a photograph that comes in other shapes,
sharpness, compression and tone each time does not.
"""

import cv2
import numpy as np

from kfd_export.align import umeyama

from . import jitter


def reshape_face(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bends `image` (n,n,3) by a smooth random field of up to about 3 % of its side; landmarks (68,2) follow to first order."""
    height, width = image.shape[:2]
    cells = rng.normal(0, 0.012 * width, (2, 4, 4)).astype(np.float32)
    field = [cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in cells]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    bent = cv2.remap(image, x + field[0], y + field[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    column, row = np.clip(landmarks.astype(int), 0, [width - 1, height - 1]).T
    moved = landmarks - np.stack([field[0][row, column], field[1][row, column]], axis=1)
    return np.clip(bent, 0, 255), moved.astype(np.float32)


def light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness and tint that change slowly over the picture (side light, vignette, coloured lamps): no seam, hence honest."""
    field = rng.normal(0, 0.12, (3, 3, 1)) + rng.normal(0, 0.05, (3, 3, 3))
    return image * np.exp(cv2.resize(field.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_CUBIC))


def denoise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise reduction of the whole picture, as phones and enlargers do it: smooth skin between sharp edges, hence honest."""
    if rng.random() < 0.3:
        return cv2.medianBlur(jitter.to_uint8(image), 3 if rng.random() < 0.5 else 5).astype(np.float32)
    return cv2.bilateralFilter(image.astype(np.float32), 7, rng.uniform(15, 45), rng.uniform(2, 4))


def photographed_otherwise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another camera: light, tone curves, softness of a small face enlarged, sharpening, noise reduction, or compression; each with its
    own chance."""
    if rng.random() < 0.4:
        image = light(image, rng)
    if rng.random() < 0.4:
        curves = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.1, 3) * (rng.random() < 0.5)).astype(np.float32)
        image = 255 * (np.clip(image, 0, 255) / 255) ** curves
    chance = rng.random()
    if chance < 0.2:
        image = jitter.down_up(image, rng.uniform(0.35, 0.9), rng)
    elif chance < 0.3:
        image = jitter.sharpen(image, rng)
    elif chance < 0.42:
        image = denoise(image, rng)
    if rng.random() < 0.25:
        image = jitter.jpeg(jitter.to_uint8(image), int(rng.integers(45, 96))).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.float32)


def vary(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both changes, the bend half of the time. float32 (n,n,3) in 0..255 and landmarks (68,2), as they come in."""
    if rng.random() < 0.5:
        image, landmarks = reshape_face(image, landmarks, rng)
    return photographed_otherwise(image, rng), landmarks


def placed_over(pixels: np.ndarray, landmarks: np.ndarray, wanted: np.ndarray, size: int) -> np.ndarray:
    """A photograph (H,W,3) turned and scaled so that its landmarks (68,2) lie as near as possible to `wanted`: (size,size,3) float32."""
    matrix = umeyama(landmarks, wanted)
    return cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)


def mingle(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`image` with part of `other`, a photograph of somebody else in the same place (both float32 (n,n,3)): half of the time its light
    and colours alone (coarse structure), half of the time a cross-fade of the whole pictures. No seam, hence honest; and a few
    photographs become thousands of pairs."""
    share = rng.uniform(0.3, 0.8)
    if rng.random() < 0.5:
        coarse = rng.uniform(0.02, 0.08) * len(image)
        return np.clip(image + share * cv2.GaussianBlur(other - image, (0, 0), coarse), 0, 255)
    return image + 0.6 * share * (other - image)
