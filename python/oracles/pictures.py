"""Expected pixels: Pillow for resizing and fitting, the Python warp for face crops."""

from pathlib import Path

import numpy as np
from PIL import Image

from kfd_export.align import invert, warp_to_crop

from .case_writer import CaseWriter


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Waves, edges and noise (height,width,3) uint8: smooth parts, sharp parts, saturated parts."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = 128 + 100 * np.sin(x[..., None] / np.array([7.0, 11.0, 23.0]) + y[..., None] / np.array([13.0, 5.0, 17.0]))
    waves[height // 4 : height // 2, width // 3 : width // 2] = (255, 0, 128)
    noisy = waves + rng.normal(0, 40, (height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def pillow_resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pillow's BICUBIC, columns first. Up to Pillow 12 one call does the same; Pillow 13 starts with the cheaper axis."""
    narrow = Image.fromarray(image).resize((width, image.shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(narrow.resize((width, height), Image.Resampling.BICUBIC))


def stretch(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return pillow_resize(image, width, height)


def centre_crop(image: np.ndarray, side: int) -> np.ndarray:
    """torchvision's Resize(side, BICUBIC) and CenterCrop(side) on a PIL picture."""
    h, w = image.shape[:2]
    new_w, new_h = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
    resized = pillow_resize(image, new_w, new_h)
    top, left = int(round((new_h - side) / 2.0)), int(round((new_w - side) / 2.0))
    return resized[top : top + side, left : left + side]


def letterbox(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Longer side fills the canvas, black bars, centred."""
    h, w = image.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = max(1, round(w * scale)), max(1, round(h * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - new_h) // 2, (width - new_w) // 2
    canvas[top : top + new_h, left : left + new_w] = pillow_resize(image, new_w, new_h)
    return canvas


def similarity(scale: float, degrees: float, tx: float, ty: float) -> np.ndarray:
    """Crop -> image, 2x3."""
    a = np.deg2rad(degrees)
    return np.array([[scale * np.cos(a), -scale * np.sin(a), tx], [scale * np.sin(a), scale * np.cos(a), ty]])


FITS = [  # fit, (image height, width), (target height, width)
    ("stretch", (480, 640), (224, 224)),
    ("stretch", (1081, 1921), (224, 224)),
    ("stretch", (77, 123), (224, 224)),
    ("stretch", (225, 224), (224, 224)),
    ("stretch", (131, 97), (53, 211)),
    ("stretch", (224, 224), (224, 224)),
    ("stretch", (1, 1), (16, 24)),
    ("crop", (333, 500), (224, 224)),
    ("crop", (641, 401), (224, 224)),
    ("crop", (60, 91), (96, 96)),
    ("letterbox", (333, 500), (256, 256)),
    ("letterbox", (701, 399), (256, 256)),
    ("letterbox", (31, 47), (128, 128)),
]
WARPS = [  # scale (image pixels per crop pixel), degrees, translation, image (height, width), crop side
    (1.0, 0, 10, 20, (300, 280), 224),
    (2.7, 14, 60, -40, (700, 900), 224),
    (5.3, -37, 300, 900, (1500, 1700), 224),
    (0.6, 9, 30, 12, (240, 200), 224),
    (0.37, -80, 20, 90, (128, 128), 96),
    (1.0001, 45, 120, -30, (333, 271), 128),
    (1.8, 190, 310, 420, (400, 300), 112),
    (2.0, 0, 5000, 5000, (100, 100), 64),
]


def write(root: Path) -> None:
    for i, (fit, (h, w), (height, width)) in enumerate(FITS):
        case = CaseWriter(root, f"fit_{i:02d}")
        image = picture(h, w, seed=i)
        result = {"stretch": lambda: stretch(image, width, height), "letterbox": lambda: letterbox(image, width, height),
                  "crop": lambda: centre_crop(image, width)}[fit]()  # fmt: skip
        case.set("fit", fit)
        case.set("width", width)
        case.set("height", height)
        case.array("image", image)
        case.array("expected.pixels", result)
        case.close()
    for i, (scale, degrees, tx, ty, (h, w), side) in enumerate(WARPS):
        case = CaseWriter(root, f"warp_{i:02d}")
        image, matrix = picture(h, w, seed=100 + i), similarity(scale, degrees, tx, ty)
        case.set("width", side)
        case.set("height", side)
        for j, entry in enumerate(matrix.ravel()):
            case.set(f"m{j}", repr(float(entry)))
        case.array("image", image)
        case.array("expected.pixels", warp_to_crop(image, invert(matrix), side))
        case.close()
