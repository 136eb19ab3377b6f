"""Which regions of the face a forgery map names: the same rule as lib/face/namedRegions.ts (docs/regions.md), tested against it.

The map (224,224) holds probabilities of forgery; polygons are pixels of the canonical crop. A region speaks by its coverage, the
share of its pixels that the map lights.
"""

import copy
from dataclasses import dataclass

import numpy as np

from .crops import SIZE

WHOLE, CENTER = "full face", "center face"
MOST_PARTS = 3


@dataclass(frozen=True)
class NamingRule:
    """All shares in [0,1]: the field `face.naming` of a detector's manifest."""

    lit: float = 0.5  # a pixel is lit from this map value on
    minimum: float = 0.02  # fewer lit pixels of the whole face than this: nothing is named
    whole: float = 0.6  # coverage of the whole face from which it is named alone
    center: float = 0.6  # the same for the center
    part: float = 0.5  # coverage of a part from which it may be named
    explained: float = 0.3  # share of all lit pixels that must lie in the named parts; else nothing is named


def rasterize_polygon(polygon: list, size: int = SIZE) -> np.ndarray:
    """Boolean (size,size): pixels whose centre lies inside the polygon (even-odd rule), as lib/face/regions.ts draws it."""
    mask = np.zeros((size, size), bool)
    points = np.asarray(polygon, np.float64)
    following = np.roll(points, -1, axis=0)
    for row in range(size):
        y = row + 0.5
        crossing = (points[:, 1] > y) != (following[:, 1] > y)
        (x1, y1), (x2, y2) = points[crossing].T, following[crossing].T
        edges = np.sort(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1))
        for first, end in zip(edges[::2], edges[1::2]):
            mask[row, max(0, int(np.ceil(first - 0.5))) : max(0, int(np.ceil(end - 0.5)))] = True
    return mask


class RegionNamer:
    """The named regions of one detector, drawn once. `polygons`: name -> [[x, y], ...] in the order of the manifest."""

    def __init__(self, polygons: dict[str, list], rule: NamingRule = NamingRule()):
        missing = {WHOLE, CENTER} - set(polygons)
        if missing:
            raise ValueError(f"expected polygons that include {WHOLE!r} and {CENTER!r}, got {list(polygons)}")
        self._take({name: rasterize_polygon(polygon) for name, polygon in polygons.items()}, rule)

    def _take(self, masks: dict[str, np.ndarray], rule: NamingRule) -> None:
        self.rule, self.masks = rule, masks
        self.parts = [name for name in masks if name not in (WHOLE, CENTER)]

    @classmethod
    def of_masks(cls, masks: dict[str, np.ndarray], rule: NamingRule) -> "RegionNamer":
        """From regions that are drawn already, boolean (224,224) each."""
        namer = cls.__new__(cls)
        namer._take(masks, rule)
        return namer

    def under(self, rule: NamingRule) -> "RegionNamer":
        """The same regions under another rule, without drawing them again."""
        other = copy.copy(self)
        other.rule = rule
        return other

    def coverage(self, lit: np.ndarray) -> dict[str, float]:
        """Share of each region's pixels that are lit; `lit` boolean (224,224)."""
        return {name: float(np.count_nonzero(lit & mask) / max(1, np.count_nonzero(mask))) for name, mask in self.masks.items()}

    def mean(self, forgery_map: np.ndarray, name: str) -> float:
        """Of the map inside a region; added up pixel by pixel as JavaScript does, so that near-ties fall alike."""
        values = forgery_map[self.masks[name]].astype(np.float64)
        return float(np.cumsum(values)[-1] / values.size) if values.size else 0.0

    def extent(self, forgery_map: np.ndarray) -> float:
        """Share of the whole face's pixels with a map value of at least 0.5 (not `rule.lit`)."""
        return float((forgery_map[self.masks[WHOLE]] >= 0.5).mean())

    def name(self, forgery_map: np.ndarray, fake: bool) -> list[str]:
        """The named regions, strongest first: at most three parts, or the center or the whole face alone; [] = none stands out."""
        if forgery_map.shape != (SIZE, SIZE):
            raise ValueError(f"expected a forgery map of ({SIZE}, {SIZE}), got {forgery_map.shape}; enlarge it first")
        rule, lit = self.rule, forgery_map.astype(np.float64) >= self.rule.lit  # as JavaScript compares a float32
        if not fake:
            return []
        coverage = self.coverage(lit)
        if coverage[WHOLE] < rule.minimum:
            return []
        if coverage[WHOLE] >= rule.whole:
            return [WHOLE]
        if coverage[CENTER] >= rule.center:
            return [CENTER]
        candidates = [name for name in self.parts if coverage[name] >= rule.part]
        candidates.sort(key=lambda name: (-coverage[name], -self.mean(forgery_map, name)))  # stable: then the manifest's order
        chosen = candidates[:MOST_PARTS]
        if not chosen:
            return []
        union = np.logical_or.reduce([self.masks[name] for name in chosen])
        explained = np.count_nonzero(lit & union) / max(1, np.count_nonzero(lit))
        return chosen if explained >= rule.explained else []
