"""Reads the face store that `kfd_train faces` writes: faces/index.json, one PNG a face, and canonical.json."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

SPLITS = ("train", "calibration", "held-out")


@dataclass
class Face:
    """One photographed face. Coordinates are continuous pixels of `pixels` (pixel (i,j) covers [j,j+1) x [i,i+1))."""

    name: str
    path: Path
    source: str
    identity: str
    split: str
    landmarks: np.ndarray  # (68,2), dlib order
    points: np.ndarray  # (4,2): right eye, left eye, nose tip, mouth centre (BlazeFace)
    native_height: float  # face height in the photograph, pixels

    @cached_property
    def pixels(self) -> np.ndarray:
        """RGB uint8 (H,W,3)."""
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"expected a readable PNG at {self.path}; run `python -m kfd_train faces` again")
        return np.ascontiguousarray(image[..., ::-1])


def read_canonical(folder: Path) -> dict:
    """canonical.json: size, points, template (4,2), meanLandmarks (68,2), regions {name: polygon}."""
    path = Path(folder) / "canonical.json"
    if not path.is_file():
        raise FileNotFoundError(f"expected the canonical template at {path}; run `python -m kfd_train faces --dir {folder}` first")
    canonical = json.loads(path.read_text(encoding="utf-8"))
    for key in ("points", "template", "meanLandmarks", "regions"):
        if key not in canonical:
            raise ValueError(f"expected the key {key!r} in {path}, found {sorted(canonical)}")
    return canonical


def read_photographs(folder: Path) -> list[Path]:
    """Photographs without faces that photographs.json lists, {"photographs": [path relative to the folder, ...]}."""
    listing = Path(folder) / "photographs.json"
    if not listing.is_file():
        raise FileNotFoundError(f"expected the list of photographs without faces at {listing}; write it or set photograph_share to 0")
    return [Path(folder) / name for name in json.loads(listing.read_text(encoding="utf-8"))["photographs"]]


def photograph_credits(folder: Path) -> list[str]:
    """'name, author, licence, package' of each photograph without faces, where photographs.json tells."""
    listing = json.loads((Path(folder) / "photographs.json").read_text(encoding="utf-8"))
    return [f"{Path(d['path']).stem}: {d['author']}, {d['licence']} ({d['package']})" for d in listing.get("details", [])]


def halve_validation(identities: dict[str, str]) -> set[str]:
    """Identities of the calibration half. `identities`: validation identity -> source. Every second identity of each
    source, in order of name, goes to calibration; the astronaut's source has one identity, which stays held out."""
    chosen = set()
    for source in sorted(set(identities.values())):
        names = sorted((name for name, where in identities.items() if where == source), key=lambda name: (len(name), name))
        chosen.update(names[1::2])
    return chosen


def read_faces(folder: Path) -> list[Face]:
    """All faces of the store; the validation identities are divided into `calibration` and `held-out`."""
    root = Path(folder) / "faces"
    index = root / "index.json"
    if not index.is_file():
        raise FileNotFoundError(f"expected the face store at {index}; run `python -m kfd_train faces --dir {folder}` first")
    entries = json.loads(index.read_text(encoding="utf-8"))["faces"]
    validation = {str(e["identity"]): e["source"] for e in entries if e["split"] == "validation"}
    calibration = halve_validation(validation)
    faces = []
    for entry in entries:
        split = entry["split"]
        if split == "validation":
            split = "calibration" if str(entry["identity"]) in calibration else "held-out"
        faces.append(
            Face(
                name=entry["id"],
                path=root / entry["file"],
                source=entry["source"],
                identity=str(entry["identity"]),
                split=split,
                landmarks=np.asarray(entry["landmarks"], np.float32),
                points=np.asarray(entry["keypoints"], np.float32)[:4],
                native_height=float(entry["faceHeight"]),
            )
        )
    overlap = {f.identity for f in faces if f.split == "train"} & {f.identity for f in faces if f.split != "train"}
    if overlap:
        raise ValueError(f"expected identities in one split only, found {sorted(overlap)} in two; rebuild the face store")
    return faces
