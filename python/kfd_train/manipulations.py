"""Forgeries other than self-blends: hull swaps and seven other kinds. The configuration says which ones are trained on;
the rest is only ever tested on.

Each takes an RGB picture float32 (n,n,3) in 0..255 with its 68 landmarks and returns a `Forgery` whose partner is the picture itself.
"""

import cv2
import numpy as np

from . import jitter
from .blends import VISIBLE, Forgery
from .regions import COMPACT_PARTS, fill_hull, grow, lifted_brows

PARTS = ("eyes", "nose", "mouth", "jaw")


def hull_mask(shape: tuple[int, int], points: np.ndarray, grown: float = 0.0) -> np.ndarray:
    """Hard mask of a hull, grown by so many pixels."""
    mask = np.zeros(shape, np.float32)
    fill_hull(mask, points)
    return grow(mask, grown)


def warp_by_landmarks(donor: np.ndarray, donor_landmarks: np.ndarray, landmarks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The donor's face brought into the place of `landmarks`, triangle by triangle (Delaunay on the target points)."""
    height, width = shape
    inside = np.clip(landmarks, 1, [width - 2, height - 2]).astype(np.float32)
    division = cv2.Subdiv2D((0, 0, width, height))
    number_of = {}
    for i, point in enumerate(inside):
        number_of[int(division.insert((float(point[0]), float(point[1]))))] = i
    out = np.zeros((height, width, 3), np.float32)
    for triangle in division.getTriangleList().reshape(-1, 3, 2):
        corners = [int(np.abs(inside - corner).sum(1).argmin()) for corner in triangle]
        if any(np.abs(inside[c] - corner).sum() > 1e-2 for c, corner in zip(corners, triangle)):
            continue  # one of the subdivision's own outer corners
        target = inside[corners]
        left, top = np.floor(target.min(0)).astype(int)
        right, bottom = np.ceil(target.max(0)).astype(int) + 1
        matrix = cv2.getAffineTransform(donor_landmarks[corners].astype(np.float32), target - np.float32([left, top]))
        size = right - left, bottom - top
        piece = cv2.warpAffine(donor, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        stencil = np.zeros(size[::-1], np.uint8)
        cv2.fillConvexPoly(stencil, np.round(target - [left, top]).astype(np.int32), 1)
        view = out[top:bottom, left:right]
        stencil, piece = stencil[: view.shape[0], : view.shape[1]], piece[: view.shape[0], : view.shape[1]]
        view[stencil > 0] = piece[stencil > 0]
    return out


def match_colours(image: np.ndarray, reference: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Gives `image` the mean and deviation per LAB channel that `reference` has inside the boolean mask."""
    lab = cv2.cvtColor(jitter.to_uint8(image), cv2.COLOR_RGB2LAB).astype(np.float32)
    wanted = cv2.cvtColor(jitter.to_uint8(reference), cv2.COLOR_RGB2LAB).astype(np.float32)
    have_mean, have_std = lab[inside].mean(0), lab[inside].std(0) + 1e-3
    want_mean, want_std = wanted[inside].mean(0), wanted[inside].std(0)
    lab = (lab - have_mean) / have_std * want_std + want_mean
    return cv2.cvtColor(jitter.to_uint8(lab), cv2.COLOR_LAB2RGB).astype(np.float32)


def poisson(source: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Gradient-domain paste of source onto target inside a hard mask. Raises ValueError if the mask touches the border."""
    rows, columns = np.where(mask > 0)
    if len(rows) == 0 or rows.min() < 2 or columns.min() < 2 or rows.max() > mask.shape[0] - 3 or columns.max() > mask.shape[1] - 3:
        raise ValueError("expected a mask inside the picture for a Poisson blend, it touches the border; use a smaller region")
    centre = int((columns.min() + columns.max() + 1) // 2), int((rows.min() + rows.max() + 1) // 2)
    stencil = (mask > 0).astype(np.uint8) * 255
    blended = cv2.seamlessClone(jitter.to_uint8(source), jitter.to_uint8(target), stencil, centre, cv2.NORMAL_CLONE)
    return blended.astype(np.float32)


def inner_mask(mask: np.ndarray, margin: int = 4) -> np.ndarray:
    """The mask without a margin along the picture's border."""
    out = mask.copy()
    out[:margin], out[-margin:], out[:, :margin], out[:, -margin:] = 0, 0, 0, 0
    return out


def swap(image, landmarks, donor, donor_landmarks, rng, blend: str = "alpha") -> Forgery:
    """Another person's face on this one: hull of the landmarks, colours matched; blend 'alpha' (soft edge) or 'poisson'."""
    width = float(np.ptp(landmarks[:, 0]))
    warped = warp_by_landmarks(donor, donor_landmarks, landmarks, image.shape[:2])
    mask = hull_mask(image.shape[:2], landmarks)
    if rng.random() < 0.8:
        warped = match_colours(warped, image, mask > 0)
    mask = grow(mask, -rng.uniform(0.015, 0.05) * width)
    if blend == "poisson":
        mask = inner_mask(mask)
        return Forgery(poisson(warped, image, mask), image, mask, "swap-poisson", "face")
    mask = cv2.GaussianBlur(mask, (0, 0), width * rng.uniform(0.006, 0.03))
    return Forgery(image + (warped - image) * mask[..., None], image, mask, "swap-alpha", "face")


def poisson_part(image, landmarks, rng) -> Forgery:
    """The face or a part of it, shifted and with changed detail, cloned back in the gradient domain."""
    region = rng.choice(("face", *PARTS))
    width = float(np.ptp(landmarks[:, 0]))
    points = landmarks if region == "face" else landmarks[COMPACT_PARTS[region]]
    mask = inner_mask(hull_mask(image.shape[:2], points, -2 if region == "face" else 0.05 * width))
    shift = np.float32([[1, 0, rng.uniform(-0.04, 0.04) * width], [0, 1, rng.uniform(-0.04, 0.04) * width]])
    source = jitter.frequency(cv2.warpAffine(image, shift, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT), rng)
    return Forgery(poisson(source, image, mask), image, mask, "poisson-part", str(region))


def splice(image, landmarks, donor, donor_landmarks, rng) -> Forgery:
    """Eyes, nose, mouth or jaw of another person, alpha blended."""
    region = str(rng.choice(PARTS))
    width = float(np.ptp(landmarks[:, 0]))
    warped = warp_by_landmarks(donor, donor_landmarks, landmarks, image.shape[:2])
    face = hull_mask(image.shape[:2], landmarks) > 0
    if rng.random() < 0.8:
        warped = match_colours(warped, image, face)
    mask = hull_mask(image.shape[:2], landmarks[COMPACT_PARTS[region]], 0.04 * width) * face
    mask = cv2.GaussianBlur(mask, (0, 0), width * rng.uniform(0.006, 0.02))
    return Forgery(image + (warped - image) * mask[..., None], image, mask, "splice", region)


def liquify(image, landmarks, rng) -> Forgery:
    """Local warp: a part is enlarged or shrunk by 15 to 30 % with a smooth fall-off, as beauty filters do."""
    region = str(rng.choice(PARTS))
    points = landmarks[COMPACT_PARTS[region]]
    centre, radius = points.mean(0), 0.75 * float(np.ptp(points, axis=0).max())
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32) + 0.5
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius
    falloff = np.clip(1 - distance**2, 0, 1) ** 2
    pull = falloff * rng.choice([-1, 1]) * rng.uniform(0.15, 0.3)
    moved_x, moved_y = x + (x - centre[0]) * pull, y + (y - centre[1]) * pull
    fake = cv2.remap(image, (moved_x - 0.5).astype(np.float32), (moved_y - 0.5).astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return Forgery(np.clip(fake, 0, 255), image, (falloff > 0.02).astype(np.float32), "liquify", region)


def inpaint(image, landmarks, rng) -> Forgery:
    """A part is removed and filled in by Telea's method."""
    region = str(rng.choice(("right eye", "left eye", "nose", "mouth", "right cheek", "left cheek")))
    width = float(np.ptp(landmarks[:, 0]))
    mask = hull_mask(image.shape[:2], landmarks[COMPACT_PARTS[region]], 0.03 * width)
    filled = cv2.inpaint(jitter.to_uint8(image), (mask > 0).astype(np.uint8), 5, cv2.INPAINT_TELEA).astype(np.float32)
    return Forgery(filled, image, mask, "inpaint", region)


def smooth(image, landmarks, rng) -> Forgery:
    """Skin texture is smoothed away inside the face (bilateral filter), soft edge."""
    width = float(np.ptp(landmarks[:, 0]))
    mask = hull_mask(image.shape[:2], np.concatenate([landmarks, lifted_brows(landmarks, 0.2)]))
    mask = cv2.GaussianBlur(grow(mask, -0.03 * width), (0, 0), 0.02 * width)
    filtered = image
    for _ in range(2):
        filtered = cv2.bilateralFilter(filtered, 9, rng.uniform(25, 50), rng.uniform(3, 6))
    return Forgery(image + (filtered - image) * mask[..., None], image, mask, "smooth", "face")


def heal(image, landmarks, rng) -> Forgery:
    """A round patch of skin is covered by one from beside it, as a healing or clone brush does; soft edge or Poisson."""
    height, width = image.shape[:2]
    face = float(np.ptp(landmarks[:, 0]))
    region = str(rng.choice(("right cheek", "left cheek", "jaw", "nose", "brows")))
    weights = rng.dirichlet(np.ones(len(COMPACT_PARTS[region]))).astype(np.float32)
    centre, radius = weights @ landmarks[COMPACT_PARTS[region]], face * rng.uniform(0.07, 0.16)
    angle, reach = rng.uniform(0, 2 * np.pi), radius * rng.uniform(1.2, 2.2)
    shift = np.float32([[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]])
    copy = cv2.warpAffine(image, shift, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    mask = (((x - centre[0]) ** 2 + (y - centre[1]) ** 2) < radius**2).astype(np.float32)
    if rng.random() < 0.5:
        return Forgery(poisson(copy, image, inner_mask(mask)), image, mask, "heal", region)
    soft = cv2.GaussianBlur(mask, (0, 0), radius * rng.uniform(0.08, 0.25))
    return Forgery(image + (copy - image) * soft[..., None], image, soft, "heal", region)


def morph(image, landmarks, donor, donor_landmarks, rng) -> Forgery:
    """Two people's faces cross-faded inside the hull, as in morphed passport photographs; soft edge."""
    width = float(np.ptp(landmarks[:, 0]))
    warped = warp_by_landmarks(donor, donor_landmarks, landmarks, image.shape[:2])
    hull = hull_mask(image.shape[:2], landmarks)
    warped = match_colours(warped, image, hull > 0)
    mask = cv2.GaussianBlur(grow(hull, -0.04 * width), (0, 0), width * rng.uniform(0.02, 0.04))
    share = rng.uniform(0.35, 0.65)
    return Forgery(image + (warped - image) * (share * mask[..., None]), image, mask, "morph", "face")


ALONE = {"poisson-part": poisson_part, "liquify": liquify, "inpaint": inpaint, "smooth": smooth, "heal": heal}
WITH_DONOR = {"splice": splice, "morph": morph}
# In this order: test pictures are drawn one after the other, so a kind added at the end leaves the others as they were.
KINDS = ("swap-alpha", "swap-poisson", "splice", "poisson-part", "liquify", "inpaint", "smooth", "heal", "morph")


def make(kind: str, image, landmarks, donor, donor_landmarks, rng) -> Forgery:
    """A forgery of one of the kinds in `KINDS`; drawn again up to 5 times while the change is below the visible floor."""
    for _ in range(5):
        if kind.startswith("swap-"):
            forgery = swap(image, landmarks, donor, donor_landmarks, rng, kind[5:])
        elif kind in WITH_DONOR:
            forgery = WITH_DONOR[kind](image, landmarks, donor, donor_landmarks, rng)
        elif kind in ALONE:
            forgery = ALONE[kind](image, landmarks, rng)
        else:
            raise ValueError(f"expected a kind out of {KINDS}, got {kind!r}")
        inside = forgery.mask > 0.5
        if inside.any() and np.abs(forgery.fake - forgery.real).mean(2)[inside].mean() > VISIBLE:
            break
    return forgery
