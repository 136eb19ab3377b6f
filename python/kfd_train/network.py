"""The training-time form of the detector: LoRA in the encoder, adapters on standardised tokens, a pooled image score, token windows.

`finish()` turns it into the plain KFD module that ships.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kfd_model import KFD, VisionTransformer, add_lora, merge_lora

from .export import IMAGENET_MEAN, IMAGENET_STD


def normalise(pictures: Tensor) -> Tensor:
    """uint8 (B,H,W,3) -> float32 (B,3,H,W) with ImageNet mean and standard deviation."""
    x = pictures.permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(IMAGENET_MEAN, device=x.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=x.device).view(1, 3, 1, 1)
    return ((x - mean) / std).contiguous()


def autocast(device: str, precision: str) -> torch.autocast:
    """Matrix products and convolutions in `precision`: 'bfloat16' or 'float32'."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


class StandardisedLinear(nn.Linear):
    """A Linear on inputs standardised per channel: raw block outputs before the last block have mean |x| of only 0.04 to 0.16."""

    def __init__(self, linear: nn.Linear, mean: Tensor, std: Tensor):
        super().__init__(linear.in_features, linear.out_features)
        self.load_state_dict(linear.state_dict())
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - self.mean) / self.std)

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """The same function as one plain Linear."""
        linear = nn.Linear(self.in_features, self.out_features)
        linear.weight.copy_(self.weight / self.std)
        linear.bias.copy_(self.bias - linear.weight @ self.mean)
        return linear


class Evidence(nn.Module):
    """Image logit from the patch logits of all levels: means of the strongest 8 %, 2 % and 30 % and, as what they stand out from,
    of the weaker half. Starts as the mean of the strongest 8 %."""

    SHARES = (8, 2, 30)

    def __init__(self, levels: int):
        super().__init__()
        self.mix = nn.Linear((len(self.SHARES) + 1) * levels, 1)
        with torch.no_grad():
            self.mix.weight.zero_()
            self.mix.weight[0, :levels] = 1 / levels
            self.mix.bias.zero_()

    def forward(self, patch_logits: list[Tensor]) -> Tensor:
        ordered = [logits.flatten(1).sort(dim=1, descending=True).values for logits in patch_logits]
        count = ordered[0].shape[1]
        pooled = [o[:, : max(1, count * share // 100)].mean(1) for share in self.SHARES for o in ordered]
        pooled += [o[:, count // 2 :].mean(1) for o in ordered]
        return self.mix(torch.stack(pooled, dim=1))[:, 0]


class TrainingNetwork(nn.Module):
    """KFD plus what training needs. `mode`: 'lora' (LoRA in the MLPs, LayerNorms trained too) or 'full' (every encoder weight).

    `precision`: of the encoder's matrix products, 'bfloat16' (autocast) or 'float32'; which is faster depends on the processor."""

    def __init__(self, encoder: VisionTransformer, taps: list[int], mode: str = "lora", rank: int = 16, embedding: int = 256, precision: str = "bfloat16"):
        super().__init__()
        if mode not in ("lora", "full"):
            raise ValueError(f"expected mode 'lora' or 'full', got {mode!r}")
        if precision not in ("bfloat16", "float32"):
            raise ValueError(f"expected precision 'bfloat16' or 'float32', got {precision!r}")
        self.mode, self.precision = mode, precision
        self.kfd = KFD(encoder, taps, embedding)
        self.evidence = Evidence(len(taps))
        # In KFD a buffer; here a parameter, made unit length at each use.
        self.class_vectors = nn.Parameter(self.kfd.class_embeddings.clone())
        if mode == "lora":
            for parameter in encoder.parameters():
                parameter.requires_grad_(False)
            add_lora(encoder.blocks[: taps[-1] + 1], rank)
            for block in encoder.blocks[: taps[-1] + 1]:
                for norm in (block.norm1, block.norm2):
                    norm.requires_grad_(True)
        encoder.norm.requires_grad_(False)

    @torch.no_grad()
    def standardise(self, pictures: Tensor) -> None:
        """Measures the tapped tokens on `pictures` (B,224,224,3) and puts standardising adapters in place."""
        for i, tokens in enumerate(self.kfd.tapped_tokens(normalise(pictures))):
            flat = tokens[:, 1:].float().flatten(0, 1)
            adapter = self.kfd.adapters[i]
            plain = adapter.folded() if isinstance(adapter, StandardisedLinear) else adapter
            self.kfd.adapters[i] = StandardisedLinear(plain, flat.mean(0), flat.std(0) + 1e-3).to(flat.device)
            self.kfd.adapters[i].bias.copy_(self.calm_bias())

    def calm_bias(self, length: float = 50.0, share: float = 0.15) -> Tensor:
        """Adapter bias with which the fresh network says about `share` forged everywhere: 100 * cosine of random features
        would spread the patch logits over +-9, so features start near one direction between the two class embeddings."""
        pristine, deepfake = F.normalize(self.class_vectors, dim=1)
        apart = (deepfake - pristine).norm()
        lean = math.log(share / (1 - share)) / (self.kfd.logit_scale * apart)
        return length * (F.normalize(pristine + deepfake, dim=0) + lean * (deepfake - pristine) / apart)

    def tapped(self, x: Tensor, window: tuple[int, int, int] | None) -> list[Tensor]:
        """Block outputs at the taps; `window` = (row, column, side) in patches restricts the tokens to a square of the grid."""
        if window is None:
            return self.kfd.tapped_tokens(x)
        row, column, side = window
        encoder = self.kfd.encoder
        patch = encoder.patch_embed.proj.stride[0]
        piece = x[:, :, row * patch : (row + side) * patch, column * patch : (column + side) * patch]
        grid = int(round((encoder.pos_embed.shape[1] - 1) ** 0.5))
        place = encoder.pos_embed[:, 1:].unflatten(1, (grid, grid))[:, row : row + side, column : column + side].flatten(1, 2)
        class_token = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(x.shape[0], -1, -1)
        tokens = torch.cat([class_token, encoder.patch_embed(piece) + place], dim=1)
        tapped = []
        for i, block in enumerate(encoder.blocks[: self.kfd.taps[-1] + 1]):
            tokens = block(tokens)
            if i in self.kfd.taps:
                tapped.append(tokens)
        return tapped

    def similarities(self, tapped: list[Tensor]) -> list[Tensor]:
        """Per level (B,2,side,side), in float32."""
        embeddings = F.normalize(self.class_vectors, dim=1)
        self.kfd.class_embeddings = embeddings
        similarities = self.kfd.patch_similarities([tokens.float() for tokens in tapped])
        self.kfd.class_embeddings = embeddings.detach()  # a buffer must not carry the graph along
        return similarities

    def forward(self, pictures: Tensor, window: tuple[int, int, int] | None = None) -> tuple[list[Tensor], Tensor]:
        """uint8 (B,224,224,3) -> patch logits per level (B,side,side), deepfake minus pristine, and the image logit (B,)."""
        x = normalise(pictures)
        with autocast(str(x.device), self.precision):
            tapped = self.tapped(x, window)
        patch_logits = [s[:, 1] - s[:, 0] for s in self.similarities(tapped)]
        return patch_logits, self.evidence(patch_logits)

    @torch.no_grad()
    def finish(self) -> KFD:
        """A copy as a plain KFD: LoRA merged, token statistics folded into the adapters, class embeddings of unit length."""
        network = copy.deepcopy(self)
        kfd = network.kfd
        kfd.class_embeddings = F.normalize(network.class_vectors.detach(), dim=1)
        merge_lora(kfd.encoder)
        for i, adapter in enumerate(kfd.adapters):
            if isinstance(adapter, StandardisedLinear):
                kfd.adapters[i] = adapter.folded()
        return kfd.eval().requires_grad_(False)

    @torch.no_grad()
    def start_from(self, other: "TrainingNetwork") -> None:
        """Takes over what `other` has learnt; its LoRA is merged where this network trains every weight. The evidence starts anew
        if its pools differ."""
        other = copy.deepcopy(other)
        if self.mode == "full":
            merge_lora(other.kfd.encoder)
        if self.evidence.mix.weight.shape != other.evidence.mix.weight.shape:
            other.evidence = copy.deepcopy(self.evidence)
        self.load_state_dict(other.state_dict())

    @torch.no_grad()
    def start_from_exported(self, weights: dict[str, Tensor], pictures: Tensor) -> None:
        """Takes over an exported detector's state dict. Its adapters are plain: they are put on standardised tokens again, with
        statistics of `pictures` (B,224,224,3). Only for mode 'full': an exported encoder has no LoRA."""
        if self.mode != "full":
            raise ValueError(f"expected mode 'full' to go on from an exported model, got {self.mode!r}; set mode in the configuration")
        part = lambda prefix: {name[len(prefix) :]: t for name, t in weights.items() if name.startswith(prefix)}  # noqa: E731
        for head in ("encoder", "locator", "classifier"):
            getattr(self.kfd, head).load_state_dict(part(head + "."))
        self.class_vectors.copy_(weights["class_embeddings"])
        self.standardise(pictures)
        for i, adapter in enumerate(self.kfd.adapters):
            weight, bias = weights[f"adapters.{i}.weight"].to(adapter.mean), weights[f"adapters.{i}.bias"].to(adapter.mean)
            adapter.weight.copy_(weight * adapter.std)
            adapter.bias.copy_(bias + weight @ adapter.mean)

    def parameter_groups(self, rates: dict[str, float], decay: float = 0.85) -> list[dict]:
        """Optimiser groups. `rates` has norm and heads, lora_A and lora_B for 'lora', and for 'full' relative: a step's size as a share
        of each tensor's root mean square, times `decay` per block downwards.

        Relative, because LayerScale is folded into attn.proj and mlp.fc2: their weights are up to 40 times smaller in the first blocks
        than in the last, and Adam's steps are as large as the rate. With one rate for all, full fine-tuning destroyed these layers.
        """
        encoder = {name: p for name, p in self.kfd.encoder.named_parameters() if p.requires_grad}
        groups = []
        if self.mode == "lora":
            for key, mark in (("lora_A", "lora_A"), ("lora_B", "lora_B"), ("norm", ".norm")):
                groups.append({"params": [p for name, p in encoder.items() if mark in name], "lr": rates[key], "weight_decay": 0.0})
        else:
            depth = len(self.kfd.encoder.blocks)
            for name, p in encoder.items():
                level = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0
                rate = rates["norm"] if ".norm" in name else rates["relative"] * float(p.detach().square().mean().sqrt())
                groups.append({"params": [p], "lr": rate * decay ** (depth - level), "weight_decay": 0.0})
        heads = [*self.kfd.adapters.parameters(), self.class_vectors]
        groups.append({"params": heads, "lr": rates["heads"], "weight_decay": 0.01})
        groups.append({"params": list(self.evidence.parameters()), "lr": rates["heads"], "weight_decay": 0.0})
        return groups
