"""The canonical crop: where the four key points lie in it, and polygons of the face's named regions.

``python -m kfd_export canonical --dir DIR`` reads the face store ``DIR/faces`` (training faces only) and writes
``DIR/canonical.json`` and ``DIR/canonical.png`` (the polygons over the mean aligned face, to be looked at):

    size            224
    points          names of the key points in the order of ``template``
    template        4 x (x, y)
    meanLandmarks   68 x (x, y), mean over the aligned upright frontal faces, made symmetric
    regions         name -> polygon, what a person would call by that name; used to name what a map lights up
    blendRegions    name -> polygon, the hulls that forgeries blend (spec/kfd.md section 14.3); most of them reach the chin

"left" and "right" are the person's own; the person's right is at the left of the picture. The eight part names and the two
whole-face ones are those of LVLM-DFD (spec/kfd.md sections 12 and 14.3). All positions are pixels of the crop.

Everything is measured in a wide frame first (eyes 58 px apart, face about 60 % of the side), then brought nearer by ``--zoom``: the
nearer the crop, the more patches of the encoder fall on the face.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

from .align import CROP_SIZE, TEMPLATE_POINTS, transform, umeyama, warp_to_crop
from .files import write_json, write_whole

# The wide frame. Eyes are horizontal, 58 px apart, at y = 92 and centred: the face with brows and chin then fills about 60 % of it.
EYES = np.array([[83.0, 92.0], [141.0, 92.0]])
MIDDLE = CROP_SIZE / 2
ZOOM, HEIGHT = 1.3, 116.0  # enlargement of the wide frame, and its y in the middle of the crop: still holds forehead and chin (docs/training.md)
UPRIGHT_DEGREES = 15.0
FRONTAL_OFFSET = 8.0  # px of the crop between nose tip and the middle of the eyes

# Convex hulls of these points of the 68 (spec/kfd.md section 14.3), brows lifted first.
BLEND_PARTS = {
    "right jaw": [*range(0, 9), 17],
    "left jaw": [*range(8, 17), 26],
    "right cheek": [17, 18, 19, 8],
    "left cheek": [24, 25, 26, 8],
    "nose_ridge": [*range(19, 25), 8],
    "nose": [*range(27, 36)],
    "right eye": [*range(17, 22), 27, *range(31, 36), 8],
    "left eye": [*range(22, 27), 27, *range(31, 36), 8],
}
# Points 17-67: brows, eyes, nose, mouth.
INNER_FACE = list(range(17, 68))
# The number of each landmark's mirror image.
MIRROR = np.array([*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
                   45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
                   54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65])  # fmt: skip


def template_of(keypoints: np.ndarray) -> np.ndarray:
    """(4,2) template from key points (n,4,2) of many faces: eyes put on ``EYES``, nose and mouth averaged on the middle line.

    Only upright (eye line within 15 degrees) frontal (nose within 8 px of the middle) faces count; at least five are needed.
    """
    placed = np.stack([transform(umeyama(points[:2], EYES), points) for points in keypoints])
    eye_line = keypoints[:, 1] - keypoints[:, 0]
    upright = np.abs(np.degrees(np.arctan2(eye_line[:, 1], eye_line[:, 0]))) <= UPRIGHT_DEGREES
    frontal = np.abs(placed[:, 2, 0] - MIDDLE) <= FRONTAL_OFFSET
    chosen = placed[upright & frontal]
    if len(chosen) < 5:
        raise ValueError(f"the template needs at least 5 upright frontal faces, the store has {len(chosen)} of {len(keypoints)}")
    template = chosen.mean(axis=0)
    template[:2] = EYES
    template[2:, 0] = MIDDLE
    return np.round(template, 1)


def zoomed(points: np.ndarray, zoom: float, height: float) -> np.ndarray:
    """Positions (...,2) of the wide frame in a crop ``zoom`` times nearer whose middle shows the frame's (112, height)."""
    return (np.asarray(points) - [MIDDLE, height]) * zoom + MIDDLE


def symmetric(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (68,2) averaged with their mirror image about the middle of the crop."""
    mirrored = landmarks[MIRROR] * [-1, 1] + [CROP_SIZE, 0]
    return (landmarks + mirrored) / 2


def lifted_brows(landmarks: np.ndarray) -> np.ndarray:
    """Brow points 17-26 moved up by half the distance from brow to upper eyelid (per side)."""
    lifted = landmarks[17:27].copy()
    for brow, lid in ((slice(0, 5), [37, 38]), (slice(5, 10), [43, 44])):
        lifted[brow] += (lifted[brow].mean(axis=0) - landmarks[lid].mean(axis=0)) / 2
    return lifted


def hull(points: np.ndarray, grown: float = 0.0) -> np.ndarray:
    """Convex hull of points (n,2) as a polygon (m,2), widened by ``grown`` pixels all around."""
    if grown:
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        circle = grown * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = (points[:, None] + circle).reshape(-1, 2)
    return points[ConvexHull(points).vertices]


def mirrored(polygon: np.ndarray) -> np.ndarray:
    return polygon[::-1] * [-1, 1] + [CROP_SIZE, 0]


def named_regions(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Polygons a person would call by the ten names, from symmetric mean landmarks (68,2); the eight parts hardly overlap.

    eye: contour and brow with the lid between. nose_ridge: between the eyes down to half the nose. nose: its lower half with
    the wings. cheek: under the eye, out to the jaw line, down to the mouth's corner. jaw: lower face from there, with its half
    of the mouth, which has no name of its own.
    """
    point = landmarks
    below_eye = np.array([0.0, 7.0])
    under_nose = np.array([MIDDLE, point[33, 1] + 4])
    ridge_foot = np.array([[MIDDLE - 8, point[29, 1]], [MIDDLE + 8, point[29, 1]]])
    wing = point[31] + [-5, 2]
    right = {
        "right eye": hull(point[[*range(17, 22), *range(36, 42)]], grown=3.0),
        "right cheek": np.array([point[1], point[2], point[3], point[48], wing, ridge_foot[0] + [-3, -4],
                                 point[40] + below_eye, point[41] + below_eye, point[36] + below_eye]),
        "right jaw": np.array([point[3], *point[4:9], under_nose, wing, point[48]]),
    }  # fmt: skip
    left = {name.replace("right", "left"): mirrored(polygon) for name, polygon in right.items()}
    return {
        **right,
        **left,
        "nose_ridge": hull(np.concatenate([point[[21, 22]] + [[1.5, 0], [-1.5, 0]], point[[39, 42]] + [[5, 0], [-5, 0]], ridge_foot])),
        "nose": hull(np.concatenate([ridge_foot, [wing, mirrored(wing[None])[0], under_nose]])),
        "center face": hull(point[INNER_FACE], grown=2.0),
        "full face": hull(np.concatenate([point, lifted_brows(point)])),
    }


def blend_regions(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """The hulls of spec/kfd.md section 14.3, brows lifted, from landmarks (68,2) in any frame."""
    lifted = np.concatenate([landmarks[:17], lifted_brows(landmarks), landmarks[27:]])
    parts = {name: hull(lifted[indices]) for name, indices in BLEND_PARTS.items()}
    return {**parts, "center face": hull(landmarks[INNER_FACE]), "full face": hull(lifted)}


def scatter(aligned: np.ndarray) -> dict[str, float]:
    """How far landmarks (n,68,2) of aligned faces lie from their mean, in pixels of the crop."""
    distance = np.linalg.norm(aligned - aligned.mean(axis=0), axis=2)
    return {"median": float(np.median(distance)), "rms": float(np.sqrt((distance**2).mean()))}


def draw(mean_face: np.ndarray, polygons: dict[str, np.ndarray], zoom: int = 3) -> Image.Image:
    """The mean face (224,224,3) enlarged, with polygons and names over it."""
    picture = Image.fromarray(mean_face).resize((CROP_SIZE * zoom, CROP_SIZE * zoom))
    pencil = ImageDraw.Draw(picture)
    colours = ("red", "lime", "cyan", "yellow", "magenta", "orange", "white", "deepskyblue", "violet", "gold")
    for (name, polygon), colour in zip(polygons.items(), colours, strict=True):
        pencil.polygon([tuple(p) for p in polygon * zoom], outline=colour, width=2)
        pencil.text(tuple(polygon.mean(axis=0) * zoom - [20, 4]), name, colour)
    return picture


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kfd_export canonical", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="folder of the training material, holding faces/index.json")
    parser.add_argument("--zoom", type=float, default=ZOOM, help=f"enlargement of the wide frame, 1 or more (default {ZOOM})")
    parser.add_argument("--height", type=float, default=HEIGHT, help=f"y of the wide frame in the middle of the crop (default {HEIGHT:g})")
    args = parser.parse_args(argv)
    if not args.zoom >= 1:
        raise ValueError(f"expected a --zoom of 1 or more, got {args.zoom:g}")
    torch.set_num_threads(1)
    index = args.dir / "faces" / "index.json"
    if not index.is_file():
        raise FileNotFoundError(f"no face store at {index}: run 'python -m kfd_train faces --dir {args.dir}' first")
    entries = json.loads(index.read_text(encoding="utf-8"))["faces"]
    training = [e for e in entries if e["split"] == "train" and e["keypointsFrom"] == "blazeface"]
    keypoints = np.array([e["keypoints"][: len(TEMPLATE_POINTS)] for e in training])
    template = template_of(keypoints)
    matrices = [umeyama(points, template) for points in keypoints]
    aligned = np.stack([transform(m, np.array(e["landmarks"])) for m, e in zip(matrices, training, strict=True)])
    # The mean shape is that of frontal faces; turned ones would pull the nose and the jaw to the side.
    frontal = np.abs(aligned[:, 30, 0] - aligned[:, [36, 45], 0].mean(axis=1)) <= FRONTAL_OFFSET
    mean = symmetric(aligned[frontal].mean(axis=0))
    for label, chosen in (("all", aligned), ("frontal", aligned[frontal])):
        best = np.stack([transform(umeyama(points, mean), points) for points in chosen])
        print(f"{label}: {len(chosen)} training faces; landmark scatter after alignment by key points {scatter(chosen)}, "
              f"by all 68 landmarks {scatter(best)}")  # fmt: skip
    wide = {"regions": named_regions(mean), "blendRegions": blend_regions(mean)}
    regions, blends = ({n: zoomed(p, args.zoom, args.height) for n, p in polygons.items()} for polygons in wide.values())
    template, mean = np.round(zoomed(template, args.zoom, args.height), 1), zoomed(mean, args.zoom, args.height)
    matrices = [umeyama(points, template) for points in keypoints]
    crops = [
        warp_to_crop(np.asarray(Image.open(index.parent / e["file"]).convert("RGB")), m) for e, m in zip(training, matrices, strict=True)
    ]
    mean_face = np.mean(crops, axis=0).round().astype(np.uint8)
    rounded = {
        key: {n: np.round(p, 1).tolist() for n, p in value.items()} for key, value in (("regions", regions), ("blendRegions", blends))
    }
    write_json(args.dir / "canonical.json", {"size": CROP_SIZE, "points": list(TEMPLATE_POINTS), "template": template.tolist(),
                                             "meanLandmarks": np.round(mean, 2).tolist(), **rounded})  # fmt: skip
    sheet = Image.new("RGB", (CROP_SIZE * 6, CROP_SIZE * 3))
    for column, polygons in enumerate((regions, blends)):
        sheet.paste(draw(mean_face, polygons), (column * CROP_SIZE * 3, 0))
    write_whole(args.dir / "canonical.png", lambda path: sheet.save(path))
    print(f"template {template.tolist()}")
    return 0
