"""`kfd_export vit`: timm models and Hugging Face folders become files that compute the same, or are refused with a reason."""

import json
import socket

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kfd_export import vit, vit_huggingface
from kfd_export.__main__ import main
from kfd_export.files import sha256_of
from kfd_export.timm_import import import_timm
from oracles.daam_timm import randomise

timm = import_timm()
import transformers  # noqa: E402  (torchvision must be made importable first)

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's and timm's own
NAME = "test_vit"  # timm's own test model: width 64, 6 blocks, 2 heads, 160 x 160


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a conversion opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def timm_model(seed: int = 1, **options):
    model = timm.create_model(NAME, **options)
    randomise(model, seed)
    return model.eval().requires_grad_(False)


def images(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(3))


def largest_difference(path, model, image: torch.Tensor) -> float:
    with torch.inference_mode():
        expected = model(image)
        return float((torch.jit.load(str(path))(image) - expected).abs().max() / expected.abs().max())


def convert(*arguments: object) -> int:
    return main(["vit", "--quiet", *map(str, arguments)])


def jax_archive(model) -> dict[str, np.ndarray]:
    """The parameters of a timm model under the names and in the shapes of the original JAX checkpoints."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    heads = model.blocks[0].attn.num_heads
    D = state["cls_token"].shape[-1]
    out = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": state["head.weight"].T,
        "head/bias": state["head.bias"],
    }
    for b in range(len(model.blocks)):
        ours, theirs = f"blocks.{b}.", f"Transformer/encoderblock_{b}/"
        attention = theirs + "MultiHeadDotProductAttention_1/"
        for i, part in enumerate(("query", "key", "value")):
            rows = slice(i * D, (i + 1) * D)
            out[f"{attention}{part}/kernel"] = state[ours + "attn.qkv.weight"][rows].T.reshape(D, heads, -1)
            out[f"{attention}{part}/bias"] = state[ours + "attn.qkv.bias"][rows].reshape(heads, -1)
        out[attention + "out/kernel"] = state[ours + "attn.proj.weight"].T.reshape(heads, -1, D)
        out[attention + "out/bias"] = state[ours + "attn.proj.bias"]
        for theirs_norm, ours_norm in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            out[f"{theirs}{theirs_norm}/scale"] = state[f"{ours}{ours_norm}.weight"]
            out[f"{theirs}{theirs_norm}/bias"] = state[f"{ours}{ours_norm}.bias"]
        for i in (0, 1):
            out[f"{theirs}MlpBlock_3/Dense_{i}/kernel"] = state[f"{ours}mlp.fc{i + 1}.weight"].T
            out[f"{theirs}MlpBlock_3/Dense_{i}/bias"] = state[f"{ours}mlp.fc{i + 1}.bias"]
    return out


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin", ".npz"])
def test_timm_weights_of_every_format(tmp_path, suffix):
    model, weights, out = timm_model(num_classes=7), tmp_path / f"weights{suffix}", tmp_path / "out.pt"
    if suffix == ".safetensors":
        save_file(model.state_dict(), weights)
    elif suffix == ".npz":
        np.savez(weights, **jax_archive(model))
    else:
        torch.save({"model": model.state_dict(), "epoch": 3} if suffix == ".pth" else model.state_dict(), weights)
    assert convert(NAME, "--weights", weights, "-o", out, "--name", "mine", "--licence", "MIT") == 0
    assert largest_difference(out, model, images(160, 160)) <= 1e-6
    manifest = json.loads((tmp_path / "out.kfd.json").read_text())
    assert manifest["schema"] == "kfd.model/1" and manifest["kind"] == "vit" and manifest["name"] == "mine"
    assert manifest["file"] == "out.pt" and manifest["licence"] == "MIT" and weights.name in manifest["source"]
    assert manifest["bytes"] == out.stat().st_size and manifest["sha256"] == sha256_of(out)
    assert manifest["vit"] == {"heads": 2, "patch": 16, "prefixTokens": 1, "layerNormEps": 1e-6, "activation": "gelu"}
    assert manifest["input"]["width"] == manifest["input"]["height"] == 160
    assert manifest["input"]["mean"] == list(model.pretrained_cfg["mean"])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["out.kfd.json", "out.pt", weights.name])


def test_other_input_size_resamples_positions_as_timm_does(tmp_path):
    model, weights = timm_model(), tmp_path / "weights.pth"
    torch.save(model.state_dict(), weights)
    assert convert(NAME, "--weights", weights, "-o", tmp_path / "out.pt", "--input-size", "96x128") == 0
    expected = timm_model(img_size=(96, 128))
    state = timm.models.vision_transformer.checkpoint_filter_fn(model.state_dict(), expected)
    expected.load_state_dict(state)
    assert largest_difference(tmp_path / "out.pt", expected, images(96, 128)) <= 1e-6
    manifest = json.loads((tmp_path / "out.kfd.json").read_text())
    assert (manifest["input"]["height"], manifest["input"]["width"], manifest["input"]["fit"]) == (96, 128, "stretch")


def test_equal_weights_give_equal_files(tmp_path):
    torch.save(timm_model().state_dict(), tmp_path / "weights.pth")
    for name in ("a", "b"):
        assert convert(NAME, "--weights", tmp_path / "weights.pth", "-o", tmp_path / f"{name}.pt") == 0
    assert sha256_of(tmp_path / "a.pt") == sha256_of(tmp_path / "b.pt")


def test_random_weights_only_when_allowed(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_code:
        convert(NAME, "-o", tmp_path / "out.pt")
    assert exit_code.value.code == 2 and "--allow-random" in capsys.readouterr().err
    assert convert(NAME, "--allow-random", "-o", tmp_path / "out.pt", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "kfd.convert/1" and report["difference"] <= 1e-6
    assert "random weights" in json.loads((tmp_path / "out.kfd.json").read_text())["source"]


class Executed:
    """Unpickling this would run code."""

    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("model", "make", "message"),
    [
        ("no_such_vit", None, "has no model"),
        ("swin_tiny_patch4_window7_224", None, "SwinTransformer, not a VisionTransformer"),
        ("eva02_tiny_patch14_224", None, "not a VisionTransformer"),
        ("xcit_nano_12_p16_224", None, "not a VisionTransformer"),
        ("vit_tiny_r_s16_p8_224", None, "HybridEmbed"),
        ("test_vit", lambda path: torch.save({"blocks.0.norm1.weight": torch.ones(3)}, path), "do not fit test_vit"),
        ("test_vit", lambda path: torch.save({"head.weight": Executed()}, path), "cannot be read as plain tensors"),
        ("test_vit", lambda path: path.write_bytes(b"garbage"), "cannot be read as plain tensors"),
        ("test_vit", lambda path: None, "no weights at"),
    ],
)
def test_refusals(tmp_path, capfd, model, make, message):
    weights = tmp_path / "weights.pth"
    if make is not None:
        make(weights)
    source = ["--allow-random"] if make is None else ["--weights", weights]
    assert convert(model, *source, "-o", tmp_path / "out.pt") == 1
    said = capfd.readouterr()
    assert message in said.err and "executed" not in said.out
    assert not list(tmp_path.glob("out*")) and not list(tmp_path.glob(".out*"))


def test_a_result_that_differs_is_not_kept(tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.pt"
    out.write_bytes(b"an older file")
    monkeypatch.setattr(vit, "difference", lambda *_: 2e-5)
    assert convert(NAME, "--allow-random", "-o", out) == 1
    assert "differs from its source by 2.0e-05" in capsys.readouterr().err
    assert out.read_bytes() == b"an older file" and [p.name for p in tmp_path.iterdir()] == ["out.pt"]


# ------------------------------------------------------------------------------------------------------- Hugging Face

SIZES = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 48, "patch_size": 8}
HUGGING_FACE = {
    "vit": lambda: transformers.ViTModel(transformers.ViTConfig(**SIZES, intermediate_size=96)),
    "vit_classifier": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(**SIZES, intermediate_size=96, num_labels=5, hidden_act="gelu_pytorch_tanh", qkv_bias=False)
    ),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**SIZES, mlp_ratio=2)),
    "dinov2_classifier": lambda: transformers.Dinov2ForImageClassification(transformers.Dinov2Config(**SIZES, num_labels=5)),
    "dinov2_registers": lambda: transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**SIZES)),
    "clip_vision": lambda: transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SIZES, intermediate_size=96)),
    "clip_projection": lambda: transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(**SIZES, intermediate_size=96, projection_dim=24)
    ),
    "clip_whole": lambda: transformers.CLIPModel(
        transformers.CLIPConfig(
            vision_config={**SIZES, "intermediate_size": 96},
            text_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64},
            projection_dim=24,
        )
    ),
}
OUTPUTS = {"vit_classifier": 5, "clip_projection": 24, "clip_whole": 24}


def save_hugging_face(family: str, folder, **options) -> None:
    model = HUGGING_FACE[family]()
    randomise(model, 4)
    model.eval().save_pretrained(folder, **options)


@pytest.mark.parametrize("size", [None, "32x56"])
@pytest.mark.parametrize("family", HUGGING_FACE)
def test_hugging_face_folders(tmp_path, family, size, capsys):
    save_hugging_face(family, tmp_path / "folder")
    out = tmp_path / "out.pt"
    capsys.readouterr()
    assert convert("--hf", tmp_path / "folder", "-o", out, "--json", *(["--input-size", size] if size else [])) == 0
    report = json.loads(capsys.readouterr().out)
    assert 0 <= report["difference"] <= 1e-5 and "transformers" in report["comparedWith"]
    height, width = (48, 48) if size is None else (32, 56)
    assert torch.jit.load(str(out))(images(height, width)).shape == (2, OUTPUTS.get(family, 48))
    manifest = json.loads((tmp_path / "out.kfd.json").read_text())
    clip = family.startswith("clip")
    assert manifest["vit"]["heads"] == 4 and manifest["vit"]["prefixTokens"] == (5 if family == "dinov2_registers" else 1)
    assert manifest["vit"]["layerNormEps"] == (1e-5 if clip else 1e-12 if family.startswith("vit") else 1e-6)
    assert manifest["vit"]["activation"] == ("quick_gelu" if clip else "gelu_tanh" if family == "vit_classifier" else "gelu")


def test_hugging_face_shards_and_preprocessing(tmp_path):
    folder = tmp_path / "folder"
    save_hugging_face("dinov2", folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    settings = {"do_center_crop": True, "size": {"shortest_edge": 56}, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    assert convert("--hf", folder, "-o", tmp_path / "out.pt") == 0
    given = json.loads((tmp_path / "out.kfd.json").read_text())["input"]
    assert given == {"width": 48, "height": 48, "fit": "crop", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}


def test_a_wrong_mapping_is_noticed(tmp_path, capsys, monkeypatch):
    save_hugging_face("vit", tmp_path / "folder")
    swapped = {**vit_huggingface.VIT_BLOCK, "norm1": "layernorm_after", "norm2": "layernorm_before"}
    monkeypatch.setitem(vit_huggingface.BLOCK_NAMES, "vit", swapped)
    assert convert("--hf", tmp_path / "folder", "-o", tmp_path / "out.pt") == 1
    assert "differs from its source" in capsys.readouterr().err and not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, state: config.update(model_type="swin"), "model_type 'swin' is not supported"),
        (lambda config, state: config.update(use_swiglu_ffn=True), "use_swiglu_ffn"),
        (lambda config, state: config.update(hidden_act="relu"), "hidden_act 'relu' is not supported"),
        (lambda config, state: state.pop("encoder.layer.1.norm1.weight"), "have no tensor 'encoder.layer.1.norm1.weight'"),
        (lambda config, state: state.update(extra=torch.ones(2)), "1 tensors of the weights have no place"),
    ],
)
def test_hugging_face_refusals(tmp_path, capsys, change, message):
    folder = tmp_path / "folder"
    save_hugging_face("dinov2", folder)
    config = json.loads((folder / "config.json").read_text())
    state = vit_huggingface.weights_of(folder)
    change(config, state)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors")
    assert convert("--hf", folder, "-o", tmp_path / "out.pt") == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out.pt").exists()


def test_hugging_face_hub_names_are_not_looked_up(tmp_path, capsys):
    assert convert("--hf", "facebook/dinov2-small", "-o", tmp_path / "out.pt") == 1
    assert "nothing is downloaded" in capsys.readouterr().err
