"""Detections with chosen regions: the patch similarities of a forged picture, put into parts of an honest one.

Real forgeries light up whole faces far more often than an eye and a cheek. A composite is made before the detector's heads, so its map,
score and regions are still what the detector itself says about these similarities.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from kfd_train.crops import SIZE
from kfd_train.naming import CENTER, WHOLE, RegionNamer

GROWN = 9  # pixels by which a part is widened: a patch is 14 wide, and the map falls off towards its edge
SOFTNESS = 5.0  # standard deviation of the soft edge, pixels
PART_NUMBERS = (0.42, 0.36, 0.22)  # one, two, three parts: grown parts light their neighbours too


class PartMasks:
    """The regions on the grid of patches, soft-edged: (g,g) float32 each."""

    def __init__(self, namer: RegionNamer, side: int = 16):
        # Corner pixels are aligned when maps are enlarged: grid point i lies at i * (SIZE - 1) / (side - 1).
        at = np.round(np.arange(side) * (SIZE - 1) / (side - 1)).astype(int)
        self.at, self.masks = at, namer.masks

    def of(self, names: list[str], rng: np.random.Generator) -> Tensor:
        """The union of the regions, grown at random by up to GROWN pixels."""
        union = np.logical_or.reduce([self.masks[name] for name in names]).astype(np.float32)
        width = 2 * int(rng.integers(0, GROWN + 1)) + 1
        grown = cv2.dilate(union, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
        return torch.from_numpy(cv2.GaussianBlur(grown, (0, 0), SOFTNESS)[np.ix_(self.at, self.at)])


def choose_regions(parts: list[str], rng: np.random.Generator) -> list[str]:
    """One to three parts, or now and then the center or the whole face."""
    chance = rng.random()
    if chance < 0.04:
        return [WHOLE]
    if chance < 0.14:
        return [CENTER]
    return [parts[i] for i in rng.choice(len(parts), 1 + rng.choice(3, p=PART_NUMBERS), replace=False)]


def compose(honest: Tensor, forged: Tensor, mask: Tensor, strength: float) -> Tensor:
    """Similarities (levels,2,g,g) of the honest picture, inside `mask` (g,g) moved towards those of the forged one, or beyond it.

    The forged picture gives its strongest quarter of patches (deepfake minus pristine, mean of the levels) as one value a level and class,
    plus its own variation, so that every part gets a trace whichever part was forged there.
    """
    evidence = (forged[:, 1] - forged[:, 0]).mean(0).flatten()
    strongest = evidence >= evidence.quantile(0.75)
    level = forged.flatten(2)[:, :, strongest].mean(2)[..., None, None]
    variation = forged - forged.mean((2, 3), keepdim=True)
    return honest + mask * (strength * (level - honest) + 0.5 * variation)
