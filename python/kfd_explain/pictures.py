"""Where a training dialogue's face comes from: drawn evidence with ideal prompts, or real detections through the prompt learner."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .evidence import Evidence
from .slots import states

PARTS = ("right eye", "left eye", "right cheek", "left cheek", "right jaw", "left jaw", "nose_ridge", "nose")


class Pictures(Protocol):
    """Faces by number."""

    def draw(self, rng: np.random.Generator) -> int:
        """A face, so that verdicts and region sets come out balanced."""

    def evidence(self, picture: int) -> Evidence: ...

    def soft_rows(self, pictures: list[int]) -> Tensor:
        """(B,11,width) float32: visual token, nine forgery prompts, score token."""


def score_row(p: Tensor, width: int) -> Tensor:
    """p (B,2) -> (B,1,width): p_real, p_fake, p_real, ... (spec kfd section 10, inference)."""
    return p.repeat(1, width // 2)[:, None]


def draw_regions(rng: np.random.Generator) -> tuple[str, ...]:
    """For a fake: none 15 %, whole 15 %, center 12 %, else one to three parts, each equally likely."""
    choice = rng.random()
    if choice < 0.15:
        return ()
    if choice < 0.30:
        return ("full face",)
    if choice < 0.42:
        return ("center face",)
    return tuple(PARTS[i] for i in rng.permutation(len(PARTS))[: rng.integers(1, 4)])


def draw_evidence(rng: np.random.Generator, threshold: float) -> Evidence:
    """55 % fakes; scores over the whole range. Extents vary widely, so that they do not tell whether and which regions are named."""
    if rng.random() >= 0.55:
        score = threshold * rng.random() ** 0.7 * 0.999
        return Evidence(score=score, threshold=threshold, named=(), extent=float(rng.uniform(0, 0.9) ** 2))
    score = threshold + (1 - threshold) * (1 - rng.random() ** 1.5)
    named = draw_regions(rng)
    least = 0.6 if named == ("full face",) else 0.25 if named == ("center face",) else 0.02 + 0.04 * len(named)
    return Evidence(score=score, threshold=threshold, named=named, extent=float(rng.uniform(least, 1.0 if least == 0.6 else 0.9)))


class DrawnPictures:
    """Evidence drawn at random; its prompts are what the prompt learner is trained towards (slots.py), blurred as it may be.

    For the first stretch of training, which needs no detections: a picture's number is its seed.
    `base` (9,width) and `marks` (10,9,width) as slots.slot_basis gives them; `face`: row (width,) around which visual tokens lie;
    `noise`: largest standard deviation of the blur, as a share of the base's.
    """

    def __init__(self, base: Tensor, marks: Tensor, face: Tensor, noise: float, thresholds: tuple[float, float] = (0.5, 0.85)):
        self.base, self.marks, self.face, self.noise, self.thresholds = base, marks, face, noise, thresholds

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(1 << 48))

    def evidence(self, picture: int) -> Evidence:
        rng = np.random.default_rng(picture)
        return draw_evidence(rng, round(rng.uniform(*self.thresholds), 3))

    def _rows(self, picture: int) -> Tensor:
        evidence, generator = self.evidence(picture), torch.Generator().manual_seed(picture)

        def normal(like: Tensor) -> Tensor:
            return like.std() * torch.randn(like.shape, generator=generator)

        level = self.noise * float(torch.rand((), generator=generator))  # some faces clear, some blurred
        named = states(evidence.named)
        strength = named + (0.3 * torch.rand(named.shape, generator=generator) - 0.15) * (1 + named)
        prompts = self.base + torch.einsum("r,rsw->sw", strength, self.marks)
        blurred = prompts + level * normal(self.base)
        visual = self.face + 0.5 * normal(self.face)
        p = torch.tensor([[1 - evidence.score, evidence.score]])
        return torch.cat([visual[None], blurred, score_row(p, len(self.face))[0]])

    def soft_rows(self, pictures: list[int]) -> Tensor:
        return torch.stack([self._rows(picture) for picture in pictures])


class DetectedPictures:
    """Detections of the frozen detector, seen through `prompts` (export.Prompts), which trains with the language model."""

    def __init__(self, detections, prompts):
        self.detections, self.prompts = detections, prompts

    def draw(self, rng: np.random.Generator) -> int:
        return self.detections.draw(rng)

    def evidence(self, picture: int) -> Evidence:
        return self.detections.evidence(picture)

    def soft_rows(self, pictures: list[int]) -> Tensor:
        maps, S, p, g = self.detections.inputs(pictures)
        forgery, visual = self.prompts(maps, S, p, g)
        return torch.cat([visual[:, None], forgery, score_row(p, visual.shape[1])], dim=1)


class MixedPictures:
    """Detections and, with probability `share`, drawn faces: these keep all sets of regions equally frequent and the prompts' meaning clear.

    Drawn faces have negative numbers.
    """

    def __init__(self, detected: Pictures, drawn: Pictures, share: float):
        self.detected, self.drawn, self.share = detected, drawn, share

    def draw(self, rng: np.random.Generator) -> int:
        return -1 - self.drawn.draw(rng) if rng.random() < self.share else self.detected.draw(rng)

    def evidence(self, picture: int) -> Evidence:
        return self.drawn.evidence(-1 - picture) if picture < 0 else self.detected.evidence(picture)

    def soft_rows(self, pictures: list[int]) -> Tensor:
        rows: dict[int, Tensor] = {}
        detected = [i for i, picture in enumerate(pictures) if picture >= 0]
        if detected:
            rows.update(zip(detected, self.detected.soft_rows([pictures[i] for i in detected])))
        drawn = [i for i, picture in enumerate(pictures) if picture < 0]
        if drawn:
            rows.update(zip(drawn, self.drawn.soft_rows([-1 - pictures[i] for i in drawn])))
        return torch.stack([rows[i] for i in range(len(pictures))])
