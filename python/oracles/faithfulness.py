"""Expected values of the faithfulness metrics (lib/faithfulness), from scikit-learn, SciPy, PyTorch and NumPy.

Cases `faithfulness_<name>`: a map on its grid, the same enlarged, a mask, a picture, and what each metric must give.
Orders of pixels are made without ties, so that they are defined.
"""

from pathlib import Path

import numpy as np
import torch
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve
from sklearn.metrics import roc_auc_score

from .case_writer import CaseWriter

SIZES = {"square": (4, 4, 32, 32), "wide": (3, 5, 24, 40), "sharp": (24, 20, 24, 20)}  # grid h, w; picture H, W
FRACTIONS = (0.1, 0.5, 0.9)
MEAN = np.array([124.0, 116.0, 104.0])


def blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A mask of one or two discs, neither empty nor full."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 3)):
        y, x = rng.uniform(0.2, 0.8, 2) * shape
        mask |= np.hypot(rows - y, columns - x) < 0.25 * min(shape)
    return mask


def impute(picture: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Every removed pixel the weighted mean of those of its 8 neighbours that exist: one sparse system, solved directly."""
    height, width = removed.shape
    number = -np.ones(removed.shape, int)
    number[removed] = np.arange(removed.sum())
    matrix = sparse.lil_matrix((removed.sum(), removed.sum()))
    right = np.zeros((removed.sum(), 3))
    for y, x in np.argwhere(removed):
        row = number[y, x]
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                inside = 0 <= y + dy < height and 0 <= x + dx < width
                if (dy == 0 and dx == 0) or not inside:
                    continue
                weight = 1 / 6 if dy == 0 or dx == 0 else 1 / 12
                matrix[row, row] += weight
                if removed[y + dy, x + dx]:
                    matrix[row, number[y + dy, x + dx]] -= weight
                else:
                    right[row] += weight * picture[y + dy, x + dx]
    filled = picture.astype(np.float64).copy()
    filled[removed] = spsolve(matrix.tocsr(), right).reshape(-1, 3)
    return filled


def blur(picture: np.ndarray) -> np.ndarray:
    """Gaussian 11 x 11, deviation 5, the mean colour beyond the edge."""
    centred = picture - MEAN
    for axis in (0, 1):
        centred = ndimage.gaussian_filter1d(centred, 5, axis=axis, mode="constant", cval=0, radius=5)
    return centred + MEAN


def write_case(root: Path, name: str, seed: int) -> None:
    rows, columns, height, width = SIZES[name]
    rng = np.random.default_rng(seed)
    case = CaseWriter(root, f"faithfulness_{name}")
    grid = rng.gamma(1.0, 1.0, (rows, columns)).astype(np.float32)
    grid[0, 0] = 0
    large = torch.nn.functional.interpolate(
        torch.from_numpy(grid)[None, None].double(), (height, width), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    # rank metrics need one order in float32 and float64: they get the map as stored
    stored = large.astype(np.float32)
    mask = blobs(rng, (height, width))
    picture = rng.integers(0, 256, (height, width, 3)).astype(np.float64)
    case.array("grid", grid)
    case.array("large", large)
    case.array("mask", mask.astype(np.uint8))
    case.array("picture", picture)
    case.array("mean", MEAN)

    unit = (stored - stored.min()) / (stored.max() - stored.min())
    above = unit > unit.astype(np.float64).mean()
    case.array("expected.auroc", np.array([roc_auc_score(mask.ravel(), stored.ravel())]))
    case.array("expected.auroc_coarse", np.array([roc_auc_score(mask.ravel(), np.round(stored.ravel() * 2))]))
    case.array("expected.iou", np.array([(above & mask).sum() / (above | mask).sum()]))
    case.array("expected.pointing", np.array([float(mask.ravel()[stored.argmax()])]))
    case.array("expected.mass", np.array([stored[mask].sum() / stored.sum()]))
    case.array("expected.share", np.array([mask.mean()]))

    distinct = rng.permutation(height * width).reshape(height, width)  # a map without ties
    case.array("distinct", distinct)
    order = np.argsort(-distinct.ravel(), kind="stable")
    for fraction in FRACTIONS:
        removed = np.zeros(height * width, bool)
        removed[order[: round(fraction * height * width)]] = True
        removed = removed.reshape(height, width)
        case.array(f"expected.deleted_{fraction}", np.where(removed[..., None], MEAN, picture))
        case.array(f"expected.imputed_{fraction}", impute(picture, removed))
    case.array("expected.blurred", blur(picture))
    case.array("expected.explained", MEAN + unit[..., None] * (picture - MEAN))
    curve, at = rng.random(11), np.linspace(0, 1, 11)
    case.array("curve", curve)
    case.array("at", at)
    case.array("expected.area", np.array([np.trapezoid(curve, at)]))
    case.close()


def write(root: Path) -> None:
    for seed, name in enumerate(SIZES, start=71):
        write_case(root, name, seed)
