"""Attention-flow cases on timm's own modules, small and with random weights: `daam_timm_<family>` (see daam_cases.py).

The file `scripted` is what `kfd_export vit` writes. Expected values come from the oracles' own vision transformer with the
same weights, after its output was compared with timm's.
"""

import logging
from pathlib import Path

import torch
from torch import nn

from kfd_export.timm_import import import_timm

from . import daam_targets, daam_tape
from .case_writer import CaseWriter
from .daam_cases import BATCH, write_flow
from .reference_vits import describe, quiet
from .vit import VisionTransformer, VitConfig

SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 10, "patch_size": 8}
# family -> timm's name, its image size, the same in the oracles' terms, features that the engine must report
FAMILIES: dict[str, tuple[str, tuple[int, int], VitConfig, list[str]]] = {
    "deit": ("deit_tiny_patch16_224", (48, 48), VitConfig(), []),
    "distilled": ("deit_tiny_distilled_patch16_224", (48, 48), VitConfig(distilled=True), ["distillation-token"]),
    "dinov2_registers": (
        "vit_small_patch14_reg4_dinov2",
        (48, 48),
        VitConfig(layer_scale=True, registers=4, position="patches"),
        ["layer-scale", "pos-embed-without-class", "register-tokens"],
    ),
    "deit3": (
        "deit3_small_patch16_224",
        (40, 56),
        VitConfig(height=40, width=56, layer_scale=True, position="patches"),
        ["layer-scale", "pos-embed-without-class", "non-square-grid"],
    ),
    "clip": (
        "vit_base_patch16_clip_quickgelu_224",
        (48, 48),
        VitConfig(norm_pre=True, activation="quick_gelu", eps=1e-5),
        ["norm-pre"],
    ),
    "average_pool": (
        "vit_mediumd_patch16_reg4_gap_256",
        (48, 48),
        VitConfig(class_token=False, registers=4, position="patches", layer_scale=True, fc_norm=True),
        ["layer-scale", "pos-embed-without-class", "register-tokens", "no-class-token", "fc-norm"],
    ),
}


def randomise(model: nn.Module, seed: int) -> None:
    """Every parameter away from its neutral value, activations in a sane range."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("gamma") or (parameter.dim() == 1 and "norm" in name and name.endswith("weight")):
                parameter.copy_(1 + 0.3 * noise)
            elif parameter.dim() < 2:
                parameter.copy_(0.3 * noise)
            elif "token" in name or "pos_embed" in name:
                parameter.copy_(0.7 * noise)
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)


def timm_model(family: str, seed: int) -> nn.Module:
    timm = import_timm()
    logging.getLogger("timm").setLevel(logging.ERROR)
    name, size, config, _ = FAMILIES[family]
    options = {**SMALL, "img_size": size}
    if config.layer_scale:
        options["init_values"] = 1.0
    model = timm.create_model(name, pretrained=False, **options)
    randomise(model, seed)
    return model.eval().requires_grad_(False)


def own_model(model: nn.Module, config: VitConfig) -> VisionTransformer:
    """The oracles' vision transformer with the parameters of timm's, in float64; they must have the same names."""
    own = VisionTransformer(config)
    if model.patch_embed.proj.bias is None:  # CLIP
        own.patch_embed.proj.register_parameter("bias", None)
    own.load_state_dict(model.state_dict())
    return own.eval().requires_grad_(False).double()


def write_family(root: Path, family: str, seed: int) -> None:
    _, size, config, features = FAMILIES[family]
    model = timm_model(family, seed)
    image = torch.randn(BATCH, 3, *size, generator=torch.Generator().manual_seed(seed))
    case = CaseWriter(root, f"daam_timm_{family}")
    describe(case, config, features)
    case.model("scripted", quiet(torch.jit.script, model))
    case.array("image", image)
    exact = own_model(model, config)
    logits = exact(image.double())
    expected = model.double()(image.double())
    if not torch.allclose(logits, expected, rtol=1e-10, atol=1e-10):
        raise ValueError(f"the oracle's {family} differs from timm's by {(logits - expected).abs().max():.1e}")
    case.array("expected.logits", logits)
    last = daam_tape.run(exact, image.double())[-1].output.detach()
    write_flow(case, exact, image.double(), daam_targets.vit_targets(exact, last, seed), rows=False)
    case.close()


def write(root: Path) -> None:
    for i, family in enumerate(FAMILIES):
        write_family(root, family, seed=200 + i)
