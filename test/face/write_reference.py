"""Writes blazeface-reference.json: what the Python reference makes of the two bundled photographs, for face tests in TypeScript.

    PYTHONPATH=python python test/face/write_reference.py

Per photograph: the network's rows for the whole picture that pass the candidate threshold (index, raw score, 16 raw values), the
candidates after suppression, the confirmed faces, and the similarity from picture to canonical crop of the first face.
"""

import json
from pathlib import Path

import numpy as np
import torch
from kfd_export.align import umeyama
from kfd_export.blazeface_recall import load_detector
from kfd_export.face_detection import Square, decode, look_at, suppress
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PHOTOGRAPHS = ("astronaut.jpg", "astronaut-forged.jpg")
TEMPLATE = [[83, 92], [141, 92], [112, 124.5], [112, 153.4]]


def rounded(values: np.ndarray, digits: int = 6) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()


def described(face) -> dict:
    return {"box": rounded(face.box), "keypoints": rounded(face.keypoints), "confidence": round(face.score, 6)}


def reference(name: str) -> dict:
    detector = load_detector(ROOT / "weights" / "blazeface-256.pt")
    image = np.asarray(Image.open(ROOT / "test" / "fixtures" / "photos" / name).convert("RGB"))
    network_input, to_picture = look_at(image, Square.whole(image.shape[1], image.shape[0]))
    with torch.inference_mode():
        raw_scores, raw_boxes = (output[0].numpy() for output in detector.network(network_input))
    scores, rows = decode(raw_scores, raw_boxes, detector.candidate_threshold)
    candidates = suppress(scores, to_picture(rows), detector.iou_threshold)
    kept = np.flatnonzero(1 / (1 + np.exp(-raw_scores.astype(np.float64))) >= detector.candidate_threshold)
    faces = detector.detect(image)
    return {
        "photograph": name,
        "size": [image.shape[1], image.shape[0]],
        "rows": [{"index": int(i), "score": float(raw_scores[i]), "values": raw_boxes[i].tolist()} for i in kept],
        "candidates": [described(face) for face in candidates],
        "faces": [described(face) for face in faces],
        "toCrop": rounded(umeyama(faces[0].keypoints[:4], np.array(TEMPLATE)), 9),
    }


def main() -> None:
    torch.set_num_threads(1)
    content = {"template": TEMPLATE, "photographs": [reference(name) for name in PHOTOGRAPHS]}
    Path(__file__).with_name("blazeface-reference.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
