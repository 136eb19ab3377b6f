"""A tiny random KFD in the structure the engine reads (spec/kfd.md sections 4-9), with every intermediate value."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vit import VisionTransformer, VitConfig, make_vit

CONFIG = VitConfig(height=224, width=224, patch=28, dim=48, depth=4, heads=4, classes=1)
TAPS = [0, 2]
EMBEDDING = 24
PROMPT_WIDTH = 32


class Encoder(VisionTransformer):
    """The vision transformer without a head: its output is the class token after `norm`."""

    def __init__(self, config: VitConfig):
        super().__init__(config)
        self.head = nn.Identity()


class Locator(nn.Module):
    def __init__(self, levels: int):
        super().__init__()
        self.branches = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(2, 8, 3, padding=2), nn.ReLU(), nn.BatchNorm2d(8)) for _ in range(levels)]
        )
        self.final = nn.Conv2d(8 * levels, 2, 3)

    def forward(self, maps: list[Tensor]) -> Tensor:
        features: list[Tensor] = []
        for i, branch in enumerate(self.branches):
            features.append(branch(maps[i]))
        return self.final(torch.cat(features, 1)).softmax(1)


class PublishedLocator(nn.Module):
    """The same function under the names of the published structure, which the engine runs on own code."""

    def __init__(self, levels: int):
        super().__init__()
        self.conv = nn.ModuleList([nn.Conv2d(2, 8, 3, padding=2) for _ in range(levels)])
        self.relu = nn.ReLU()
        self.batchnorm = nn.ModuleList([nn.BatchNorm2d(8) for _ in range(levels)])
        self.finalconv = nn.Conv2d(8 * levels, 2, 3)

    def forward(self, maps: list[Tensor]) -> Tensor:
        features: list[Tensor] = []
        for i, (conv, norm) in enumerate(zip(self.conv, self.batchnorm)):
            features.append(norm(self.relu(conv(maps[i]))))
        return self.finalconv(torch.cat(features, 1)).softmax(1)


class Classifier(nn.Module):
    def __init__(self, levels: int):
        super().__init__()
        self.branches = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(2, 8, 3, stride=4), nn.ReLU(), nn.BatchNorm2d(8)) for _ in range(levels)]
        )
        self.fc = nn.Linear(8 * levels, 2)

    def forward(self, maps: list[Tensor]) -> Tensor:
        features: list[Tensor] = []
        for i, branch in enumerate(self.branches):
            features.append(branch(maps[i]).mean([2, 3]))
        return self.fc(torch.cat(features, 1)).softmax(1)


class PromptLearner(nn.Module):
    """(maps: one (B,2,H,W) a level, S (B,2,H,W), p (B,2)) -> P (B,9,width)."""

    def __init__(self, levels: int, width: int):
        super().__init__()
        self.maps = nn.Conv2d(2 * levels, width, 74, stride=74)
        self.forged = nn.Conv2d(1, width, 74, stride=74)
        self.score = nn.Linear(2, width)

    def forward(self, maps: list[Tensor], S: Tensor, p: Tensor) -> Tensor:
        tokens = (self.maps(torch.cat(maps, 1)) + self.forged(S[:, 1:])).flatten(2).transpose(1, 2)
        return tokens + self.score(p).unsqueeze(1)


class KFD(nn.Module):
    def __init__(self, with_prompts: bool, embedding: int = EMBEDDING):
        super().__init__()
        self.encoder = Encoder(CONFIG)
        self.adapters = nn.ModuleList([nn.Linear(CONFIG.dim, embedding) for _ in TAPS])
        self.register_buffer("class_embeddings", F.normalize(torch.randn(2, embedding), dim=1))
        self.locator = Locator(len(TAPS)) if with_prompts else PublishedLocator(len(TAPS))
        self.classifier = Classifier(len(TAPS))
        if with_prompts:
            self.prompt_learner = PromptLearner(len(TAPS), PROMPT_WIDTH)
        self.taps: list[int] = TAPS
        self.logit_scale: float = 20.0

    def features(self, x: Tensor) -> list[Tensor]:
        tokens = self.encoder.tokens(x)
        tapped: list[Tensor] = []
        for i, block in enumerate(self.encoder.blocks):
            tokens = block(tokens)
            if i in self.taps:
                tapped.append(tokens[:, 1:])
        features: list[Tensor] = []
        for i, adapter in enumerate(self.adapters):
            features.append(adapter(tapped[i]))
        return features

    def similarity_maps(self, features: list[Tensor]) -> list[Tensor]:
        maps: list[Tensor] = []
        for f in features:
            a = (self.logit_scale * F.normalize(f, dim=2) @ self.class_embeddings.t()).transpose(1, 2).reshape(f.shape[0], 2, 8, 8)
            maps.append(F.interpolate(a, size=[224, 224], mode="bilinear", align_corners=True))
        return maps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.similarity_maps(self.features(x))
        return self.classifier(maps), self.locator(maps)


def make_kfd(seed: int, with_prompts: bool, embedding: int = EMBEDDING) -> KFD:
    """Seeded, in eval mode; batch-norm statistics are not the neutral ones."""
    torch.manual_seed(seed)
    model = KFD(with_prompts, embedding)
    model.encoder.load_state_dict(
        {k: v for k, v in make_vit(CONFIG, seed).state_dict().items() if not k.startswith("head.")}
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(-1, 2)
            module.bias.data.normal_()
    return model.eval().requires_grad_(False)


def expected(model: KFD, x: Tensor) -> dict[str, Tensor]:
    """Every output of the engine with `intermediates`."""
    features = model.features(x)
    maps = model.similarity_maps(features)
    p, S = model.classifier(maps), model.locator(maps)
    out = {"p": p, "S": S, "map": S[:, 1], "E": model.class_embeddings, "g": F.normalize(model.encoder(x), dim=1)}
    for i, (f, m) in enumerate(zip(features, maps)):
        out[f"F{i}"], out[f"M{i}"] = f, m
    if hasattr(model, "prompt_learner"):
        out["P"] = model.prompt_learner(maps, S, p)
    return out
