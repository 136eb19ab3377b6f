"""An explainer's prompts file beside a detector: P and V from PyTorch in float64, and files that do not fit (spec/kfd.md 9, 10)."""

import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kfd_model import PromptLearner

from . import kfd
from .case_writer import CaseWriter

WIDTH = 24
CHANNELS = (4, 6, 8, 8, 8, 8)
LEVELS = len(kfd.TAPS)


class Prompts(nn.Module):
    """The children the engine looks for. `features`: width of the encoder's output g."""

    def __init__(self, levels: int = LEVELS, features: int = kfd.CONFIG.dim, projected: int = WIDTH):
        super().__init__()
        self.prompt_learner = PromptLearner(levels, WIDTH, channels=CHANNELS)
        self.visual_projection = nn.Linear(features, projected)

    def forward(self, maps: list[Tensor], S: Tensor, p: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        return self.prompt_learner(maps, S, p), self.visual_projection(g)


class WithoutProjection(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.prompt_learner = PromptLearner(LEVELS, WIDTH, channels=CHANNELS)

    def forward(self, maps: list[Tensor], S: Tensor, p: Tensor) -> Tensor:
        return self.prompt_learner(maps, S, p)


def seeded(seed: int, make: type[nn.Module], **sizes: int) -> nn.Module:
    """In eval mode, in half precision as stored; batch-norm statistics are not the neutral ones."""
    torch.manual_seed(seed)
    model = make(**sizes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(-1, 2)
            module.bias.data.normal_()
    return model.eval().requires_grad_(False).half()


def write(root: Path) -> None:
    image = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(8))
    prompts = seeded(9, Prompts)
    case = CaseWriter(root, "prompts")
    case.set("width", 224)
    case.set("height", 224)
    case.array("image", image)
    # two detectors: one with a prompt learner inside, which the file takes the place of
    for name, inside in (("detector", False), ("detector_with_prompts", True)):
        half = kfd.make_kfd(5, inside).half()
        case.model(name, torch.jit.script(half))
        exact = kfd.expected(copy.deepcopy(half).double(), image.double())
        maps = [exact[f"M{i}"] for i in range(LEVELS)]
        P, V = copy.deepcopy(prompts).double()(maps, exact["S"], exact["p"], exact["g"])
        case.array(f"{name}.P", P)
        case.array(f"{name}.V", V)
        case.array(f"{name}.p", exact["p"])
        case.array(f"{name}.g", F.normalize(exact["g"], dim=1))
    case.model("prompts", torch.jit.script(prompts))
    case.model("no_projection", torch.jit.script(seeded(10, WithoutProjection)))
    case.model("other_levels", torch.jit.script(seeded(11, Prompts, levels=LEVELS + 1)))
    case.model("other_features", torch.jit.script(seeded(12, Prompts, features=kfd.CONFIG.dim + 1)))
    case.model("other_width", torch.jit.script(seeded(13, Prompts, projected=WIDTH + 1)))
    case.close()
