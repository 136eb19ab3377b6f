"""Writes the reference cases of the plain engine: outputs and hooks of small models (`python -m oracles`).

Expected values are computed in float64 from the float32 weights, so a float32 error of 1e-5 means what it says.
"""

import copy
import warnings
from pathlib import Path

import torch
from torch import nn

from . import kfd, pictures
from .case_writer import CaseWriter
from .probes import walk
from .vit import VisionTransformer, VitConfig, make_vit

# name -> (configuration, features that the engine must report)
VARIATIONS: dict[str, tuple[VitConfig, list[str]]] = {
    "plain": (VitConfig(), []),
    "plain_timm_methods": (VitConfig(timm_methods=True, sequential=True), []),
    "layer_scale_registers": (
        VitConfig(layer_scale=True, registers=4, position="class+patches"),
        ["layer-scale", "register-tokens"],
    ),
    "dinov2_like": (VitConfig(layer_scale=True, patch=7, height=56, width=56, sequential=True), ["layer-scale"]),
    "distilled": (VitConfig(distilled=True), ["distillation-token"]),
    "clip_like": (VitConfig(norm_pre=True, activation="quick_gelu", eps=1e-5), ["norm-pre"]),
    "non_square": (VitConfig(height=32, width=72, registers=2), ["non-square-grid", "register-tokens"]),
    "patch_positions": (
        VitConfig(position="patches", fc_norm=True, registers=1),
        ["pos-embed-without-class", "fc-norm", "average-pool", "register-tokens"],
    ),
    "qk_norm": (VitConfig(qk_norm=True, qkv_bias=False, activation="gelu_tanh"), ["qk-norm"]),
    "attention_norm": (VitConfig(attention_norm=True), ["attn-norm"]),
    "no_class_token": (VitConfig(class_token=False), ["no-class-token"]),
}
FROZEN_ATTRIBUTES = ["blocks", "patch_embed", "norm", "head", "cls_token", "pos_embed"]
BATCH = 3


def quiet(function, *arguments, **keywords):
    """TorchScript's deprecation and tracer warnings are known and not about this code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **keywords)


def write_expected(case: CaseWriter, model: nn.Module, config: VitConfig, image: torch.Tensor) -> None:
    """Image, direction and everything that the hooks return, plus the terms of the identities I2 and I3."""
    exact = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(7)
    one = torch.randn(config.dim, generator=generator)
    each = torch.randn(config.depth, config.dim, generator=generator)
    case.array("image", image)
    case.array("direction", one)
    case.array("directions", each)
    values = walk(exact, image.double(), one.double().expand(config.depth, -1))
    for name, value in values.items():
        case.array(f"expected.{name}", value)
    case.array("expected.contribution_each", walk(exact, image.double(), each.double())["contribution"])

    # Class rows of what each branch adds (spec/daam.md I2, I3) and the bias that contributions leave out.
    attention_update, mlp_update, bias = [], [], []
    x = values["tokens.in"]
    for block in exact.blocks:
        update = block.ls1(block.attn(block.norm1(x)))
        after = block(x)
        attention_update.append(update[:, 0])
        mlp_update.append((after - x - update)[:, 0])
        bias.append(block.ls1(block.attn.proj.bias))
        x = after
    case.array("terms.attention_update", torch.stack(attention_update))
    case.array("terms.mlp_update", torch.stack(mlp_update))
    case.array("terms.projection_bias", torch.stack(bias))


def describe(case: CaseWriter, config: VitConfig, features: list[str]) -> None:
    for key in ("width", "height", "heads"):
        case.set(key, getattr(config, key))
    for feature in features:
        case.expect("feature", feature)
    prefix = int(config.class_token) + int(config.distilled) + config.registers
    for key, value in {
        "depth": config.depth, "dim": config.dim, "heads": config.heads, "classes": config.classes,
        "prefix_tokens": prefix, "activation": config.activation, "eps": config.eps,
        "class_token": int(config.class_token), "contribution": int(not config.attention_norm),
    }.items():  # fmt: skip
        case.expect(key, value)


def write_variation(root: Path, name: str, config: VitConfig, features: list[str], seed: int) -> None:
    case = CaseWriter(root, f"vit_{name}")
    model = make_vit(config, seed)
    image = torch.randn(BATCH, 3, config.height, config.width, generator=torch.Generator().manual_seed(seed))
    describe(case, config, features)
    case.expect("execution", "own-blocks")
    scripted = quiet(torch.jit.script, model)
    case.model("scripted", scripted)
    if not config.timm_methods:
        case.model("traced", quiet(torch.jit.trace, model, image[:2]))
    if name == "plain":
        case.model("preserved", quiet(torch.jit.freeze, scripted, preserved_attrs=FROZEN_ATTRIBUTES))
    write_expected(case, model, config, image)
    case.close()


def write_black_boxes(root: Path) -> None:
    """A block with a child outside the known set: its own forward is called, the attention is still known."""
    config = VitConfig(unknown_child=True, layer_scale=True)
    case = CaseWriter(root, "vit_black_box")
    model = make_vit(config, 31)
    image = torch.randn(BATCH, 3, config.height, config.width, generator=torch.Generator().manual_seed(31))
    describe(case, config, ["layer-scale"])
    case.expect("execution", "black-box-blocks")
    case.model("scripted", quiet(torch.jit.script, model))
    case.model("traced", quiet(torch.jit.trace, model, image[:2]))
    write_expected(case, model, config, image)
    case.close()


class RelativeBias(nn.Module):
    """Attention with a tensor of its own, which the engine cannot know."""

    def __init__(self, attention: nn.Module, tokens: int):
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.num_heads: int = attention.num_heads
        self.head_dim: int = attention.head_dim
        self.relative_position_bias = nn.Parameter(torch.randn(attention.num_heads, tokens, tokens))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, N, D = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attention = (q @ k.transpose(-2, -1) * self.head_dim**-0.5 + self.relative_position_bias).softmax(-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(B, N, D))


def write_unknown_attention(root: Path) -> None:
    """Logits, class tokens and token outputs work; attention hooks must be refused."""
    config = VitConfig()
    model = make_vit(config, 32)
    for block in model.blocks:
        block.attn = RelativeBias(block.attn, 37)
    model.eval().requires_grad_(False)
    case = CaseWriter(root, "refused_attention")
    describe(case, config, [])
    case.model("scripted", quiet(torch.jit.script, model))
    image = torch.randn(1, 3, config.height, config.width, generator=torch.Generator().manual_seed(32))
    case.array("image", image)
    case.array("expected.logits", model(image))
    case.close()


class ScaledLogits(VisionTransformer):
    """Does something outside patch_embed, blocks, norm and head: only the check of the whole forward can see it."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.tokens(image)
        for block in self.blocks:
            x = block(x)
        return 2 * self.classify(x)


def write_refused(root: Path) -> None:
    """Files that must be refused, each with its own message."""
    config = VitConfig()
    model = make_vit(config, 41)
    case = CaseWriter(root, "refused")
    for key in ("width", "height"):
        case.set(key, getattr(config, key))
    case.model("frozen", quiet(torch.jit.freeze, quiet(torch.jit.script, model)))
    case.model("traced", quiet(torch.jit.trace, model, torch.zeros(2, 3, 48, 48)))
    case.model("scripted", quiet(torch.jit.script, model))
    case.model("other", quiet(torch.jit.script, nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()))
    case.model("sneaky", quiet(torch.jit.script, ScaledLogits(config).eval()))
    case.close()
    (case.folder / "garbage.pt").write_bytes(b"not a TorchScript archive")
    whole = (case.folder / "scripted.pt").read_bytes()
    (case.folder / "truncated.pt").write_bytes(whole[: len(whole) // 2])


def write_kfd(root: Path) -> None:
    image = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(5))
    for name, with_prompts in (("kfd", False), ("kfd_prompts", True)):
        model = kfd.make_kfd(5, with_prompts)
        half = copy.deepcopy(model).half()  # as stored; the expected values come from the rounded weights
        case = CaseWriter(root, name)
        for key, value in {"width": 224, "height": 224}.items():
            case.set(key, value)
        case.model("scripted", quiet(torch.jit.script, half))
        case.array("image", image)
        for key, value in kfd.expected(copy.deepcopy(half).double(), image.double()).items():
            case.array(f"expected.{key}", value)
        case.close()


class TwoOutputs(nn.Module):
    """A module of unknown make with fixed shapes: tensor in, tuple out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.conv(x)
        return y, y.mean([2, 3])


def write_module(root: Path) -> None:
    torch.manual_seed(6)
    model = TwoOutputs().eval().requires_grad_(False)
    case = CaseWriter(root, "module")
    case.set("width", 20)
    case.set("height", 16)
    case.model("scripted", quiet(torch.jit.script, model))
    image = torch.randn(1, 3, 16, 20)
    case.array("image", image)
    for i, output in enumerate(model(image)):
        case.array(f"expected.output{i}", output)
    case.close()


def write(root: Path) -> None:
    for i, (name, (config, features)) in enumerate(VARIATIONS.items()):
        write_variation(root, name, config, features, seed=i + 1)
    write_black_boxes(root)
    write_unknown_attention(root)
    write_refused(root)
    write_kfd(root)
    write_module(root)
    pictures.write(root)
