"""The BlazeFace converter on a synthetic graph, and the file in weights/ against its manifest."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from kfd_export.blazeface import as_half_precision, convert, convolutions
from kfd_export.blazeface_model import BlazeBlock, BlazeFace
from kfd_export.blazeface_recall import load_detector, match
from kfd_export.face_detection import Face
from kfd_export.files import sha256_of
from kfd_export.onnx_weights import OnnxWeights
from kfd_export.torchscript import save_script

torch.set_num_threads(1)
WEIGHTS = Path(__file__).parents[2] / "weights" / "blazeface-256.pt"


def synthetic_graph(seed: int = 0) -> OnnxWeights:
    """Convolution nodes with the published names and random half-precision weights."""
    generator = np.random.default_rng(seed)
    nodes, tensors = [], []
    for convolution, name in convolutions(BlazeFace()):
        full, inputs = f"StatefulPartitionedCall/functional_1/{name}", ["x"]
        for part, target in (("weight", convolution.weight), ("bias", convolution.bias)):
            if target is not None:
                value = (generator.standard_normal(target.shape) * 0.1).astype(np.float16).astype(np.float32)
                tensors.append(numpy_helper.from_array(value, f"{full}.{part}"))
                inputs.append(f"{full}.{part}")
        nodes.append(helper.make_node("Conv", inputs, [full], name=full))
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 256, 256])
    return OnnxWeights(helper.make_model(helper.make_graph(nodes, "blazeface", [picture], [output], tensors)))


def test_every_weight_of_the_module_comes_from_the_graph():
    graph = synthetic_graph()
    model = convert(graph)
    expected = {name: tensor for name, tensor in graph.tensors.items()}
    used = 0
    for convolution, name in convolutions(model):
        full = f"StatefulPartitionedCall/functional_1/{name}"
        assert torch.equal(convolution.weight, expected[f"{full}.weight"])
        used += 1
        if convolution.bias is not None:
            assert torch.equal(convolution.bias, expected[f"{full}.bias"])
            used += 1
    assert used == len(expected) == len(model.state_dict())


def test_a_graph_of_another_layout_is_refused():
    graph = synthetic_graph()
    graph.nodes.pop("StatefulPartitionedCall/functional_1/conv2d_17/BiasAdd")
    with pytest.raises(KeyError, match="conv2d_17"):
        convert(graph)
    graph = synthetic_graph()
    name = "StatefulPartitionedCall/functional_1/conv2d_36/BiasAdd.weight"
    graph.tensors[name] = graph.tensors[name][:6]
    with pytest.raises(ValueError, match="conv2d_36"):
        convert(graph)


def test_a_halving_block_pads_right_and_below():
    block = BlazeBlock(1, 2, stride=2).requires_grad_(False)
    for parameter in block.parameters():
        parameter.zero_()
    block.depthwise.weight[0, 0, 2, 2] = 1.0  # looks two pixels right and below of the window's corner
    block.pointwise.weight[1] = 1.0
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    pooled, moved = block(x)[0]
    assert pooled.tolist() == [[5, 7], [13, 15]]  # the shortcut alone
    assert moved.tolist() == [[10, 0], [0, 0]]  # the padded channel of the shortcut plus x[2, 2], then the zero border


def test_the_scripted_module_gives_the_same_as_the_eager_one():
    model = convert(synthetic_graph())
    picture = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        scores, boxes = model(picture)
        scripted_scores, scripted_boxes = torch.jit.script(model)(picture)
    assert scores.shape == (2, 896) and boxes.shape == (2, 896, 16)
    torch.testing.assert_close(scripted_scores, scores)
    torch.testing.assert_close(scripted_boxes, boxes)


def test_half_precision_is_refused_where_it_would_change_weights():
    model = convert(synthetic_graph())
    with torch.no_grad():
        model.stem.bias[3] = 1 / 3
    with pytest.raises(ValueError, match="stem.bias"):
        as_half_precision(model)


def test_equal_models_give_equal_files_without_folders_of_the_builder(tmp_path):
    scripts = [torch.jit.script(convert(synthetic_graph())) for _ in range(2)]
    first, second = tmp_path / "a.pt", tmp_path / "b.pt"
    save_script(scripts[0], first)
    save_script(scripts[1], second)
    assert first.read_bytes() == second.read_bytes()
    for path in (first, WEIGHTS):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        assert not any(name.endswith(".debug_pkl") for name in members)
        assert not any(str(Path(__file__).parents[1]).encode() in data or b"site-packages" in data for data in members.values())
    picture = torch.zeros(1, 3, 256, 256)
    torch.testing.assert_close(torch.jit.load(str(first))(picture), scripts[0](picture))


def test_matching_is_one_to_one():
    truth = np.array([[0.0, 0, 10, 10], [30, 0, 10, 10]])
    hit, shifted = (Face(np.array([x, 0.0, 10, 10]), np.zeros((6, 2)), 0.9) for x in (0.0, 2.0))
    assert match(truth, [shifted, hit]) == [1.0]  # the second detection on the first box is not a second hit
    assert match(truth, []) == [] and match(np.zeros((0, 4)), [hit]) == []


def test_the_shipped_file_agrees_with_its_manifest():
    manifest = json.loads(WEIGHTS.with_suffix(".kfd.json").read_text(encoding="utf-8"))
    assert manifest["kind"] == "face" and manifest["licence"] == "Apache-2.0"
    assert manifest["bytes"] == WEIGHTS.stat().st_size and manifest["sha256"] == sha256_of(WEIGHTS)
    model = torch.jit.load(str(WEIGHTS), map_location="cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float16}
    assert set(model.state_dict()) == set(BlazeFace().state_dict())


def drawn_face(side: int = 360) -> np.ndarray:
    """A cartoon portrait on grey ground, 640 x 480: enough for the real network to call it a face."""
    import cv2

    image = np.full((480, 640, 3), 150, np.uint8)
    centre = (320, 240)
    skin, dark = (224, 172, 140), (60, 40, 30)
    cv2.ellipse(image, (320, 200), (side // 3, side // 3), 0, 180, 360, dark, -1)
    cv2.ellipse(image, centre, (side * 3 // 10, side * 2 // 5), 0, 0, 360, skin, -1)
    for sign in (-1, 1):
        eye = (320 + sign * side // 8, 215)
        cv2.ellipse(image, eye, (side // 16, side // 30), 0, 0, 360, (250, 250, 250), -1)
        cv2.circle(image, eye, side // 36, dark, -1)
        cv2.ellipse(image, (eye[0], eye[1] - side // 14), (side // 13, side // 60), 0, 0, 360, dark, -1)
    cv2.ellipse(image, (320, 268), (side // 26, side // 40), 0, 0, 360, (190, 130, 105), -1)
    cv2.ellipse(image, (320, 312), (side // 10, side // 40), 0, 0, 360, (170, 70, 70), -1)
    return cv2.GaussianBlur(image, (0, 0), 2)


def test_the_shipped_network_sees_a_drawn_face_and_nothing_in_noise():
    detector = load_detector(WEIGHTS)
    (face,) = detector.detect(drawn_face())
    right_eye, left_eye, nose, mouth = face.keypoints[:4]
    np.testing.assert_allclose(right_eye, [275, 215], atol=18)
    np.testing.assert_allclose(left_eye, [365, 215], atol=18)
    assert right_eye[1] < nose[1] < mouth[1]
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    assert detector.detect(noise) == []
    assert detector.detect(np.zeros((64, 64, 3), np.uint8)) == []


def test_a_missing_model_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="kfd_export blazeface"):
        load_detector(tmp_path / "none.pt")
