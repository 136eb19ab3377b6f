"""Losses of both training stages."""

import torch
from torch import Tensor
from torch.nn import functional as F


def patch_share(masks: Tensor, window: tuple[int, int, int] | None = None, grid: int = 16) -> Tensor:
    """uint8 masks (B,224,224) -> forged share of each patch (B,side,side)."""
    share = F.adaptive_avg_pool2d(masks[:, None].float(), grid)[:, 0]
    if window is None:
        return share
    row, column, side = window
    return share[:, row : row + side, column : column + side]


def patch_loss(patch_logits: list[Tensor], share: Tensor, forged_weight: float = 2.0) -> Tensor:
    """Binary cross-entropy against the forged share, mean over levels; forged patches weigh `forged_weight`."""
    weight = 1 + (forged_weight - 1) * share
    return torch.stack([F.binary_cross_entropy_with_logits(z, share, weight) for z in patch_logits]).mean()


def image_loss(logit: Tensor, share: Tensor) -> Tensor:
    """Binary cross-entropy of the image logit. A forged picture whose forged part is all but outside the window does not count."""
    forged = share.flatten(1).sum(1)
    label = (forged >= 1.0).float()
    usable = ((forged == 0) | (forged >= 1.0)).float()
    loss = F.binary_cross_entropy_with_logits(logit, label, reduction="none")
    return (loss * usable).sum() / usable.sum().clamp(min=1)


def ranking_loss(logit: Tensor, share: Tensor) -> Tensor:
    """Every forged picture should score above every untouched one of the batch: its own partner (half of the weight) and the
    others (the other half, which works against a score that depends on the photograph)."""
    forged = share.flatten(1).sum(1)[1::2] >= 1.0
    if not bool(forged.any()):
        return logit.sum() * 0
    margins = logit[1::2][forged][:, None] - logit[0::2][None, :]
    own = F.softplus(-(logit[1::2] - logit[0::2])[forged]).mean()
    return 0.5 * own + 0.5 * F.softplus(-margins).mean()


def focal(S: Tensor, masks: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss of a softmaxed two-class map S (B,2,H,W) against masks (B,H,W) in {0,1} (spec kfd 14.1, alpha 1)."""
    probability = torch.where(masks > 0, S[:, 1], S[:, 0]).clamp(1e-5, 1 - 1e-5)
    return (-(1 - probability) ** gamma * probability.log()).mean()


def dice(S1: Tensor, masks: Tensor) -> Tensor:
    """1 - soft Dice of the forgery map S1 (B,H,W) against masks (B,H,W), with smoothing 1, mean over pictures."""
    masks = masks.float()
    both = (S1 * masks).sum((1, 2))
    return (1 - (2 * both + 1) / (S1.sum((1, 2)) + masks.sum((1, 2)) + 1)).mean()
