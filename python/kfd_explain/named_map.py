"""The forgery map as the detector reports it: its named regions painted 1 on 0, computed inside the exported module.

Coverage thresholds cannot be read exactly from the raw map by a convolutional network with max-pooling, and a quarter of all found
forgeries lies near one of them. So the prompts' branch on the forgery map sees what the detector says, not what it says it from.
"""

import torch
from torch import Tensor, nn

from kfd_model.heads import PromptLearner
from kfd_train.naming import CENTER, MOST_PARTS, WHOLE, RegionNamer


class NamedMap(nn.Module):
    """S (B,2,224,224) and p (B,2) -> (B,1,224,224) in the dtype of S: 1 inside the named regions, else 0.

    The rule is that of kfd_train.naming and lib/face/namedRegions.ts, with comparisons in double precision. `threshold`: of the verdict.
    """

    def __init__(self, namer: RegionNamer, threshold: float):
        super().__init__()
        names = [*namer.parts, CENTER, WHOLE]
        masks = torch.stack([torch.from_numpy(namer.masks[name]) for name in names])
        # Boolean, so that storage in half precision does not touch them; the numbers of the rule are attributes for the same reason.
        self.register_buffer("masks", masks)
        self.names: list[str] = names
        self.sizes: list[float] = [max(1.0, float(size)) for size in masks.sum((1, 2)).tolist()]
        self.parts, self.center, self.whole, self.most = len(namer.parts), len(namer.parts), len(namer.parts) + 1, MOST_PARTS
        rule = namer.rule
        self.threshold = float(threshold)
        self.lit, self.minimum, self.explained = float(rule.lit), float(rule.minimum), float(rule.explained)
        self.least_whole, self.least_center, self.least_part = float(rule.whole), float(rule.center), float(rule.part)

    def strongest_parts(self, forged: Tensor, lit: Tensor, coverage: list[float]) -> list[int]:
        """Indices of at most three covered parts: greatest coverage, then greatest mean of the map, then the manifest's order."""
        means: list[float] = []
        for part in range(self.parts):
            means.append(float(forged[self.masks[part]].double().sum()) / self.sizes[part])
        chosen: list[int] = []
        for _ in range(self.most):
            best = -1
            for part in range(self.parts):
                if coverage[part] < self.least_part or part in chosen:
                    continue
                if best < 0 or coverage[part] > coverage[best] or (coverage[part] == coverage[best] and means[part] > means[best]):
                    best = part
            if best >= 0:
                chosen.append(best)
        if len(chosen) > 0:
            union = self.masks[chosen[0]]
            for part in chosen[1:]:
                union = union | self.masks[part]
            if float((lit & union).sum()) / max(1.0, float(lit.sum())) < self.explained:
                chosen.clear()
        return chosen

    def name_one(self, forged: Tensor, p_fake: float) -> list[int]:
        """Indices into `names` of the regions named for one map (224,224)."""
        nothing: list[int] = []
        if p_fake < self.threshold:
            return nothing
        lit = forged.double() >= self.lit
        coverage: list[float] = []
        for region in range(self.masks.shape[0]):
            coverage.append(float((lit & self.masks[region]).sum()) / self.sizes[region])
        if coverage[self.whole] < self.minimum:
            return nothing
        if coverage[self.whole] >= self.least_whole:
            return [self.whole]
        if coverage[self.center] >= self.least_center:
            return [self.center]
        return self.strongest_parts(forged, lit, coverage)

    def forward(self, S: Tensor, p: Tensor) -> Tensor:
        painted = torch.zeros_like(S[:, 1:2])
        for row in range(S.shape[0]):
            for region in self.name_one(S[row, 1], float(p[row, 1].double())):
                painted[row, 0].masked_fill_(self.masks[region], 1.0)
        return painted


class NamedPromptLearner(nn.Module):
    """KFD's prompt learner on the similarity maps and the named map: `forward(maps, S, p)` -> P (B,9,W), as PromptLearner's."""

    def __init__(self, named_map: NamedMap, learner: PromptLearner):
        super().__init__()
        self.named_map = named_map
        self.learner = learner

    def forward(self, maps: list[Tensor], S: Tensor, p: Tensor) -> Tensor:
        named = self.named_map(S, p)
        return self.learner(maps, torch.cat([1 - named, named], dim=1), p)
