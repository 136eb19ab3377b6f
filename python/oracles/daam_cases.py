"""Writes the attention-flow cases `daam_<name>` that the engine and the command are compared with, in float64.

B = 2 images, L blocks, T targets, N tokens, H heads, D width, C classes; the block axis comes first. A case is a folder
in the format of case_writer.py and holds

    model scripted, image [B,3,H,W], expected.logits [B,C] (detector: expected.p [B,2]), expected.feature [B,D]
    set targets T; set target.<t>.name, target.<t>.kind (FlowTarget); target.<t>.weights [B,C] or [B,D]
    expected.y [T,B]   the linear form <weights, logits or feature>, or Y itself where there are no weights
    expected.Y [T,B]   the target's own value
    <rows>.<coefficients>.<array>   rows class|all; coefficients gradient|class-row|direct; arrays of daam_flow.py
    all.gradient.C_rows [L,T,B,N,D]   not in daam_trained
    baseline.attention [L,B,H,N], baseline.rollout [L,B,N], baseline.gradcam [T,B,N]
    render.linear, render.sigmoid   uint8 [T,B,L,h,w], of the accumulated max(U_relu,0) of class.gradient (all.gradient
                                    where no row is the class token's)
    seed.<block> [T,B,N,D]          detector: dY/dX at the output of every block that a target reads

A combination without meaning is absent: rows `class` without a class token; `class-row` and `class.direct` where the
head does not read the class token; `direct` where a norm stands before the attention's projection.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import daam_flow, daam_kfd, daam_render, daam_tape, daam_targets, daam_trained, kfd
from .case_writer import CaseWriter
from .daam_targets import Target
from .reference_vits import VARIATIONS, describe, quiet
from .vit import VisionTransformer, VitConfig, make_vit

BATCH = 2


def accumulated_maps(U: Tensor, prefix: int, grid: tuple[int, int]) -> np.ndarray:
    """U (L,...,N) of all tokens -> running sums of max(U,0) over the patches (L,...,h,w)."""
    return U[..., prefix:].clamp(min=0).cumsum(0).unflatten(-1, grid).numpy()


def write_renderings(case: CaseWriter, U_relu: Tensor, prefix: int, grid: tuple[int, int]) -> None:
    maps = accumulated_maps(U_relu, prefix, grid)  # (L,T,B,h,w)
    for name, render in (("linear", daam_render.linear), ("sigmoid", daam_render.sigmoid)):
        rendered = [[render(maps[:, t, b]) for b in range(maps.shape[2])] for t in range(maps.shape[1])]
        case.array(f"render.{name}", np.array(rendered))


def passes(model: VisionTransformer, image: Tensor, targets: list[Target], rows: bool = True) -> dict[str, Tensor]:
    """Every array of the flow of a vision transformer or of a detector's encoder; without `rows` no C_rows."""
    tapes = daam_tape.run(model, image)
    every, heads_rows = list(range(tapes[0].x.shape[1])), daam_tape.head_rows(model)
    coefficients = [daam_flow.reverse(tapes, target) for target in targets]
    out: dict[str, Tensor] = {}

    def keep(name: str, results: list[daam_flow.Arrays]) -> None:
        for array, values in daam_flow.stack_targets(results).items():
            out[f"{name}.{array}"] = values

    keep("all.gradient", [daam_flow.maps(tapes, C, every) for C in coefficients])
    if rows:
        out["all.gradient.C_rows"] = torch.stack([torch.stack(C) for C in coefficients], 1)
    additive = isinstance(model.blocks[0].attn.norm, nn.Identity)  # a norm before the projection has its own scale
    if additive:
        keep("all.direct", [daam_flow.direct(model, tapes, target, every) for target in targets])
    for name, values in daam_flow.baselines(tapes, targets).items():
        out[f"baseline.{name}"] = values
    if heads_rows:
        keep("class.gradient", [daam_flow.maps(tapes, C, heads_rows) for C in coefficients])
    if heads_rows and not model.average:
        alone = daam_tape.run_rows_alone(model, tapes, heads_rows)
        keep("class.class-row", [daam_flow.maps(alone, daam_flow.reverse(alone, t), heads_rows) for t in targets])
        if additive:
            keep("class.direct", [daam_flow.direct(model, tapes, target, heads_rows) for target in targets])
    return out


def write_flow(case: CaseWriter, model: VisionTransformer, image: Tensor, targets: list[Target], rows: bool = True) -> None:
    """Targets and every pass; `model` and `image` in float64."""
    states = [t.output.detach() for t in daam_tape.run(model, image)]
    case.set("targets", len(targets))
    for t, target in enumerate(targets):
        case.set(f"target.{t}.name", target.name)
        case.set(f"target.{t}.kind", target.kind)
        if target.weights is not None:
            case.array(f"target.{t}.weights", target.weights)
    exact = torch.stack([t.value(states) for t in targets])
    case.array("expected.Y", exact)
    linear = [t.value(states) if t.weights is None else t.linear(model, states[-1]) for t in targets]
    case.array("expected.y", torch.stack(linear))
    case.array("expected.feature", daam_tape.feature(model, states[-1]))
    arrays = passes(model, image, targets, rows)
    for name, values in arrays.items():
        case.array(name, values)
    h, w = (image.shape[2 + i] // model.patch_embed.proj.kernel_size[i] for i in (0, 1))
    shown = "class.gradient.U_relu" if "class.gradient.U_relu" in arrays else "all.gradient.U_relu"
    write_renderings(case, arrays[shown], model.prefix, (h, w))


def write_vit(root: Path, name: str, config: VitConfig, features: list[str], seed: int) -> None:
    model = make_vit(config, seed)
    image = torch.randn(BATCH, 3, config.height, config.width, generator=torch.Generator().manual_seed(seed))
    case = CaseWriter(root, f"daam_{name}")
    describe(case, config, features)
    case.model("scripted", quiet(torch.jit.script, model))
    case.array("image", image)
    exact = copy.deepcopy(model).double()
    last = daam_tape.run(exact, image.double())[-1].output.detach()
    case.array("expected.logits", exact(image.double()))
    write_flow(case, exact, image.double(), daam_targets.vit_targets(exact, last, seed))
    for array, values in daam_targets.bank_arrays(exact, last, seed).items():
        case.array(array, values)
    case.close()


def write_seeds(case: CaseWriter, states: list[Tensor], targets: list[Target]) -> None:
    seeds = [daam_kfd.seeds(states, target) for target in targets]
    for block in sorted({block for found in seeds for block in found}):
        zero = torch.zeros_like(states[0])
        case.array(f"seed.{block}", torch.stack([found.get(block, zero) for found in seeds]))


def write_kfd(root: Path, name: str, embedding: int, seed: int) -> None:
    model = kfd.make_kfd(seed, False, embedding)
    image = torch.randn(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(seed))
    case = CaseWriter(root, f"daam_{name}")
    for key in ("width", "height"):
        case.set(key, 224)
    half = copy.deepcopy(model).half()  # as detectors are stored; expected values come from the rounded weights
    case.model("scripted", quiet(torch.jit.script, half))
    case.array("image", image)
    detector = daam_kfd.detector_of(half)
    states = [t.output.detach() for t in daam_tape.run(detector.encoder, image.double())]
    targets = detector.targets(states[-1], seed)
    case.array("expected.p", half(image.double())[0])
    write_flow(case, detector.encoder, image.double(), targets)
    write_seeds(case, states, targets)
    case.close()


def write_trained(root: Path) -> None:
    """The bundled detector, the one trained transformer here: random weights hide what trained ones do (I6)."""
    detector = daam_trained.detector()
    image = daam_trained.crops()[:BATCH]
    case = CaseWriter(root, "daam_trained")
    for key in ("width", "height"):
        case.set(key, 224)
    case.existing_model("scripted", daam_trained.WEIGHTS)
    case.array("image", image)
    states = [t.output.detach() for t in daam_tape.run(detector.encoder, image)]
    targets = detector.targets(states[-1], 7)
    p = detector.forgery_score(states)
    case.array("expected.p", torch.stack([1 - p, p], 1))
    write_flow(case, detector.encoder, image, targets, rows=False)
    write_seeds(case, states, targets)
    case.close()


def flip_value_channels(model: VisionTransformer, channels: slice) -> VisionTransformer:
    """The same function with V_k -> -V_k and W_O[:,k] -> -W_O[:,k] in every block (spec 3.4, I8)."""
    flipped = copy.deepcopy(model)
    D = model.cls_token.shape[-1]
    for block in flipped.blocks:
        block.attn.qkv.weight[2 * D :][channels] *= -1
        block.attn.qkv.bias[2 * D :][channels] *= -1
        block.attn.proj.weight[:, channels] *= -1
    return flipped


def write_reparametrised(root: Path) -> None:
    """I8: models `scripted` and `flipped` are one function; arrays `flipped.<rows>.gradient.<array>` of the second."""
    config = VitConfig(depth=4)
    model = make_vit(config, 60)
    flipped = flip_value_channels(model, slice(0, None, 3))
    image = torch.randn(BATCH, 3, config.height, config.width, generator=torch.Generator().manual_seed(60))
    case = CaseWriter(root, "daam_reparametrised")
    describe(case, config, [])
    case.model("scripted", quiet(torch.jit.script, model))
    case.model("flipped", quiet(torch.jit.script, flipped))
    case.array("image", image)
    exact, turned = copy.deepcopy(model).double(), copy.deepcopy(flipped).double()
    last = daam_tape.run(exact, image.double())[-1].output.detach()
    targets = daam_targets.vit_targets(exact, last, 60)
    case.array("expected.logits", exact(image.double()))
    write_flow(case, exact, image.double(), targets)
    turned_targets = daam_targets.vit_targets(turned, last, 60)
    for name, values in passes(turned, image.double(), turned_targets).items():
        if ".gradient." in name and not name.endswith("C_rows"):
            case.array(f"flipped.{name}", values)
    case.close()


def write_render(root: Path) -> None:
    """Maps of every awkward kind: `maps.<i>` float32 (L,h,w), `linear.<i>` and `sigmoid.<i>` uint8 of the same shape.

    `enlarged.<i>` is the last sigmoid map at 56 x 40 pixels, and `overlay.<i>` the published overlay on `picture`.
    """
    rng = np.random.default_rng(9)
    growing = np.cumsum(rng.gamma(0.5, 1.0, (6, 7, 5)), axis=0)
    shrinking_range = np.stack([np.linspace(0, 8, 35).reshape(7, 5), 9 - np.linspace(0, 1, 35).reshape(7, 5)])
    cases = [growing, growing * 1e-6, shrinking_range, np.zeros((3, 7, 5)), np.full((2, 7, 5), 4.0)]
    cases.append(np.concatenate([np.zeros((1, 7, 5)), growing]))  # nothing yet in the first block
    case = CaseWriter(root, "daam_render")
    picture = rng.integers(0, 256, (56, 40, 3), np.uint8)
    case.set("cases", len(cases))
    case.array("picture", picture)
    for i, maps in enumerate(cases):
        maps = maps.astype(np.float32)
        case.array(f"maps.{i}", maps)
        rendered = daam_render.sigmoid(maps)
        case.array(f"linear.{i}", daam_render.linear(maps))
        case.array(f"sigmoid.{i}", rendered)
        case.array(f"enlarged.{i}", daam_render.enlarge(rendered[-1], 40, 56))
        case.array(f"overlay.{i}", daam_render.overlay(picture, rendered[-1]))
    case.close()


def write(root: Path) -> None:
    for i, (name, (config, features)) in enumerate(VARIATIONS.items()):
        if name != "plain_timm_methods":  # the flow is that of `plain`
            write_vit(root, name, config, features, seed=101 + i)
    deeper = VitConfig(depth=6, layer_scale=True, dim=36, heads=3, height=64, width=40)
    write_vit(root, "deeper", deeper, ["layer-scale", "non-square-grid"], seed=120)
    write_kfd(root, "kfd", kfd.EMBEDDING, seed=130)
    write_kfd(root, "kfd_wide", kfd.CONFIG.dim, seed=131)
    write_trained(root)
    write_reparametrised(root)
    write_render(root)
