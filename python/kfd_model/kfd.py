"""The detector: encoder, per-level adapters, similarity to two class embeddings, locator and classifier (spec kfd sections 3-8)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .heads import Classifier, Locator
from .vit import VisionTransformer


class KFD(nn.Module):
    """`forward(x)`: x (B,3,224,224), normalised with the model's mean and std -> (p (B,2), S (B,2,224,224)).

    p[:,1] is the probability that the face is forged, S[:,1] the forgery map; both in [0,1].
    `taps` are 0-based block indices; the raw outputs of these blocks (no LayerNorm) are compared with the class embeddings.
    Row 0 of `class_embeddings` stands for pristine, row 1 for deepfake; rows have unit length.
    """

    def __init__(self, encoder: VisionTransformer, taps: list[int], embedding: int = 256, logit_scale: float = 100.0, map_size: int = 224):
        super().__init__()
        depth = len(encoder.blocks)
        if not taps or sorted(set(taps)) != list(taps) or taps[0] < 0 or taps[-1] >= depth:
            raise ValueError(f"expected ascending block indices between 0 and {depth - 1}, got {taps}")
        self.encoder = encoder
        self.taps: list[int] = list(taps)
        self.logit_scale: float = float(logit_scale)
        self.map_size: int = map_size
        width = encoder.cls_token.shape[-1]
        self.adapters = nn.ModuleList([nn.Linear(width, embedding) for _ in taps])
        self.register_buffer("class_embeddings", F.normalize(torch.randn(2, embedding), dim=1))
        self.locator = Locator(len(taps))
        self.classifier = Classifier(len(taps))

    def tapped_tokens(self, x: Tensor) -> list[Tensor]:
        """Raw block outputs (B,1+N,D) at the taps; blocks behind the last tap are not run."""
        tokens = self.encoder.embed(x)
        tapped: list[Tensor] = []
        for i, block in enumerate(self.encoder.blocks):
            if len(tapped) < len(self.taps):
                tokens = block(tokens)
                if i in self.taps:
                    tapped.append(tokens)
        return tapped

    def patch_similarities(self, tapped: list[Tensor]) -> list[Tensor]:
        """Tokens at the taps -> per level (B,2,g,g): logit_scale * cosine to each class embedding, row-major grid."""
        similarities: list[Tensor] = []
        for i, adapter in enumerate(self.adapters):
            features = F.normalize(adapter(tapped[i][:, 1:]), dim=2)
            similarity = self.logit_scale * features.matmul(self.class_embeddings.t())
            side = int(round(similarity.shape[1] ** 0.5))
            similarities.append(similarity.transpose(1, 2).reshape(similarity.shape[0], 2, side, side))
        return similarities

    def enlarge(self, similarities: list[Tensor]) -> list[Tensor]:
        """(B,2,g,g) -> maps (B,2,map_size,map_size), bilinear, corner pixels aligned."""
        maps: list[Tensor] = []
        for similarity in similarities:
            maps.append(F.interpolate(similarity, size=[self.map_size, self.map_size], mode="bilinear", align_corners=True))
        return maps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.enlarge(self.patch_similarities(self.tapped_tokens(x)))
        return self.classifier(maps), self.locator(maps)

    @torch.jit.export
    def visual_prompt(self, x: Tensor) -> Tensor:
        """g (B,D): unit-length class token after the encoder's norm and head."""
        return F.normalize(self.encoder(x), dim=1)
