"""The pooled patch evidence of a picture, and the classifier head that learns it.

The head is fitted to the mean of the strongest patches, not to the labels. On people whom the network never saw, every share of the
labels in its loss makes it worse (docs/training.md, "The classifier learns the pool"): it learns how forged each training
photograph looks, which is learnt by heart and says nothing of others.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kfd_model import KFD, Classifier

from .similarities import enlarged

POOLED_SHARE = 8  # per cent of the patches
STEPS, RATE, DECAY = 3000, 2e-3, 0.1
NOISE = 0.05  # relative, on the features
MAP_SCALE = 0.1  # maps range over +-100; a tenth suits fresh convolutions. Folded into the first convolutions at the end.
LEVELS = 12  # graded thresholds a branch starts with


def pooled_score(similarities: list[Tensor]) -> Tensor:
    """Patch similarities per level (B,2,g,g) -> (B,): deepfake minus pristine, mean of the strongest 8 % of the patches and of the levels."""
    difference = torch.stack([(s[:, 1] - s[:, 0]).flatten(1) for s in similarities], dim=1)
    return difference.topk(max(1, difference.shape[2] * POOLED_SHARE // 100), dim=2).values.mean((1, 2))


@torch.no_grad()
def start_from_exceedances(classifier: Classifier, difference: Tensor) -> None:
    """First convolutions become graded thresholds on deepfake minus pristine, later ones pass them on.

    So the features hold "how much of the face exceeds how strong an evidence". `difference`: (levels, n) map differences of
    training pictures, in the units that the head is fed with.
    """
    for branch, values in zip(classifier.meta_net, difference):
        levels = torch.quantile(values, torch.linspace(0.3, 0.995, LEVELS, device=values.device))
        first = branch[0]
        first.weight[:LEVELS].zero_()
        for i, level in enumerate(levels):
            first.weight[i, :, 1, 1] = torch.tensor([-1.0, 1.0])
            first.bias[i] = -level
        for index in (4, 8, 12):
            branch[index].weight[:LEVELS].zero_()
            for i in range(LEVELS):
                branch[index].weight[i, i, 1, 1] = 1.0
                branch[index].bias[i] = 1.0  # BatchNorm centres its output: keep weak evidence above the ReLU


class Features:
    """Pooled features of a detector's classifier convolutions for stored maps (N,levels,2,g,g), multiplied by MAP_SCALE."""

    def __init__(self, kfd: KFD, maps: Tensor, device: str):
        self.kfd, self.scaled, self.device = kfd, maps.float() * MAP_SCALE, device

    @torch.no_grad()
    def of(self, rows: Tensor) -> Tensor:
        return self.kfd.classifier.features(enlarged(self.kfd, self.scaled[rows].to(self.device)))

    def measure_norms(self, rows: Tensor, batch: int) -> None:
        """Lets the BatchNorms take their statistics from these rows; afterwards the classifier is in eval mode."""
        norms = [m for m in self.kfd.classifier.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative mean
        self.kfd.classifier.train()
        for part in rows.split(batch):
            self.of(part)
        self.kfd.classifier.eval()
        for norm in norms:
            norm.momentum = 0.1


def fit_to_pool(kfd: KFD, maps: Tensor, seed: int, device: str = "cpu", batch: int = 32) -> dict[str, float]:
    """Makes kfd.classifier's logit difference the pooled score, in place: graded thresholds, then its last two layers by regression.

    `maps` (N,levels,2,g,g) are raw similarities. Each picture's features are computed once, in float32, so that thousands of steps
    take seconds. Returns what is left on these maps: mean absolute error in logits, correlation with the pooled score.
    """
    generator = torch.Generator().manual_seed(seed)
    features = Features(kfd, maps, device)
    difference = (features.scaled[:, :, 1] - features.scaled[:, :, 0]).transpose(0, 1).flatten(1)
    start_from_exceedances(kfd.classifier, difference[:, :: max(1, difference.shape[1] // 100_000)].to(device))
    features.measure_norms(torch.randperm(len(maps), generator=generator)[: 8 * batch], batch)
    table = torch.cat([features.of(rows) for rows in torch.arange(len(maps)).split(batch)])
    wanted = pooled_score(list(maps.float().unbind(1))).to(device)
    last = nn.Sequential(kfd.classifier.fc1, nn.ReLU(), kfd.classifier.fc2).requires_grad_(True)
    optimiser = torch.optim.AdamW(last.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(table), (128,), generator=generator)
        noisy = table[rows] * (1 + NOISE * torch.randn(128, table.shape[1], generator=generator).to(device))
        pristine, deepfake = last(noisy).unbind(1)
        loss = F.smooth_l1_loss(deepfake - pristine, wanted[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    last.requires_grad_(False)
    with torch.no_grad():
        pristine, deepfake = last(table).unbind(1)
        for branch in kfd.classifier.meta_net:
            branch[0].weight *= MAP_SCALE
    learnt = deepfake - pristine
    return {"error": float((learnt - wanted).abs().mean()), "correlation": float(torch.corrcoef(torch.stack([learnt, wanted]))[0, 1])}
