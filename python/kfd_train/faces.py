"""The face store: one lossless PNG and one index entry for every face of the training sources.

``python -m kfd_train faces --dir DIR`` reads what ``kfd_train sources`` fetched and writes ``DIR/faces/*.png``,
``DIR/faces/index.json`` and a contact sheet ``DIR/faces.png``. How faces are found and grouped: spec/mini-kfd.md section 2.

Index entry (positions are pixels of the stored crop; pixel (i,j) covers [j,j+1) x [i,i+1)):
    id, file            name; PNG beside the index
    source, photo       which source, which photograph of it
    identity, group     number of the person; number of the group that must not be split (same person or same photograph)
    split               "train" or "validation"
    landmarks           68 x (x, y), iBUG order, from dlib's predictor
    landmarksFrom       "hog" or "blazeface": the detector whose box the predictor started from
    keypoints, box      six BlazeFace key points (x, y) and its box x, y, width, height
    keypointsFrom       "blazeface", or "landmarks" where BlazeFace missed the face (key points then derived, ears and box rough)
    score               BlazeFace's score, null where it missed the face
    faceHeight          height of the landmarks' bounding box in the photograph, pixels
    offset, scale       crop = (photograph - offset) * scale, per axis
"""

import argparse
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from kfd_export.blazeface_recall import load_detector
from kfd_export.face_detection import Face, FaceDetector, intersection_over_union
from kfd_export.files import write_json, write_whole
from kfd_export.resampling import resize_uint8

from .sources import unpacked

SEED = 7
HOG_SCORE = 0.1  # enough where BlazeFace sees the face as well
HOG_SCORE_ALONE = 0.5  # where it does not: below this HOG also fires on badges and buttons
MIN_FACE_SIDE = 44  # HOG box in photograph pixels
DUPLICATE_DISTANCE = 0.22  # dlib embedding: the same photograph of a face at another size
IDENTITY_DISTANCE = 0.5
VALIDATION_SHARE = 0.3
CROP_FACTOR = 3.0
CROP_SIDE = 512
# A collage (its borders are true splices) and a press photograph: neither may stand for "untouched".
LEFT_OUT = ("bald_guys.jpg", "Tom_Cruise_avp_2014_4.jpg")
# dlib's HOG box from BlazeFace's box: centre shift and side as shares of BlazeFace's side (median over faces that both find).
HOG_FROM_BLAZEFACE = (0.0, -0.03, 0.98)
MIN_BLAZEFACE_SCORE = 0.85


@dataclass
class StoredFace:
    """One face on its way into the store; positions in photograph pixels until ``cut``."""

    source: str
    photo: str
    person: str | None  # known beforehand (dlib's johns), else None
    landmarks: np.ndarray  # (68,2)
    landmarks_from: str
    embedding: np.ndarray  # (128,)
    detected: Face | None
    image: np.ndarray = field(repr=False)
    identity: int = -1
    group: int = -1
    split: str = ""

    @property
    def size(self) -> float:
        return float(np.ptp(self.landmarks, axis=0).max())


def photographs(root: Path) -> list[tuple[str, Path, str | None]]:
    """(source, file, person where known) of every photograph with faces, in a fixed order."""
    patterns = {
        "face-api": ("face-api", "package/demo/sample*.jpg"),
        "tabler-ui": ("tabler-ui", "package/dist/demo/faces/*/*.jpg"),
        "admin-lte": ("admin-lte", "package/dist/img/user*.jpg"),
        "scikit-image": ("scikit-image", "skimage/data/astronaut.png"),
        "dlib-faces": ("dlib", "*/examples/faces/*.jpg"),
        "dlib-johns": ("dlib", "*/examples/johns/*/*.jpg"),
    }
    listed = []
    for name, (source, pattern) in patterns.items():
        paths = sorted(unpacked(root, source).glob(pattern))
        if not paths:
            raise FileNotFoundError(f"source '{source}' holds nothing like '{pattern}': run 'python -m kfd_train sources' again")
        listed += [(name, path, path.parent.name if name == "dlib-johns" else None) for path in paths if path.name not in LEFT_OUT]
    return listed


class Landmarker:
    """dlib's HOG detector, 68-point predictor and face embedding on one photograph at a time."""

    def __init__(self, root: Path):
        models = unpacked(root, "dlib")
        # Imported here: only building the store needs dlib, reading and testing it does not.
        try:
            import dlib
        except ImportError as error:
            raise ImportError("the face store is built with dlib: pip install -r python/requirements.txt") from error
        self.rectangle = dlib.rectangle
        self.hog = dlib.get_frontal_face_detector()
        self.predictor = dlib.shape_predictor(str(next(models.glob("*/shape_predictor_68_face_landmarks.dat"))))
        self.embedder = dlib.face_recognition_model_v1(str(next(models.glob("*/dlib_face_recognition_resnet_model_v1.dat"))))

    def working_copy(self, image: np.ndarray) -> np.ndarray:
        """HOG sees faces of about 80 px best: large photographs are reduced to 1600 px, small ones doubled."""
        height, width = image.shape[:2]
        factor = min(1.0, 1600 / max(height, width)) if max(height, width) >= 260 else 2.0
        return resize_uint8(image, round(height * factor), round(width * factor))

    def hog_boxes(self, image: np.ndarray) -> list[tuple[Any, float]]:
        boxes, scores, _ = self.hog.run(image, 1, HOG_SCORE)
        return list(zip(boxes, scores, strict=True))

    def points_and_embedding(self, image: np.ndarray, box: Any) -> tuple[np.ndarray, np.ndarray]:
        shape = self.predictor(image, box)
        # dlib's coordinates name pixel centres; ours put the centre of pixel 0 at 0.5.
        points = np.array([(p.x, p.y) for p in shape.parts()], np.float64) + 0.5
        return points, np.array(self.embedder.compute_face_descriptor(image, shape, 1))


def partner(landmarks: np.ndarray, faces: list[Face]) -> Face | None:
    """The detection whose box agrees best with the landmarks' bounding box, if any does at IoU > 0.3."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    box = np.concatenate([low, high - low])
    overlaps = [intersection_over_union(box, face.box[None])[0] for face in faces]
    return faces[int(np.argmax(overlaps))] if overlaps and max(overlaps) > 0.3 else None


def hog_like_box(face: Face, factor: float) -> tuple[int, int, int, int]:
    """Where HOG would have put its box, from BlazeFace's: left, top, right, bottom in pixels of the working copy."""
    shift_x, shift_y, share = HOG_FROM_BLAZEFACE
    side = float(face.box[2:].mean())
    centre = (face.box[:2] + face.box[2:] / 2 + np.array([shift_x, shift_y]) * side) * factor
    half = side * share * factor / 2
    return tuple(round(v) for v in (*(centre - half), *(centre + half)))


def eyes_agree(landmarks: np.ndarray, face: Face) -> bool:
    """Whether predictor and detector see the same eyes: within 12 % of the distance between them."""
    eyes = np.stack([landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)])
    distance = np.linalg.norm(eyes[1] - eyes[0])
    return bool(np.linalg.norm(eyes - face.keypoints[:2], axis=1).max() < 0.12 * distance)


def faces_of_photograph(name: str, path: Path, person: str | None, tools: tuple[Landmarker, FaceDetector]) -> list[StoredFace]:
    landmarker, detector = tools
    image = np.asarray(Image.open(path).convert("RGB"))
    copy = landmarker.working_copy(image)
    factor = copy.shape[1] / image.shape[1]
    detected = detector.detect(image)
    photo = f"{path.parent.name}/{path.name}"
    stored: list[StoredFace] = []
    for box, score in landmarker.hog_boxes(copy):
        if box.width() / factor >= MIN_FACE_SIDE:
            points, embedding = landmarker.points_and_embedding(copy, box)
            seen = partner(points / factor, detected)
            if seen is not None or score >= HOG_SCORE_ALONE:
                stored.append(StoredFace(name, photo, person, points / factor, "hog", embedding, seen, image))
    for face in detected:
        # Turned faces that HOG misses, where the two networks agree about the eyes.
        known = any(entry.detected is face or partner(entry.landmarks, [face]) for entry in stored)
        if not known and face.score >= MIN_BLAZEFACE_SCORE and face.box[3] >= MIN_FACE_SIDE:
            points, embedding = landmarker.points_and_embedding(copy, landmarker.rectangle(*hog_like_box(face, factor)))
            if eyes_agree(points / factor, face):
                stored.append(StoredFace(name, photo, person, points / factor, "blazeface", embedding, face, image))
    return stored


def without_duplicates(faces: list[StoredFace]) -> list[StoredFace]:
    """The largest copy of every picture of a face."""
    kept: list[StoredFace] = []
    for face in sorted(faces, key=lambda f: -f.size):
        if all(np.linalg.norm(face.embedding - other.embedding) >= DUPLICATE_DISTANCE for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda f: (f.source, f.photo, f.landmarks[0, 0]))


def components(count: int, linked: Callable[[int, int], bool]) -> list[int]:
    """Connected components of 0..count-1 under ``linked(i, j)``, numbered in order of first member."""
    label = list(range(count))
    for i in range(count):
        for j in range(i):
            if label[i] != label[j] and linked(i, j):
                old, new = max(label[i], label[j]), min(label[i], label[j])
                label = [new if value == old else value for value in label]
    numbers = {value: number for number, value in enumerate(dict.fromkeys(label))}
    return [numbers[value] for value in label]


def assign_groups(faces: list[StoredFace]) -> None:
    """Number persons (known name or close embedding) and groups (same person or same photograph)."""

    def same_person(i: int, j: int) -> bool:
        first, second = faces[i], faces[j]
        if first.person and second.person:
            return first.person == second.person
        if first.photo == second.photo and first.source == second.source:
            return False  # two faces of one photograph are two persons, however alike
        return bool(np.linalg.norm(first.embedding - second.embedding) < IDENTITY_DISTANCE)

    identities = components(len(faces), same_person)
    groups = components(
        len(faces), lambda i, j: identities[i] == identities[j] or (faces[i].source, faces[i].photo) == (faces[j].source, faces[j].photo)
    )
    for face, identity, group in zip(faces, identities, groups, strict=True):
        face.identity, face.group = identity, group


def assign_split(faces: list[StoredFace]) -> None:
    """Whole groups to validation, source by source, until about 30 % of the source's persons are there; the astronaut always."""
    generator = random.Random(SEED)
    members: dict[int, list[StoredFace]] = {}
    for face in faces:
        members.setdefault(face.group, []).append(face)
    by_source: dict[str, list[int]] = {}
    for group, inside in members.items():
        by_source.setdefault(inside[0].source, []).append(group)
    for source in sorted(by_source):
        groups = sorted(by_source[source])
        generator.shuffle(groups)
        persons = {group: len({face.identity for face in members[group]}) for group in groups}
        target = VALIDATION_SHARE * sum(persons.values())
        taken = 0
        for group in groups:
            # Take the group if that brings the count nearer to the target than leaving it.
            chosen = source == "scikit-image" or abs(taken + persons[group] - target) < abs(taken - target)
            taken += persons[group] if chosen else 0
            for face in members[group]:
                face.split = "validation" if chosen else "train"


def derived_keypoints(landmarks: np.ndarray) -> np.ndarray:
    """Six key points from 68 landmarks: eye centres, nose tip, mouth centre, and the jaw's upper ends for the ears."""
    return np.stack([landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0), landmarks[30], landmarks[48:68].mean(axis=0),
                     landmarks[0], landmarks[16]])  # fmt: skip


def cut(face: StoredFace, name: str, folder: Path) -> dict:
    """Write the crop of one face and return its index entry."""
    height, width = face.image.shape[:2]
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    centre, reach = (low + high) / 2, CROP_FACTOR / 2 * face.size
    x0, y0 = np.floor(np.maximum(centre - reach, 0)).astype(int)
    x1, y1 = np.ceil(np.minimum(centre + reach, [width, height])).astype(int)
    factor = min(1.0, CROP_SIDE / max(x1 - x0, y1 - y0))
    crop = resize_uint8(face.image[y0:y1, x0:x1], round((y1 - y0) * factor), round((x1 - x0) * factor))
    scale = np.array([crop.shape[1] / (x1 - x0), crop.shape[0] / (y1 - y0)])
    keypoints = face.detected.keypoints if face.detected else derived_keypoints(face.landmarks)
    box = face.detected.box if face.detected else np.concatenate([low, high - low])
    write_whole(folder / f"{name}.png", lambda path: Image.fromarray(crop).save(path, optimize=True))

    def in_crop(points: np.ndarray) -> list:
        return np.round((points - [x0, y0]) * scale, 2).tolist()

    return {
        "id": name, "file": f"{name}.png", "source": face.source, "photo": face.photo,
        "identity": face.identity, "group": face.group, "split": face.split,
        "landmarks": in_crop(face.landmarks), "landmarksFrom": face.landmarks_from,
        "keypoints": in_crop(keypoints), "box": in_crop(box[:2]) + np.round(box[2:] * scale, 2).tolist(),
        "keypointsFrom": "blazeface" if face.detected else "landmarks",
        "score": round(face.detected.score, 4) if face.detected else None,
        "faceHeight": round(float(high[1] - low[1]), 1),
        "offset": [int(x0), int(y0)], "scale": np.round(scale, 6).tolist(),
    }  # fmt: skip


def contact_sheet(entries: list[dict], folder: Path, side: int = 120, columns: int = 14) -> Image.Image:
    """All faces ordered by person: landmarks green, key points red, validation framed in blue, the person's number below."""
    sheet = Image.new("RGB", (columns * side, -(-len(entries) // columns) * (side + 12)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, entry in enumerate(sorted(entries, key=lambda e: (e["identity"], e["id"]))):
        picture = Image.open(folder / entry["file"])
        # Show the face itself, not the whole generous crop.
        points = np.array(entry["landmarks"])
        centre, reach = (points.min(axis=0) + points.max(axis=0)) / 2, 0.8 * np.ptp(points, axis=0).max()
        tile = picture.crop(tuple(np.round([*(centre - reach), *(centre + reach)]).astype(int))).resize((side, side))
        left, top = index % columns * side, index // columns * (side + 12)
        sheet.paste(tile, (left, top))
        for colour, marks in (("lime", points), ("red", np.array(entry["keypoints"]))):
            for x, y in (marks - centre + reach) * side / (2 * reach):
                if 0 <= x < side and 0 <= y < side:
                    draw.point((left + x, top + y), colour)
        if entry["split"] == "validation":
            draw.rectangle((left, top, left + side - 1, top + side - 1), outline="blue", width=2)
        mark = "" if entry["keypointsFrom"] == "blazeface" else " L"
        draw.text((left + 2, top + side), f"{entry['identity']} {entry['source'][:9]}{mark}", "black")
    return sheet


def report(entries: list[dict]) -> None:
    for source in sorted({e["source"] for e in entries}) + [""]:
        chosen = [e for e in entries if source in ("", e["source"])]
        heights = [e["faceHeight"] for e in chosen]
        split = {s: [e for e in chosen if e["split"] == s] for s in ("train", "validation")}
        print(f"{source or 'all':14s} faces {len(chosen):3d} persons {len({e['identity'] for e in chosen}):3d}  "
              + "  ".join(f"{s} {len(v)}/{len({e['identity'] for e in v})}" for s, v in split.items())
              + f"  height {min(heights):.0f}/{np.median(heights):.0f}/{max(heights):.0f} px"
              + f"  missed by BlazeFace {sum(e['keypointsFrom'] == 'landmarks' for e in chosen)}")  # fmt: skip


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kfd_train faces", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="folder of the training material")
    parser.add_argument("--detector", type=Path, default=Path("weights/blazeface-256.pt"))
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    tools = (Landmarker(args.dir), load_detector(args.detector))
    found = [face for name, path, person in photographs(args.dir) for face in faces_of_photograph(name, path, person, tools)]
    faces = without_duplicates(found)
    print(f"{len(found)} faces found, {len(found) - len(faces)} duplicates left out")
    assign_groups(faces)
    assign_split(faces)
    folder, incoming = args.dir / "faces", args.dir / ".faces.incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    entries = [cut(face, f"{face.source}-{index:03d}", incoming) for index, face in enumerate(faces)]
    write_json(incoming / "index.json", {"schema": "kfd.faces/1", "seed": SEED, "faces": entries})
    shutil.rmtree(folder, ignore_errors=True)
    incoming.rename(folder)
    sheet = contact_sheet(entries, folder)
    write_whole(args.dir / "faces.png", lambda path: sheet.save(path))
    report(entries)
    print(f"store: {sum(p.stat().st_size for p in folder.iterdir()) / 2**20:.1f} MiB")
    return 0
