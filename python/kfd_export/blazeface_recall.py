"""Recall of the face detector on the nine example photographs of dlib, printed photograph by photograph.

The photographs and their 43 boxes come from Debian's source package ``dlib`` (examples/faces, never redistributed here).
A box counts as found when a detection lies over it with IoU > 0.3, matched one to one by falling IoU; every detection
without a partner is a false positive. dlib's boxes run from the brows to the chin, BlazeFace's from the forehead to the chin,
so that an IoU near 0.6 is a good hit.
"""

import argparse
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image

from .face_detection import Face, FaceDetector, intersection_over_union

BOX_LISTS = ("training.xml", "testing.xml")
MATCH_IOU = 0.3


def read_boxes(folder: Path) -> dict[str, np.ndarray]:
    """Photograph name -> boxes (n,4) as x, y, width, height, from dlib's two XML lists."""
    boxes = {}
    for name in BOX_LISTS:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}: expected the folder examples/faces of dlib's source package")
        for image in ElementTree.parse(folder / name).iter("image"):
            rows = [[float(box.get(key)) for key in ("left", "top", "width", "height")] for box in image.iter("box")]
            boxes[image.get("file")] = np.array(rows).reshape(-1, 4)
    return boxes


def match(truth: np.ndarray, faces: list[Face]) -> list[float]:
    """IoU of every matched pair: greedily by falling IoU, one detection for one box, only above 0.3."""
    if not len(truth) or not faces:
        return []
    overlap = np.stack([intersection_over_union(box, np.stack([face.box for face in faces])) for box in truth])
    matched = []
    while overlap.max() > MATCH_IOU:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        matched.append(float(overlap[row, column]))
        overlap[row, :] = overlap[:, column] = 0
    return matched


def load_detector(weights: Path) -> FaceDetector:
    """The converted detector with the thresholds of its manifest."""
    if not weights.is_file():
        raise FileNotFoundError(f"no model at {weights}: make it with 'python -m kfd_export blazeface'")
    manifest = json.loads(weights.with_suffix(".kfd.json").read_text(encoding="utf-8"))
    network = torch.jit.load(str(weights), map_location="cpu").float().eval()
    face = manifest["face"]
    return FaceDetector(network, face["candidateThreshold"], face["scoreThreshold"], face["iouThreshold"], face["zoom"])


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kfd_export blazeface-recall", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=Path("weights/blazeface-256.pt"))
    parser.add_argument("--photographs", type=Path, required=True, help="examples/faces of dlib's source package")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    detector = load_detector(args.weights)
    overlaps, expected, false_positives = [], 0, 0
    for name, truth in sorted(read_boxes(args.photographs).items()):
        image = np.asarray(Image.open(args.photographs / name).convert("RGB"))
        faces = detector.detect(image)
        matched = match(truth, faces)
        overlaps += matched
        expected += len(truth)
        false_positives += len(faces) - len(matched)
        lowest = f", lowest IoU {min(matched):.2f}" if matched else ""
        print(f"{name}: {len(matched)} of {len(truth)} found, {len(faces) - len(matched)} false{lowest}")
    print(
        f"recall {len(overlaps)} of {expected} at IoU > {MATCH_IOU}, {false_positives} false positives, "
        f"median IoU {np.median(overlaps) if overlaps else 0:.2f}"
    )
    return 0 if len(overlaps) == expected and not false_positives else 1
