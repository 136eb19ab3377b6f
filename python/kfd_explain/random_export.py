"""An explainer with random weights in the shipped format: for tests and measurements of everything but what it says."""

import argparse
import json
from pathlib import Path

import torch
from torch import nn

from kfd_model.heads import PromptLearner

from . import export
from .language_model import Shape
from .lora import RANK, TENSORS

# Of SmolLM2-135M; the file itself is not needed for random factors of the right shapes.
SMOLLM2 = Shape(width=576, blocks=30, heads=9, kv_heads=3, epsilon=1e-5, rope_base=100000.0)
DETECTOR_WIDTH = 384  # of mini-kfd's image embedding g
CHANNELS = (8, 16, 32, 48, 64, 96)


def random_factors(shape: Shape, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """LoRA factors by GGUF names, large enough to change the model's words and small enough to keep it running."""
    narrow = shape.kv_heads * shape.head_width
    outputs = {"q": shape.width, "k": narrow, "v": narrow, "o": shape.width}
    factors = {}
    for block in range(shape.blocks):
        for name, tensor in TENSORS.items():
            factors[f"blk.{block}.{tensor}.weight.lora_a"] = torch.randn(RANK, shape.width, generator=generator) / shape.width**0.5
            factors[f"blk.{block}.{tensor}.weight.lora_b"] = 0.01 * torch.randn(outputs[name], RANK, generator=generator)
    return factors


def random_prompts(generator: torch.Generator, channels: tuple[int, ...] = CHANNELS) -> export.Prompts:
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(1 << 31, (), generator=generator)))
        learner = PromptLearner(export.LEVELS, export.WIDTH, export.PROMPTS, channels=channels)
        prompts = export.Prompts(learner, nn.Linear(DETECTOR_WIDTH, export.WIDTH))
    with torch.no_grad():
        learner.base_prompts.mul_(0.1)  # about the size of SmolLM2's own token embeddings
    return prompts.eval()


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_explain random", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for explainer.pt, explainer-lora.gguf and explainer.kfd.json")
    parser.add_argument("--detector", type=Path, default=Path("../weights/mini-kfd.kfd.json"), help="manifest of the detector it is for")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(arguments.seed)
    described = export.write_explainer(
        random_prompts(generator),
        random_factors(SMOLLM2, generator),
        export.detector_identity(arguments.detector),
        arguments.out,
        maturity="demonstration",
        training={"seed": arguments.seed},
        metrics={},
    )
    print(json.dumps({"prompts": described["sha256"], "adapter": described["explainer"]["adapter"]["sha256"]}))
