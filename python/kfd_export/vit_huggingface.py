"""Vision towers saved by Hugging Face's transformers (ViT, DINOv2, DINOv2 with registers, CLIP), under timm's names.

Reads `config.json`, the weights and, where it is there, `preprocessor_config.json` from a local folder. No number is
changed, except that a position embedding is resampled if another input size is asked for, as transformers does it.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .timm_import import import_timm
from .vit_timm import Source, read_weights

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
DEFAULT_NORMALISATION = {
    "vit": (HALF, HALF),
    "dinov2": (IMAGENET_MEAN, IMAGENET_STD),
    "dinov2_with_registers": (IMAGENET_MEAN, IMAGENET_STD),
    "clip_vision_model": (CLIP_MEAN, CLIP_STD),
}
ACTIVATIONS = {"gelu": "GELU", "gelu_pytorch_tanh": "GELUTanh", "gelu_new": "GELUTanh", "quick_gelu": "QuickGELU"}

# (name in a block of timm, name in a block of the source); query, key and value are joined into attn.qkv
VIT_BLOCK = {
    "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
}  # fmt: skip
DINOV2_BLOCK = {
    "norm1": "norm1", "norm2": "norm2", "attn.proj": "attention.output.dense", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
}  # fmt: skip
CLIP_BLOCK = {
    "norm1": "layer_norm1", "norm2": "layer_norm2", "attn.proj": "self_attn.out_proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
}  # fmt: skip
BLOCK_NAMES = {"vit": VIT_BLOCK, "dinov2": DINOV2_BLOCK, "dinov2_with_registers": DINOV2_BLOCK, "clip_vision_model": CLIP_BLOCK}


def read_config(folder: Path) -> dict:
    """config.json, of a CLIP model the vision part; `model_type` is one of BLOCK_NAMES or ValueError is raised."""
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"no config.json in {folder}: expected a folder that save_pretrained() of transformers wrote")
    config = json.loads(file.read_text(encoding="utf-8"))
    kind = config.get("model_type")
    if kind == "clip":
        # older files keep the projection's width beside the vision part only
        config = {"projection_dim": config.get("projection_dim"), **config["vision_config"], "model_type": "clip_vision_model"}
        kind = "clip_vision_model"
    if kind not in BLOCK_NAMES:
        raise ValueError(f"{file}: model_type '{kind}' is not supported, expected one of {', '.join([*BLOCK_NAMES, 'clip'])}")
    if config.get("use_swiglu_ffn"):
        raise ValueError(f"{file}: use_swiglu_ffn (DINOv2 giant) is not supported: the engine knows MLPs with one activation")
    if config.get("hidden_act", "gelu") not in ACTIVATIONS and kind != "clip_vision_model":
        raise ValueError(f"{file}: hidden_act '{config['hidden_act']}' is not supported, expected one of {', '.join(ACTIVATIONS)}")
    return config


def weights_of(folder: Path) -> dict[str, Tensor]:
    """All tensors of the folder: one file, or the shards that an index names."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return read_weights(folder / name)
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            return {key: value for shard in shards for key, value in read_weights(folder / Path(shard).name).items()}
    raise FileNotFoundError(f"no model.safetensors and no pytorch_model.bin in {folder}")


def without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tower's own names: `vit.`, `dinov2.` or `vision_model.` removed, what belongs to a text tower left out."""
    prefixes = ("vit.", "dinov2_with_registers.", "dinov2.", "vision_model.")
    found = {}
    for name, value in weights.items():
        if name.startswith(("text_model.", "text_projection.", "logit_scale")) or name.endswith("position_ids"):
            continue
        prefix = next((p for p in prefixes if name.startswith(p)), "")
        found[name.removeprefix(prefix)] = value.float()
    return found


def resample(positions: Tensor, grid: tuple[int, int], antialias: bool) -> Tensor:
    """Patch positions (1,g*g,D) -> (1,h*w,D): bicubic with half-pixel centres, as transformers does."""
    side = round(positions.shape[1] ** 0.5)
    if (side, side) == grid:
        return positions
    plane = positions.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    return F.interpolate(plane, size=grid, mode="bicubic", align_corners=False, antialias=antialias).flatten(2).transpose(1, 2)


def embeddings(weights: dict[str, Tensor], kind: str, grid: tuple[int, int]) -> dict[str, Tensor]:
    """cls_token, pos_embed, reg_token and patch_embed in timm's form."""
    if kind == "clip_vision_model":
        token = weights.pop("embeddings.class_embedding").reshape(1, 1, -1)
        position = weights.pop("embeddings.position_embedding.weight")[None]
        patch = {"patch_embed.proj.weight": weights.pop("embeddings.patch_embedding.weight")}
    else:
        token, position = weights.pop("embeddings.cls_token"), weights.pop("embeddings.position_embeddings")
        patch = {f"patch_embed.proj.{part}": weights.pop(f"embeddings.patch_embeddings.projection.{part}") for part in ("weight", "bias")}
    weights.pop("embeddings.mask_token", None)  # training only
    # transformers antialiases for models with registers only
    of_token, of_patches = position[:, :1], resample(position[:, 1:], grid, kind == "dinov2_with_registers")
    registers = weights.pop("embeddings.register_tokens", None)
    if registers is None:
        return {**patch, "cls_token": token, "pos_embed": torch.cat([of_token, of_patches], 1)}
    # timm's DINOv2 with registers adds positions to patches only, so the class token carries its own
    return {**patch, "cls_token": token + of_token, "pos_embed": of_patches, "reg_token": registers}


def block(weights: dict[str, Tensor], kind: str, index: int) -> dict[str, Tensor]:
    """The parameters of one block in timm's names, taken out of `weights`."""
    clip = kind == "clip_vision_model"
    source = f"encoder.layers.{index}." if clip else f"encoder.layer.{index}."
    state = {}
    for ours, theirs in BLOCK_NAMES[kind].items():
        for part in ("weight", "bias"):
            state[f"{ours}.{part}"] = weights.pop(f"{source}{theirs}.{part}")
    qkv = [f"self_attn.{n}_proj" for n in "qkv"] if clip else [f"attention.attention.{n}" for n in ("query", "key", "value")]
    for part in ("weight", "bias"):
        if f"{source}{qkv[0]}.{part}" in weights:
            state[f"attn.qkv.{part}"] = torch.cat([weights.pop(f"{source}{name}.{part}") for name in qkv])
    for n in (1, 2):
        if f"{source}layer_scale{n}.lambda1" in weights:
            state[f"ls{n}.gamma"] = weights.pop(f"{source}layer_scale{n}.lambda1")
    return {f"blocks.{index}.{name}": value for name, value in state.items()}


def head(weights: dict[str, Tensor], kind: str, width: int, notes: list[str]) -> dict[str, Tensor]:
    """Classifier or projection where timm's head can hold it, else nothing: the output is then the class token's feature."""
    if "visual_projection.weight" in weights:
        matrix = weights.pop("visual_projection.weight")
        return {"head.weight": matrix, "head.bias": torch.zeros(matrix.shape[0])}
    if "classifier.weight" in weights:
        matrix, bias = weights.pop("classifier.weight"), weights.pop("classifier.bias")
        if matrix.shape[1] == width:
            return {"head.weight": matrix, "head.bias": bias}
        notes.append(f"its classifier reads {matrix.shape[1]} values (class token and mean patch), timm's head {width}: left out")
    if "pooler.dense.weight" in weights:
        del weights["pooler.dense.weight"], weights["pooler.dense.bias"]
        notes.append("its pooler (dense layer and tanh) is left out: the output is the class token after the last norm")
    return {}


def timm_state(weights: dict[str, Tensor], config: dict, grid: tuple[int, int], notes: list[str]) -> dict[str, Tensor]:
    """All parameters in timm's names. Raises ValueError when a tensor is missing or left over."""
    kind, left = config["model_type"], without_prefix(weights)
    try:
        state = embeddings(left, kind, grid)
        for index in range(config["num_hidden_layers"]):
            state.update(block(left, kind, index))
        norm = "post_layernorm" if kind == "clip_vision_model" else "layernorm"
        for part in ("weight", "bias"):
            state[f"norm.{part}"] = left.pop(f"{norm}.{part}")
            if kind == "clip_vision_model":
                state[f"norm_pre.{part}"] = left.pop(f"pre_layrnorm.{part}")  # their spelling
    except KeyError as error:
        raise ValueError(f"the weights have no tensor {error}, which a '{kind}' of this configuration has") from error
    state.update(head(left, kind, config["hidden_size"], notes))
    if left:
        raise ValueError(f"{len(left)} tensors of the weights have no place in a plain vision transformer: {', '.join(list(left)[:5])} ...")
    return state


def build(config: dict, state: dict[str, Tensor], size: tuple[int, int]) -> nn.Module:
    """timm's VisionTransformer with these parameters."""
    timm = import_timm()
    clip = config["model_type"] == "clip_vision_model"
    act = ACTIVATIONS[config.get("hidden_act", "quick_gelu" if clip else "gelu")]
    model = timm.models.VisionTransformer(
        img_size=size,
        patch_size=config["patch_size"],
        embed_dim=config["hidden_size"],
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        mlp_ratio=state["blocks.0.mlp.fc1.weight"].shape[0] / config["hidden_size"],
        num_classes=state["head.weight"].shape[0] if "head.weight" in state else 0,
        qkv_bias="blocks.0.attn.qkv.bias" in state,
        init_values=1.0 if "blocks.0.ls1.gamma" in state else None,
        reg_tokens=state["reg_token"].shape[1] if "reg_token" in state else 0,
        no_embed_class="reg_token" in state,
        pre_norm=clip,
        norm_layer=layer_norm(config["layer_norm_eps"]),
        act_layer=nn.GELU if act == "GELU" else getattr(timm.layers, act),
    )
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def layer_norm(eps: float):
    def make(width: int, **options) -> nn.LayerNorm:
        return nn.LayerNorm(width, eps=eps, **options)

    return make


def preprocessing(folder: Path, kind: str, size: tuple[int, int], notes: list[str]) -> tuple[tuple, tuple, str]:
    """mean, std and fit, from preprocessor_config.json or the family's usual values."""
    mean, std = DEFAULT_NORMALISATION[kind]
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        notes.append("no preprocessor_config.json: mean and std are the usual ones of the family")
        return mean, std, "crop" if size[0] == size[1] and kind != "vit" else "stretch"
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.get("do_normalize", True):
        mean, std = tuple(config.get("image_mean", mean)), tuple(config.get("image_std", std))
    else:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    crop = bool(config.get("do_center_crop", False)) and size[0] == size[1]
    edge = config.get("size", {})
    edge = edge.get("shortest_edge") if isinstance(edge, dict) else edge
    if crop and edge and edge != size[0]:
        notes.append(f"the processor resizes the shorter side to {edge} before cropping; the manifest's 'crop' resizes it to {size[0]}")
    return mean, std, "crop" if crop else "stretch"


class OriginalModel(nn.Module):
    """The same folder through transformers: image -> what the converted model returns."""

    def __init__(self, folder: Path, model_type: str, state: dict[str, Tensor]):
        super().__init__()
        import transformers  # noqa: PLC0415

        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()  # a tower without its text half is what was asked for
        self.interpolates = model_type not in ("dinov2", "dinov2_with_registers")  # those always resample positions
        self.clip = model_type in ("clip", "clip_vision_model")
        if model_type == "clip":
            loader = transformers.CLIPModel
        elif model_type == "clip_vision_model":
            loader = transformers.CLIPVisionModelWithProjection if "head.weight" in state else transformers.CLIPVisionModel
        else:
            loader = transformers.AutoModelForImageClassification if "head.weight" in state else transformers.AutoModel
        self.model = loader.from_pretrained(str(folder), local_files_only=True, dtype=torch.float32).eval()

    def forward(self, image: Tensor) -> Tensor:
        options = {"interpolate_pos_encoding": True} if self.interpolates else {}
        if hasattr(self.model, "visual_projection"):
            pooled = self.model.vision_model(image, **options).pooler_output
            return self.model.visual_projection(pooled)
        out = self.model(image, **options)
        if self.clip:
            return out.pooler_output
        return out.logits if hasattr(out, "logits") else out.last_hidden_state[:, 0]


def original(folder: Path, model_type: str, state: dict[str, Tensor]) -> OriginalModel:
    """Raises ValueError where transformers is not there: a conversion that nobody compared is not handed out unasked."""
    import_timm()  # transformers imports torchvision, which may need the same help as for timm
    try:
        return OriginalModel(folder, model_type, state)
    except ImportError as error:
        raise ValueError(
            f"transformers cannot be imported ({error}), so the result cannot be compared with the original: "
            "'pip install transformers', or convert with --unchecked"
        ) from error


def load(folder: Path, size: tuple[int, int] | None, compare: bool) -> Source:
    """The vision tower of a local folder. `size` (height, width), default the configuration's own."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: --hf takes a local folder, nothing is downloaded")
    config = read_config(folder)
    stored_type = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    side = config["image_size"]
    size = size or ((side, side) if isinstance(side, int) else tuple(side))
    patch = config["patch_size"]
    if not isinstance(patch, int) or size[0] % patch or size[1] % patch:
        raise ValueError(f"an input of {size[0]} x {size[1]} (height x width) is not a multiple of the patch size {patch}")
    notes: list[str] = []
    state = timm_state(weights_of(folder), config, (size[0] // patch, size[1] // patch), notes)
    model = build(config, state, size)
    mean, std, fit = preprocessing(folder, config["model_type"], size, notes)
    return Source(
        model, folder.resolve().name, f"Hugging Face folder {folder.resolve().name} ({stored_type})", mean, std, fit,
        reference=original(folder, stored_type, state) if compare else None, notes=notes,
    )  # fmt: skip
