"""Drawn faces in the format of the face store, so that the whole training chain can run without any photograph (smoke runs, tests)."""

import json
from pathlib import Path

import cv2
import numpy as np

from .naming import CENTER, WHOLE
from .regions import COMPACT_PARTS

CROP = 320  # side of a drawn picture, pixels
REGIONS = COMPACT_PARTS | {CENTER: [*range(17, 68)], WHOLE: [*range(68)]}


def schematic_landmarks() -> np.ndarray:
    """68 points (dlib order) of a schematic upright face, face width about 1, origin between the eyes."""

    def arc(count: int, centre: tuple[float, float], radii: tuple[float, float], start: float, stop: float) -> np.ndarray:
        angle = np.radians(np.linspace(start, stop, count))
        return np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=1)

    jaw = arc(17, (0, 0.05), (0.52, 0.68), 180, 0)
    right_brow, left_brow = (arc(5, (x, -0.08), (0.15, 0.07), 200, 340) for x in (-0.24, 0.24))
    bridge = np.stack([np.zeros(4), np.linspace(0, 0.22, 4)], axis=1)
    nostrils = arc(5, (0, 0.24), (0.1, 0.04), 180, 0)
    right_eye, left_eye = (arc(7, (x, 0), (0.1, 0.04), 180, 540)[:6] for x in (-0.23, 0.23))
    outer_lips, inner_lips = arc(13, (0, 0.45), (0.19, 0.07), 180, 540)[:12], arc(9, (0, 0.45), (0.12, 0.02), 180, 540)[:8]
    return np.concatenate([jaw, right_brow, left_brow, bridge, nostrils, right_eye, left_eye, outer_lips, inner_lips]).astype(np.float32)


def key_points(landmarks: np.ndarray) -> np.ndarray:
    """Right eye, left eye, nose tip, mouth centre (4,2) from 68 landmarks."""
    return np.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0), landmarks[30], landmarks[48:68].mean(0)])


def draw_face(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One picture, RGB uint8 (CROP,CROP,3), and its landmarks."""
    width = rng.uniform(110, 150)
    tilt = np.radians(rng.uniform(-10, 10))
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    landmarks = (schematic_landmarks() * width) @ turn.T + CROP * np.array([0.5, 0.42]) + rng.uniform(-8, 8, 2)
    landmarks = (landmarks + rng.normal(0, 1, landmarks.shape)).astype(np.float32)
    texture = cv2.resize(rng.normal(0, 1, (40, 40, 3)).astype(np.float32), (CROP, CROP), interpolation=cv2.INTER_CUBIC)
    image = np.full((CROP, CROP, 3), rng.uniform(40, 200, 3), np.float32) + 25 * texture
    skin = rng.uniform(90, 220) * np.array([1.0, 0.82, 0.7])
    head = np.concatenate([landmarks[:17], landmarks[17:27] + (landmarks[27] - landmarks[8]) * 0.5])
    parts = [(head, skin)] + [(landmarks[COMPACT_PARTS[p]], rng.uniform(20, 160, 3)) for p in ("right eye", "left eye", "mouth")]
    for points, shade in parts:
        cv2.fillConvexPoly(image, cv2.convexHull(points).round().astype(np.int32), shade.tolist())
    image += rng.normal(0, 4, image.shape)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.8), 0, 255).astype(np.uint8), landmarks


def write_store(folder: Path, identities: int = 12, seed: int = 0) -> None:
    """Writes faces/ and canonical.json with one drawn face an identity; every third identity is validation."""
    root = Path(folder) / "faces"
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    entries = []
    for i in range(identities):
        image, landmarks = draw_face(rng)
        cv2.imwrite(str(root / f"drawn-{i:03d}.png"), image[..., ::-1])
        entries.append(
            {
                "id": f"drawn-{i:03d}",
                "file": f"drawn-{i:03d}.png",
                "source": "drawn",
                "identity": i,
                "split": "validation" if i % 3 == 0 else "train",
                "landmarks": landmarks.tolist(),
                "keypoints": key_points(landmarks).tolist(),
                "faceHeight": float(np.ptp(landmarks[:, 1])),
            }
        )
    (root / "index.json").write_text(json.dumps({"faces": entries}))
    mean = schematic_landmarks()
    points = key_points(mean)
    scale = 58 / (points[1, 0] - points[0, 0])
    place = lambda p: (p - points[:2].mean(0)) * scale + [112, 92]  # noqa: E731
    canonical = {
        "size": 224,
        "points": ["rightEye", "leftEye", "nose", "mouth"],
        "template": place(points).tolist(),
        "meanLandmarks": place(mean).tolist(),
        "regions": {name: place(cv2.convexHull(mean[part])[:, 0]).tolist() for name, part in REGIONS.items()},
    }
    (Path(folder) / "canonical.json").write_text(json.dumps(canonical))
