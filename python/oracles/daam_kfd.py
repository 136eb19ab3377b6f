"""What KFD decides, as targets of an attention flow: `forgery` and `class-token-forgery` (engine.h, FlowTarget).

Works on the detector's parts, so that the small random KFD and the trained one share it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import daam_tape
from .daam_targets import Target, cosine_weights, random_vector
from .vit import VisionTransformer


@dataclass
class Detector:
    """An encoder in the oracles' own structure and the heads behind it, all float64 and without weight gradients."""

    encoder: VisionTransformer
    adapters: nn.ModuleList
    class_embeddings: Tensor  # (2,d)
    classifier: nn.Module  # list of maps (B,2,side,side) -> p (B,2)
    taps: list[int]
    logit_scale: float
    side: int

    def forgery_score(self, states: list[Tensor]) -> Tensor:
        """Outputs of every block (B,N,D) -> p[:,1] (B): patch tokens at the taps through adapters and classifier."""
        maps = []
        for tap, adapter in zip(self.taps, self.adapters, strict=True):
            features = F.normalize(adapter(states[tap][:, 1:]), dim=2)
            grid = round(features.shape[1] ** 0.5)
            similarity = (self.logit_scale * features @ self.class_embeddings.t()).transpose(1, 2)
            plane = similarity.reshape(-1, 2, grid, grid)
            maps.append(F.interpolate(plane, size=[self.side, self.side], mode="bilinear", align_corners=True))
        return self.classifier(maps)[:, 1]

    def class_token_score(self, states: list[Tensor]) -> Tensor:
        """logit_scale <E_1 - E_0, c/|c|> (B)."""
        c = daam_tape.feature(self.encoder, states[-1])
        if c.shape[1] != self.class_embeddings.shape[1]:
            c = self.adapters[-1](states[self.taps[-1]][:, 0])
        direction = self.class_embeddings[1] - self.class_embeddings[0]
        return self.logit_scale * F.normalize(c, dim=1) @ direction

    def targets(self, last: Tensor, seed: int) -> list[Target]:
        f = daam_tape.feature(self.encoder, last).detach()
        random = random_vector(f.shape[1], seed)

        def of_feature(function):
            return lambda states: function(daam_tape.feature(self.encoder, states[-1]))

        return [
            Target("forgery", "forgery", self.forgery_score),
            Target("class-token-forgery", "class-token-forgery", self.class_token_score),
            Target("feature", "feature", of_feature(lambda f: f @ random), random.expand_as(f)),
            Target("cosine-feature", "feature", of_feature(lambda f: F.cosine_similarity(f, random[None])), cosine_weights(f, random)),
        ]


def detector_of(model: nn.Module, side: int = 224) -> Detector:
    """From oracles.kfd.KFD, in float64."""
    exact = model.double()
    return Detector(
        exact.encoder, exact.adapters, exact.class_embeddings, exact.classifier, exact.taps, exact.logit_scale, side
    )


def seeds(states: list[Tensor], target: Target) -> dict[int, Tensor]:
    """dY/dX (B,N,D) at the output of every block that the target reads, the other blocks' outputs held constant."""
    leaves = [s.detach().requires_grad_() for s in states]
    found = torch.autograd.grad(target.value(leaves).sum(), leaves, allow_unused=True)
    return {block: seed for block, seed in enumerate(found) if seed is not None}
