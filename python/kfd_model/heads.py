"""KFD's three heads on the similarity maps: locator, classifier, forgery prompt learner (spec kfd sections 7-9).

Every head takes `maps`: one tensor (B,2,224,224) per tapped level; channel 0 = pristine, 1 = deepfake.
Layer orders (ReLU before BatchNorm, pooling before or after it) follow the paper's released configuration and matter:
they do not commute once a BatchNorm weight is negative.
"""

import torch
from torch import Tensor, nn


class Locator(nn.Module):
    """maps -> S (B,2,224,224), softmaxed over the class axis; S[:,1] is the forgery map. 14,978 parameters at 3 levels."""

    def __init__(self, levels: int = 3, channels: int = 128):
        super().__init__()
        # Padding 2 here and 0 in finalconv: 224 -> 226 -> 224.
        self.conv = nn.ModuleList([nn.Conv2d(2, channels, 3, padding=2) for _ in range(levels)])
        self.relu = nn.ReLU()
        self.batchnorm = nn.ModuleList([nn.BatchNorm2d(channels) for _ in range(levels)])
        self.finalconv = nn.Conv2d(levels * channels, 2, 3)

    def logits(self, maps: list[Tensor]) -> Tensor:
        """Scores before the softmax, (B,2,H,W)."""
        features: list[Tensor] = []
        for i, (conv, norm) in enumerate(zip(self.conv, self.batchnorm)):
            features.append(norm(self.relu(conv(maps[i]))))
        return self.finalconv(torch.cat(features, dim=1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.logits(maps).softmax(dim=1)


class Classifier(nn.Module):
    """maps -> p (B,2), softmaxed; p[:,1] is the forgery score. 1,237,298 parameters at 3 levels."""

    def __init__(self, levels: int = 3):
        super().__init__()
        self.meta_net = nn.ModuleList([self._branch() for _ in range(levels)])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(256 * levels, 128)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(128, 2)

    @staticmethod
    def _branch() -> nn.Sequential:
        layers: list[nn.Module] = []
        sizes = (2, 16, 64, 128, 256)
        for before, after in zip(sizes, sizes[1:]):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(after)]
        return nn.Sequential(*layers)

    def features(self, maps: list[Tensor]) -> Tensor:
        """Pooled features of all levels, (B, 256 * levels)."""
        pooled: list[Tensor] = []
        for i, branch in enumerate(self.meta_net):
            pooled.append(self.pool(branch(maps[i])).flatten(1))
        return torch.cat(pooled, dim=1)

    def logits(self, maps: list[Tensor]) -> Tensor:
        """Scores before the softmax, (B,2)."""
        return self.fc2(self.relu(self.fc1(self.features(maps))))

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.logits(maps).softmax(dim=1)


PROMPT_CHANNELS = (16, 32, 64, 128, 256, 512)  # the paper's


class PromptLearner(nn.Module):
    """Maps, forgery map and score -> forgery prompts P (B,9,llm_width) for a language model.

    `forward(maps, S, p)`: maps as above, S (B,2,224,224), p (B,2). `channels`: outputs of the six 3 x 3 convolutions;
    with the default, the paper's, 108,065,421 parameters at 3 levels and width 4096.
    """

    def __init__(self, levels: int = 3, llm_width: int = 4096, prompts: int = 9, channels: tuple[int, ...] = PROMPT_CHANNELS):
        super().__init__()
        if prompts != 9:
            raise ValueError(f"expected 9 prompts (the convolutions end in a 3 x 3 grid), got {prompts}")
        if len(channels) != 6:
            raise ValueError(f"expected 6 channel numbers (224 -> 7 takes five halvings, then one more convolution), got {channels}")
        self.meta_net1 = self._stack(2 * levels, channels, llm_width)
        self.meta_net2 = self._stack(1, channels, llm_width)
        self.base_prompts = nn.Parameter(torch.randn(prompts, llm_width))
        self.fc = nn.Linear(2, llm_width)
        # Channels are the 28 prompts; the kernel runs along the width axis.
        self.finalconv = nn.Conv1d(3 * prompts + 1, prompts, 3, padding=1)

    @staticmethod
    def _stack(inputs: int, channels: tuple[int, ...], llm_width: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in zip((inputs, *channels), channels[:5]):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(after), nn.MaxPool2d(2)]
        before, last = channels[4:]
        layers += [nn.Conv2d(before, last, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(last), nn.Conv2d(last, llm_width, 5)]
        return nn.Sequential(*layers)

    def forward(self, maps: list[Tensor], S: Tensor, p: Tensor) -> Tensor:
        from_maps = self.meta_net1(torch.cat(maps, dim=1)).flatten(2).transpose(1, 2)
        from_location = self.meta_net2(S[:, 1:2]).flatten(2).transpose(1, 2)
        base = self.base_prompts.unsqueeze(0).expand(p.shape[0], -1, -1)
        score = self.fc(p).unsqueeze(1)
        return self.finalconv(torch.cat([base, from_maps, from_location, score], dim=1))
