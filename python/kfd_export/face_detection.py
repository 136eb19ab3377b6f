"""Face detection around the BlazeFace network: squares, anchors, decoding, suppression, a second look at every face.

This is the reference for the TypeScript port; every step is stated so that it can be repeated to the pixel.

1. *Square.* The network looks at a square (x, y, side) of whole pixels; what lies outside the picture is black. The whole
   picture (W, H) is the square side = max(W, H), x = -floor((side - W) / 2), y = -floor((side - H) / 2).
   The visible part [x0,x1) x [y0,y1) is the square cut to the picture. With ratio = 256 / side (half rounds up everywhere)
   left = min(255, round((x0 - x) * ratio)), inner width = clamp(round((x1 - x0) * ratio), 1, 256 - left), same for top and
   inner height. The part is resized to the inner size with antialiased bicubic on uint8 (``resampling.resize_uint8``; small
   ones are enlarged) and placed at (left, top) in a black 256 x 256. Network input = value / 127.5 - 1, so black is -1.
2. *Anchors.* Centre of column c, row r of a grid with side g: ((c + 0.5) * 256/g, (r + 0.5) * 256/g). Order: ``BlazeFace``.
3. *Decode.* score = sigmoid(raw score clamped to +-100). centre = anchor + raw[0:2], size = raw[2:4],
   key point k = anchor + raw[4+2k : 6+2k]; all in pixels of the 256 square. Rows with a size <= 0 or a score below the
   threshold of the pass are dropped.
4. *Back to the picture.* x = x0 + (x256 - left) * (x1 - x0) / inner width, same for y (sizes: only the scale).
5. *Weighted suppression.* Highest score first (ties: earlier row first): every remaining detection whose IoU with it is
   > 0.3 joins its cluster; the face is the score-weighted mean of the cluster's boxes and key points, with the highest score.
6. *Second look.* Steps 1-5 on the whole picture with the low threshold 0.3 give candidates. For each, s = ceil(5 * longer
   side of its box), square = (floor(centre - s / 2), s), steps 1-5 again with the real threshold 0.7; the best-scored result
   whose IoU with the candidate is > 0.3 replaces it, a candidate without one is dropped. This finds small faces that the first
   pass doubts, drops most things that only look like a face from afar, and places the key points more exactly.
7. *Twins.* Of faces whose boxes overlap with IoU > 0.3 only the best-scored stays. Order: falling score.

Positions are continuous: pixel (row i, column j) covers [j,j+1) x [i,i+1).
Key points: right eye, left eye, nose tip, mouth centre, right ear, left ear ("right" is the person's right).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import torch

from .blazeface_model import ANCHOR_GRIDS, SIZE
from .resampling import check_rgb, resize_uint8

KEY_POINTS = ("rightEye", "leftEye", "nose", "mouth", "rightEar", "leftEar")
CANDIDATE_THRESHOLD = 0.3
SCORE_THRESHOLD = 0.7
IOU_THRESHOLD = 0.3
# A face that fills a fifth of the square is about what the network sees best: its score is highest there.
ZOOM = 5.0

Network = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Face:
    """One face in pixels of the picture: ``box`` (4,) as x, y, width, height; ``keypoints`` (6,2); ``score`` in (0,1)."""

    box: np.ndarray
    keypoints: np.ndarray
    score: float


@dataclass(frozen=True)
class Square:
    """A square of whole pixels of a picture, or partly beyond it: upper left corner and side."""

    x: int
    y: int
    side: int

    @classmethod
    def whole(cls, width: int, height: int) -> "Square":
        side = max(width, height)
        return cls(-((side - width) // 2), -((side - height) // 2), side)

    @classmethod
    def around(cls, box: np.ndarray, zoom: float) -> "Square":
        side = ceil(zoom * float(max(box[2], box[3])))
        return cls(floor(box[0] + box[2] / 2 - side / 2), floor(box[1] + box[3] / 2 - side / 2), side)


def visible_span(start: int, side: int, length: int) -> tuple[int, int, int, int]:
    """Along one axis: visible pixels [first, last) of the picture, their place and extent in the 256 square."""
    first, last = max(0, start), min(length, start + side)
    if last <= first:
        raise ValueError(f"a square from {start} to {start + side} does not touch a picture of {length} pixels")
    ratio = SIZE / side
    place = min(SIZE - 1, floor((first - start) * ratio + 0.5))
    extent = min(SIZE - place, max(1, floor((last - first) * ratio + 0.5)))
    return first, last, place, extent


def look_at(image: np.ndarray, square: Square) -> tuple[torch.Tensor, Callable[[np.ndarray], np.ndarray]]:
    """Network input (1,3,256,256) in [-1,1] for one square, and the map of decoded rows (n,16) back to the picture."""
    x0, x1, left, inner_width = visible_span(square.x, square.side, image.shape[1])
    y0, y1, top, inner_height = visible_span(square.y, square.side, image.shape[0])
    canvas = np.zeros((SIZE, SIZE, 3), np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = resize_uint8(image[y0:y1, x0:x1], inner_height, inner_width)
    scale = np.array([(x1 - x0) / inner_width, (y1 - y0) / inner_height])

    def to_picture(rows: np.ndarray) -> np.ndarray:
        points = rows.reshape(-1, 8, 2) * scale
        points[:, POSITIONS] += np.array([x0, y0]) - np.array([left, top]) * scale
        return points.reshape(-1, 16)

    return torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 127.5 - 1.0, to_picture


# Of the eight pairs of a row, the second is a size; all others are positions.
POSITIONS = [0, 2, 3, 4, 5, 6, 7]


def anchor_centres() -> np.ndarray:
    """(896,2) centres (x, y) in pixels of the 256 square, in the network's order."""
    grids = []
    for side, per_cell in ANCHOR_GRIDS:
        step = (np.arange(side) + 0.5) * (SIZE / side)
        y, x = np.meshgrid(step, step, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(grids)


def decode(raw_scores: np.ndarray, raw_boxes: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs of one picture, (896,) and (896,16) -> scores (n,) and rows (n,16) in pixels of the square.

    A row is centre x, y, width, height, six key points (x, y).
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(raw_scores.astype(np.float64), -100, 100)))
    rows = raw_boxes.astype(np.float64).reshape(-1, 8, 2)
    rows[:, POSITIONS] += anchor_centres()[:, None, :]
    keep = (scores >= threshold) & (rows[:, 1] > 0).all(axis=1)
    return scores[keep], rows[keep].reshape(-1, 16)


def intersection_over_union(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of one box (4,) with others (n,4), all as x, y, width, height."""
    corner = np.maximum(first[:2], others[:, :2])
    inner = np.clip(np.minimum(first[:2] + first[2:], others[:, :2] + others[:, 2:]) - corner, 0, None).prod(axis=1)
    return inner / (first[2:].prod() + others[:, 2:].prod(axis=1) - inner)


def suppress(scores: np.ndarray, rows: np.ndarray, iou_threshold: float = IOU_THRESHOLD) -> list[Face]:
    """Weighted non-maximum suppression of rows (n,16); faces come back by falling score."""
    boxes = np.concatenate([rows[:, 0:2] - rows[:, 2:4] / 2, rows[:, 2:4]], axis=1)
    order = np.argsort(-scores, kind="stable")
    faces = []
    while len(order):
        best = order[0]
        joined = intersection_over_union(boxes[best], boxes[order]) > iou_threshold
        joined[0] = True
        cluster = order[joined]
        weights = scores[cluster] / scores[cluster].sum()
        faces.append(Face(weights @ boxes[cluster], (weights @ rows[cluster, 4:]).reshape(6, 2), float(scores[best])))
        order = order[~joined]
    return faces


def tile_corners(width: int, height: int, side: int) -> list[tuple[int, int]]:
    """Upper left corners of squares with ``side`` that cover the picture with at least half a side of overlap."""

    def starts(length: int) -> list[int]:
        if length <= side:
            return [0]
        count = -(-2 * (length - side) // side) + 1
        return [round(i * (length - side) / (count - 1)) for i in range(count)]

    return [(x, y) for y in starts(height) for x in starts(width)]


def drop_twins(faces: list[Face], iou_threshold: float) -> list[Face]:
    """Faces by falling score without those that overlap a better one."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if not kept or intersection_over_union(face.box, np.stack([k.box for k in kept])).max() <= iou_threshold:
            kept.append(face)
    return kept


class FaceDetector:
    """Finds faces with a loaded BlazeFace network (``forward`` as in ``blazeface_model.BlazeFace``)."""

    def __init__(
        self,
        network: Network,
        candidate_threshold: float = CANDIDATE_THRESHOLD,
        score_threshold: float = SCORE_THRESHOLD,
        iou_threshold: float = IOU_THRESHOLD,
        zoom: float = ZOOM,
    ):
        self.network = network
        self.candidate_threshold = candidate_threshold
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.zoom = zoom

    @torch.inference_mode()
    def look(self, image: np.ndarray, square: Square, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """One pass over one square: scores (n,) and rows (n,16) in pixels of the picture, before suppression."""
        network_input, to_picture = look_at(image, square)
        raw_scores, raw_boxes = self.network(network_input)
        scores, rows = decode(raw_scores[0].numpy(), raw_boxes[0].numpy(), threshold)
        return scores, to_picture(rows)

    def detect(self, image: np.ndarray, tile_side: int | None = None) -> list[Face]:
        """Faces of an RGB picture (H,W,3) uint8, highest score first; an empty list where there is none.

        ``tile_side``: look for candidates in overlapping squares with this side as well. The whole-picture pass finds faces
        down to about 4 % of the longer side; squares of side s find faces down to about 0.04 * s pixels.
        """
        check_rgb(image)
        height, width = image.shape[:2]
        squares = [Square.whole(width, height)]
        if tile_side is not None and tile_side < max(width, height):
            squares += [Square(x, y, tile_side) for x, y in tile_corners(width, height, tile_side)]
        looks = [self.look(image, square, self.candidate_threshold) for square in squares]
        candidates = suppress(np.concatenate([s for s, _ in looks]), np.concatenate([r for _, r in looks]), self.iou_threshold)
        confirmed = [self.look_again(image, candidate) for candidate in candidates]
        return drop_twins([face for face in confirmed if face is not None], self.iou_threshold)

    def look_again(self, image: np.ndarray, candidate: Face) -> Face | None:
        """The candidate as seen from close by, or nothing where the closer look does not confirm it."""
        square = Square.around(candidate.box, self.zoom)
        faces = suppress(*self.look(image, square, self.score_threshold), self.iou_threshold)
        near = [f for f in faces if intersection_over_union(candidate.box, f.box[None])[0] > self.iou_threshold]
        return near[0] if near else None
