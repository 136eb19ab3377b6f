"""What an attention flow explains: scalars Y an image, each with the weights that the engine is given for it.

A target's `value` is the scalar itself and is differentiated by autograd; `weights` are dY/dlogits or dY/df, written
out by hand. So a wrong formula for the weights shows as a difference.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import daam_tape, daam_weights
from .vit import VisionTransformer


@dataclass
class Target:
    """`value` takes the outputs of every block (L tensors (B,N,D)) and gives Y (B)."""

    name: str
    kind: str  # of FlowTarget: logits, feature, forgery, class-token-forgery
    value: Callable[[list[Tensor]], Tensor]
    weights: Tensor | None = None  # (B,C) for logits, (B,D) for feature

    def linear(self, model: VisionTransformer, last: Tensor) -> Tensor:
        """The linear form (B) that the weights stand for, at the tokens after the last block."""
        read = model.classify(last) if self.kind == "logits" else daam_tape.feature(model, last)
        return (self.weights * read).sum(1)


def one_hot(index: Tensor, classes: int) -> Tensor:
    return F.one_hot(index, classes).double()


def cosine_weights(read: Tensor, direction: Tensor) -> Tensor:
    """Derivative of cos(read, direction) by read (B,C): (I - u u^T) direction/|direction| / |read|."""
    unit = F.normalize(read, dim=1)
    v = direction / direction.norm()
    return (v - unit * (unit @ v)[:, None]) / read.norm(dim=1, keepdim=True)


def random_vector(width: int, seed: int) -> Tensor:
    """(width,) float64, exact in float32, so that a file of float32 holds the same vector."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(width, generator=generator).double()


def random_bank(width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A memory bank of 64 unit rows (64,width) and labels (64) from 0 to 3."""
    generator = torch.Generator().manual_seed(seed + 2)
    rows = F.normalize(torch.randn(64, width, generator=generator).double(), dim=1)
    return rows.numpy(), torch.randint(0, 4, (64,), generator=generator).numpy()


def logit_targets(model: VisionTransformer, last: Tensor, direction: Tensor) -> list[Target]:
    """Every target that reads the head's output. `direction` (C) is what `cosine` compares with."""
    logits = model.classify(last).detach()
    B, C = logits.shape
    p = logits.softmax(1)
    best = logits.argmax(1)

    def every(k: int) -> Tensor:
        return torch.full((B,), k)

    def make(name: str, weights: Tensor, of_logits: Callable[[Tensor], Tensor]) -> Target:
        return Target(name, "logits", lambda states: of_logits(model.classify(states[-1])), weights)

    return [
        make("max", one_hot(best, C), lambda y: y.max(1).values),
        make("logit:3", one_hot(every(3), C), lambda y: y[:, 3]),
        make("difference:2,7", one_hot(every(2), C) - one_hot(every(7), C), lambda y: y[:, 2] - y[:, 7]),
        make("probability:4", p[:, 4:5] * (one_hot(every(4), C) - p), lambda y: y.softmax(1)[:, 4]),
        make("log-probability:5", one_hot(every(5), C) - p, lambda y: y.log_softmax(1)[:, 5]),
        make("cosine", cosine_weights(logits, direction), lambda y: F.cosine_similarity(y, direction[None])),
    ]


def feature_targets(model: VisionTransformer, last: Tensor, seed: int) -> list[Target]:
    """Weights on the feature: random ones, a cosine's, and a memory bank's vote."""
    f = daam_tape.feature(model, last).detach()
    D = f.shape[1]
    random = random_vector(D, seed)
    voted, _ = daam_weights.vote_weights(f.numpy(), *random_bank(D, seed))

    def make(name: str, weights: Tensor, of_feature: Callable[[Tensor], Tensor]) -> Target:
        return Target(name, "feature", lambda states: of_feature(daam_tape.feature(model, states[-1])), weights)

    bank_weights = torch.from_numpy(voted)
    return [
        make("feature", random.expand_as(f), lambda f: f @ random),
        make("cosine-feature", cosine_weights(f, random), lambda f: F.cosine_similarity(f, random[None])),
        make("bank", bank_weights, lambda f: (f * bank_weights).sum(1)),
    ]


def vit_targets(model: VisionTransformer, last: Tensor, seed: int) -> list[Target]:
    direction = random_vector(model.head.out_features, seed + 1)
    return logit_targets(model, last, direction) + feature_targets(model, last, seed)


def bank_arrays(model: VisionTransformer, last: Tensor, seed: int) -> dict[str, np.ndarray]:
    """What the target `bank` voted with: features (B,D), bank (64,D), labels (64), weights (B,D), winner (B)."""
    f = daam_tape.feature(model, last).detach().numpy()
    bank, labels = random_bank(f.shape[1], seed)
    weights, winner = daam_weights.vote_weights(f, bank, labels)
    return {"bank.features": f, "bank.bank": bank, "bank.labels": labels, "bank.weights": weights, "bank.winner": winner}
