"""The two published renderings of accumulated maps as uint8 (spec/daam.md 1.6), and the published overlay, by OpenCV.

Ours clip where the published code wraps around, and a constant map gives zeros where it divides by zero.
"""

import cv2
import numpy as np


def linear(accumulated: np.ndarray) -> np.ndarray:
    """(a) "global max-min": (L,h,w) -> uint8 (L,h,w); early blocks stay dim."""
    accumulated = accumulated.astype(np.float64)
    g_max, g_min = accumulated[-1].max(), accumulated[-1].min()
    out = np.zeros(accumulated.shape, np.uint8)
    if g_max == g_min:
        return out
    for b, m in enumerate(accumulated):
        v = np.maximum((m - g_min) / (m.max() - g_min + 1e-10), 0)
        ratio = (m.max() - m.min()) / (g_max - g_min)
        out[b] = np.trunc(np.clip(255 * ratio * v, 0, 255))
    return out


def sigmoid(accumulated: np.ndarray) -> np.ndarray:
    """(b) non-linear: (L,h,w) -> uint8 (L,h,w); every block that is not constant spans 0..255."""
    accumulated = accumulated.astype(np.float64)
    g_max = accumulated[-1].max()
    out = np.zeros(accumulated.shape, np.uint8)
    for b, m in enumerate(accumulated):
        if g_max == 0 or m.max() == m.min():
            continue
        y = 1 / (1 + np.exp(-5 * m / g_max)) - 0.5
        out[b] = np.trunc(255 * (y - y.min()) / (y.max() - y.min()))
    return out


def enlarge(map_u8: np.ndarray, width: int, height: int) -> np.ndarray:
    """A rendered map (h,w) uint8 -> (height,width) uint8, as published: resized after rounding."""
    return cv2.resize(map_u8, (width, height), interpolation=cv2.INTER_LINEAR)


def overlay(picture: np.ndarray, map_u8: np.ndarray) -> np.ndarray:
    """RGB picture (H,W,3) uint8 and a rendered map -> the published overlay, RGB: 0.4 JET + 0.8 picture, saturating."""
    colours = cv2.applyColorMap(enlarge(map_u8, picture.shape[1], picture.shape[0]), cv2.COLORMAP_JET)[:, :, ::-1]
    return cv2.addWeighted(np.ascontiguousarray(colours), 0.4, picture, 0.8, 0)
