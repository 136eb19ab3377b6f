"""What happens to a picture after the forgery: identical for the forged and the untouched partner, so that it carries no label."""

import cv2
import numpy as np

from . import jitter
from .crops import SIZE


def to_size(image: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Antialiased shrink of a square picture or mask to size x size."""
    return image if image.shape[0] == size else cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def draw(rng: np.random.Generator) -> dict:
    """Parameters of one chain. None = step left out."""
    chance = rng.random(9)
    return {
        "flip": chance[0] < 0.5,
        "sharpen": rng.uniform(0.3, 0.9) if chance[1] < 0.12 else None,
        "blur": rng.uniform(0.3, 1.3) if chance[2] < 0.25 else None,
        "down": rng.uniform(0.4, 0.9) if chance[3] < 0.25 else None,
        "gain": (rng.uniform(0.8, 1.2), rng.uniform(-15, 15)) if chance[4] < 0.4 else None,
        "tint": rng.uniform(0.9, 1.1, 3).astype(np.float32) if chance[5] < 0.25 else None,
        "noise": rng.uniform(1, 5) if chance[6] < 0.15 else None,
        "grey": chance[7] < 0.05,
        "jpeg": int(rng.integers(40, 100)) if chance[8] < 0.7 else None,
        "seed": int(rng.integers(1 << 31)),
    }


def run(image: np.ndarray, steps: dict) -> np.ndarray:
    """float32 (n,n,3) -> uint8 (224,224,3)."""
    out = to_size(image)
    if steps["flip"]:
        out = out[:, ::-1]
    if steps["sharpen"] is not None:
        out = out + steps["sharpen"] * (out - cv2.GaussianBlur(out, (0, 0), 1.2))
    if steps["blur"] is not None:
        out = cv2.GaussianBlur(out, (0, 0), steps["blur"])
    if steps["down"] is not None:
        small = cv2.resize(out, None, fx=steps["down"], fy=steps["down"], interpolation=cv2.INTER_AREA)
        out = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    if steps["gain"] is not None:
        out = (out - 128) * steps["gain"][0] + 128 + steps["gain"][1]
    if steps["tint"] is not None:
        out = out * steps["tint"]
    if steps["noise"] is not None:
        out = out + np.random.default_rng(steps["seed"]).normal(0, steps["noise"], out.shape)
    out = jitter.to_uint8(out)
    if steps["grey"]:
        out = np.repeat(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if steps["jpeg"] is not None:
        out = jitter.jpeg(out, steps["jpeg"])
    return np.ascontiguousarray(out)


def run_mask(mask: np.ndarray, steps: dict) -> np.ndarray:
    """float32 (n,n) -> uint8 (224,224) in {0,1}: forged where at least 0.3 of the pasted copy shows."""
    out = to_size(mask)
    if steps["flip"]:
        out = out[:, ::-1]
    return np.ascontiguousarray(out > 0.3).astype(np.uint8)


CONDITIONS = ("clean", "jpeg-75", "jpeg-50", "blur", "resize")


def degrade(image: np.ndarray, condition: str) -> np.ndarray:
    """Test conditions on uint8 (224,224,3): JPEG quality 75 or 50, Gaussian blur sigma 1.2, shrink to 112 and back."""
    if condition == "clean":
        return image
    if condition.startswith("jpeg-"):
        return jitter.jpeg(image, int(condition[5:]))
    if condition == "blur":
        return cv2.GaussianBlur(image, (0, 0), 1.2)
    if condition == "resize":
        small = cv2.resize(image, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    raise ValueError(f"expected a condition out of {CONDITIONS}, got {condition!r}")
