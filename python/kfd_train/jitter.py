"""Colour and frequency changes of whole images (RGB float32, 0..255). Each draws its own parameters from `rng`."""

import cv2
import numpy as np


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounded and clipped to 0..255."""
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """JPEG round trip of RGB uint8."""
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def colour(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Channel shift, hue/saturation/value and contrast, each with its own chance (ranges near SBI's, spec kfd 14.3)."""
    out = image
    if rng.random() < 0.6:
        out = out + rng.uniform(-20, 20, 3).astype(np.float32) * strength
    if rng.random() < 0.6:
        hsv = cv2.cvtColor(to_uint8(out), cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(-6, 6) * strength) % 180
        hsv[..., 1:] *= 1 + rng.uniform(-0.25, 0.25, 2).astype(np.float32) * strength
        out = cv2.cvtColor(to_uint8(hsv), cv2.COLOR_HSV2RGB).astype(np.float32)
    if rng.random() < 0.6:
        out = (out - 128) * (1 + rng.uniform(-0.15, 0.15) * strength) + 128 + rng.uniform(-15, 15) * strength
    return np.clip(out, 0, 255)


def down_up(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Shrinks by `factor` (< 1) and enlarges back: fine detail is lost."""
    height, width = image.shape[:2]
    shrink = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(3)]
    enlarge = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(2)]
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=shrink)
    return np.clip(cv2.resize(small, (width, height), interpolation=enlarge), 0, 255)


def sharpen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unsharp mask."""
    smooth = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 1.6))
    return np.clip(image + rng.uniform(0.4, 1.2) * (image - smooth), 0, 255)


def frequency(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of: down-up, sharpen, JPEG, noise."""
    kind = rng.random()
    if kind < 0.45:
        return down_up(image, rng.uniform(0.3, 0.8), rng)
    if kind < 0.75:
        return sharpen(image, rng)
    if kind < 0.92:
        return jpeg(to_uint8(image), int(rng.integers(30, 85))).astype(np.float32)
    return np.clip(image + rng.normal(0, rng.uniform(2, 6), image.shape).astype(np.float32), 0, 255)
