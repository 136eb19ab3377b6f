"""Small vision transformers in timm naming, one class for every variation the engine recognises.

Shapes: B images, N tokens (prefix first), D width, H heads, d head width, P patches.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class VitConfig:
    """One model. `position` says which tokens pos_embed covers: "all", "class+patches" or "patches"."""

    height: int = 48
    width: int = 48
    patch: int = 8
    dim: int = 48
    depth: int = 3
    heads: int = 4
    classes: int = 10
    class_token: bool = True
    registers: int = 0
    distilled: bool = False
    position: str = "all"
    norm_pre: bool = False
    fc_norm: bool = False
    layer_scale: bool = False
    qk_norm: bool = False
    attention_norm: bool = False
    qkv_bias: bool = True
    activation: str = "gelu"
    eps: float = 1e-6
    sequential: bool = False
    unknown_child: bool = False
    timm_methods: bool = False


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation of the original CLIP."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def make_activation(name: str) -> nn.Module:
    return {"gelu": nn.GELU(), "gelu_tanh": nn.GELU(approximate="tanh"), "quick_gelu": QuickGELU()}[name]


class LayerScale(nn.Module):
    """Multiplies every channel by its `gamma`. Init far from 1 so that a forgotten gamma is seen."""

    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(dim).uniform_(0.2, 1.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class ChannelGate(nn.Module):
    """A child that the engine does not know."""

    def __init__(self, dim: int):
        super().__init__()
        self.gate = nn.Parameter(torch.randn(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.gate)


class PatchEmbed(nn.Module):
    def __init__(self, patch: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, c: VitConfig):
        super().__init__()
        self.num_heads = c.heads
        self.head_dim = c.dim // c.heads
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(c.dim, 3 * c.dim, bias=c.qkv_bias)
        self.q_norm = nn.LayerNorm(self.head_dim, eps=c.eps) if c.qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(self.head_dim, eps=c.eps) if c.qk_norm else nn.Identity()
        self.attn_drop = nn.Dropout(0.0)
        self.norm = nn.LayerNorm(c.dim, eps=c.eps) if c.attention_norm else nn.Identity()
        self.proj = nn.Linear(c.dim, c.dim)
        self.proj_drop = nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        B, N, D = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        # written out, so that the full softmax matrix is at hand for the invariants
        attention = self.attn_drop((q * self.scale @ k.transpose(-2, -1)).softmax(dim=-1))
        x = (attention @ v).transpose(1, 2).reshape(B, N, D)
        return self.proj_drop(self.proj(self.norm(x)))


class Mlp(nn.Module):
    def __init__(self, c: VitConfig):
        super().__init__()
        self.fc1 = nn.Linear(c.dim, 4 * c.dim)
        self.act = make_activation(c.activation)
        self.drop1 = nn.Dropout(0.0)
        self.fc2 = nn.Linear(4 * c.dim, c.dim)
        self.drop2 = nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop2(self.fc2(self.drop1(self.act(self.fc1(x)))))


class Block(nn.Module):
    def __init__(self, c: VitConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(c.dim, eps=c.eps)
        self.attn = Attention(c)
        self.ls1 = LayerScale(c.dim) if c.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(c.dim, eps=c.eps)
        self.mlp = Mlp(c)
        self.ls2 = LayerScale(c.dim) if c.layer_scale else nn.Identity()
        self.gate = ChannelGate(c.dim) if c.unknown_child else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.gate(self.ls2(self.mlp(self.norm2(x))))


class VisionTransformer(nn.Module):
    """image (B,3,H,W) -> logits (B,C)."""

    def __init__(self, c: VitConfig):
        super().__init__()
        patches = (c.height // c.patch) * (c.width // c.patch)
        leading = int(c.class_token) + int(c.distilled)
        positions = {"all": leading + c.registers + patches, "class+patches": leading + patches, "patches": patches}
        self.position = c.position
        self.leading = leading
        self.prefix = leading + c.registers
        self.average = c.fc_norm or not c.class_token
        self.num_heads = c.heads

        self.patch_embed = PatchEmbed(c.patch, c.dim)
        self.cls_token = nn.Parameter(torch.randn(1, 1, c.dim)) if c.class_token else None
        self.dist_token = nn.Parameter(torch.randn(1, 1, c.dim)) if c.distilled else None
        self.reg_token = nn.Parameter(torch.randn(1, c.registers, c.dim)) if c.registers else None
        self.pos_embed = nn.Parameter(0.5 * torch.randn(1, positions[c.position], c.dim))
        self.norm_pre = nn.LayerNorm(c.dim, eps=c.eps) if c.norm_pre else nn.Identity()
        blocks = [Block(c) for _ in range(c.depth)]
        self.blocks = nn.Sequential(*blocks) if c.sequential else nn.ModuleList(blocks)
        self.norm = nn.Identity() if c.fc_norm else nn.LayerNorm(c.dim, eps=c.eps)
        self.fc_norm = nn.LayerNorm(c.dim, eps=c.eps) if c.fc_norm else nn.Identity()
        self.head = nn.Linear(c.dim, c.classes)
        self.head_dist = nn.Linear(c.dim, c.classes) if c.distilled else nn.Identity()
        self.distilled = c.distilled

    def embed(self, x: Tensor) -> Tensor:
        """Patches (B,P,D) -> all tokens (B,N,D), before norm_pre."""
        B = x.shape[0]
        if self.position == "patches":
            x = x + self.pos_embed
        leading: list[Tensor] = []
        if self.cls_token is not None:
            leading.append(self.cls_token.expand(B, -1, -1))
        if self.dist_token is not None:
            leading.append(self.dist_token.expand(B, -1, -1))
        registers: list[Tensor] = []
        if self.reg_token is not None:
            registers.append(self.reg_token.expand(B, -1, -1))
        if self.position == "class+patches":
            x = torch.cat(leading + [x], 1) + self.pos_embed
            n = self.leading
            return torch.cat([x[:, :n]] + registers + [x[:, n:]], 1)
        x = torch.cat(leading + registers + [x], 1)
        if self.position == "all":
            x = x + self.pos_embed
        return x

    def tokens(self, image: Tensor) -> Tensor:
        """What enters the first block."""
        return self.norm_pre(self.embed(self.patch_embed(image)))

    def classify(self, x: Tensor) -> Tensor:
        """Tokens after the last block -> logits."""
        x = self.norm(x)
        if self.average:
            return self.head(self.fc_norm(x[:, self.prefix :].mean(1)))
        logits = self.head(x[:, 0])
        if self.distilled:
            logits = (logits + self.head_dist(x[:, 1])) / 2
        return logits

    def forward(self, image: Tensor) -> Tensor:
        x = self.tokens(image)
        for block in self.blocks:
            x = block(x)
        return self.classify(x)


class TimmMethods(VisionTransformer):
    """Exports the prefix and the suffix as scripted methods, under timm's names."""

    @torch.jit.export
    def _pos_embed(self, x: Tensor) -> Tensor:
        return self.embed(x)

    @torch.jit.export
    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.average:
            x = self.fc_norm(x[:, self.prefix :].mean(1))
        else:
            x = x[:, 0]
        return x if pre_logits else self.head(x)


def make_vit(config: VitConfig, seed: int) -> VisionTransformer:
    """A seeded model in eval mode. All one-dimensional parameters are random: neutral biases would hide mistakes."""
    torch.manual_seed(seed)
    model = TimmMethods(config) if config.timm_methods else VisionTransformer(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and "gamma" not in name:
                offset = 1.0 if "norm" in name and name.endswith("weight") else 0.0
                parameter.copy_(offset + 0.3 * torch.randn_like(parameter))
        for parameter in model.parameters():
            parameter.requires_grad_(False)
    return model.eval()
