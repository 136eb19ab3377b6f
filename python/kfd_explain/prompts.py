"""Pre-trains the forgery prompt learner: named map -> nine rows in which the language model finds the named regions (slots.py).

`python -m kfd_explain prompts --detections DIR --out FILE` needs no training loop. The detector can name 95 different sets of regions
(none, the whole face, the center, one to three of eight parts), so the branch on the named map sees 95 different pictures, and its last
convolution is solved for the ideal rows of all of them by least squares. Its other convolutions stay as they are drawn from the seed.
The branch on the similarity maps starts without effect (its last convolution is zero) and learns with the language model.
"""

import argparse
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kfd_model.heads import PromptLearner
from kfd_train.naming import CENTER, MOST_PARTS, WHOLE, NamingRule, RegionNamer

from . import detections
from .evidence import SLOT_ORDER
from .language_model import token_embeddings
from .named_map import NamedMap, NamedPromptLearner
from .slots import SLOT_OF, slot_basis, states

LANGUAGE_MODEL = Path(os.environ.get("KFD_LANGUAGE_MODEL", "../.cache/llama/SmolLM2-135M-Instruct.Q4_1.gguf"))
CHANNELS = (8, 16, 32, 64, 96, 128)
RIDGE = 1e-4  # of the least squares, relative to the features' mean square: keeps weights small enough for half precision


class ReadOut(nn.Module):
    """Rows (B,9,W) -> states (B,10) in the order of SLOT_ORDER: 0 unmarked, 1 named. Least squares on the marks of each slot."""

    def __init__(self, base: Tensor, marks: Tensor):
        super().__init__()
        self.register_buffer("base", base)
        reading = torch.zeros_like(marks)
        for slot in range(base.shape[0]):
            own = [i for i, name in enumerate(SLOT_ORDER) if SLOT_OF[name] == slot]
            reading[own, slot] = torch.linalg.pinv(marks[own, slot]).t()
        self.register_buffer("reading", reading)

    def forward(self, rows: Tensor) -> Tensor:
        return torch.einsum("bsw,rsw->br", rows - self.base, self.reading)


def region_sets(parts: list[str]) -> list[tuple[str, ...]]:
    """Every set that the rule can name: 95 with eight parts."""
    some = [names for count in range(1, MOST_PARTS + 1) for names in itertools.combinations(parts, count)]
    return [(), (WHOLE,), (CENTER,), *some]


def painted_sets(namer: RegionNamer, sets: list[tuple[str, ...]]) -> Tensor:
    """(N,1,224,224) float32: the named map of each set."""
    empty = np.zeros_like(namer.masks[WHOLE])
    return torch.from_numpy(np.stack([np.logical_or.reduce([empty, *(namer.masks[name] for name in names)]) for names in sets]))[:, None].float()


def new_learner(base: Tensor, channels: tuple[int, ...], levels: int = 3) -> PromptLearner:
    """An untrained one that gives the base rows: P = base + branch on similarity maps (zero) + branch on the named map (zero)."""
    learner = PromptLearner(levels=levels, llm_width=base.shape[1], channels=channels)
    slots = base.shape[0]
    with torch.no_grad():
        learner.base_prompts.copy_(base)
        for branch in (learner.meta_net1, learner.meta_net2):
            nn.init.zeros_(branch[-1].weight)
            nn.init.zeros_(branch[-1].bias)
        learner.finalconv.weight.zero_()
        learner.finalconv.bias.zero_()
        for slot in range(slots):
            # Input channels of the last convolution: base, similarity maps, named map, score.
            for first in (0, slots, 2 * slots):
                learner.finalconv.weight[slot, first + slot, 1] = 1.0
    return learner


@torch.no_grad()
def settle_norms(branch: nn.Sequential, batches: Iterable[Tensor]) -> None:
    """Gives the branch's BatchNorms the mean statistics of these inputs, and leaves it in eval mode."""
    norms = [m for m in branch.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean
    branch.train()
    for batch in batches:
        branch(batch)
    for norm in norms:
        norm.momentum = 0.1
    branch.eval()


def similarity_batches(store: detections.Detections, count: int) -> Iterator[Tensor]:
    """Inputs of the branch on the similarity maps, (8,2 * levels,224,224) each."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield torch.cat(store.inputs([store.draw(rng) for _ in range(8)])[0], dim=1)


@torch.no_grad()
def solve_last_convolution(branch: nn.Sequential, inputs: Tensor, wanted: Tensor) -> float:
    """Sets weight and bias of the branch's last convolution so that it gives `wanted` (N,9,W) for `inputs` (N,1,224,224).

    Least squares with a small ridge, in double precision. Returns the largest remaining difference.
    """
    last = branch[-1]
    features = torch.cat([branch[:-1](part) for part in inputs.split(19)])
    # One row a slot: the 5 x 5 window of features that it sees, and a one for the bias.
    windows = F.unfold(features, last.kernel_size).transpose(1, 2).flatten(0, 1).double()
    windows = torch.cat([windows, torch.ones(len(windows), 1, dtype=torch.float64)], dim=1)
    target = wanted.flatten(0, 1).double()
    gram = windows @ windows.t()
    # Fewer equations than unknowns: solve for the multipliers of the equations.
    multipliers = torch.linalg.solve(gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64), target)
    solution = (windows.t() @ multipliers).float()
    last.weight.copy_(solution[:-1].t().reshape(last.weight.shape))
    last.bias.copy_(solution[-1])
    given = torch.cat([branch(part) for part in inputs.split(19)]).flatten(2).transpose(1, 2)
    return float((given - wanted).abs().max())


def pretrain(namer: RegionNamer, base: Tensor, marks: Tensor, channels: tuple[int, ...], levels: int) -> tuple[PromptLearner, float]:
    """The learner whose rows are the ideal ones for every set of regions, and the largest difference from them."""
    learner = new_learner(base, channels, levels)
    sets = region_sets(namer.parts)
    inputs = painted_sets(namer, sets)
    settle_norms(learner.meta_net2, [inputs])
    wanted = torch.einsum("nr,rsw->nsw", torch.stack([states(names) for names in sets]), marks)
    return learner, solve_last_convolution(learner.meta_net2, inputs, wanted)


@torch.no_grad()
def measure(prompts: NamedPromptLearner, readout: ReadOut, store: detections.Detections, batch: int = 16) -> dict:
    """Share of the rows whose region set is read back exactly from the prompts, as float32 and after storage in half precision."""
    exact = {"float32": 0, "half": 0}
    stored = load_state(prompts_state(prompts), half=True)
    for first in range(0, len(store), batch):
        rows = list(range(first, min(first + batch, len(store))))
        maps, S, p, _ = store.inputs(rows)
        truth = torch.stack([states(tuple(store.rows[i]["named"])) for i in rows]) > 0.5
        for name, module in (("float32", prompts), ("half", stored)):
            exact[name] += int(((readout(module(maps, S, p)) > 0.5) == truth).all(1).sum())
    return {"rows": len(store), **{name: round(count / len(store), 4) for name, count in exact.items()}}


def prompts_state(prompts: NamedPromptLearner, record: dict | None = None) -> dict:
    """Everything that a checkpoint holds: the weights and what the module is built from."""
    named, learner = prompts.named_map, prompts.learner
    channels = [m.out_channels for m in learner.meta_net2 if isinstance(m, nn.Conv2d)][:-1]
    rule = NamingRule(named.lit, named.minimum, named.least_whole, named.least_center, named.least_part, named.explained)
    return {
        "channels": channels,
        "width": learner.base_prompts.shape[1],
        "levels": learner.meta_net1[0].in_channels // 2,
        "weights": learner.state_dict(),
        "names": list(named.names),
        "masks": named.masks,
        "rule": vars(rule),
        "threshold": named.threshold,
        "record": record or {},
    }


def load_state(state: dict, half: bool = False) -> NamedPromptLearner:
    """The module of a checkpoint, in eval mode. `half`: weights rounded to half precision, as the exported file stores them."""
    learner = PromptLearner(levels=state["levels"], llm_width=state["width"], channels=tuple(state["channels"]))
    learner.load_state_dict(state["weights"])
    namer = RegionNamer.of_masks({name: mask.numpy() for name, mask in zip(state["names"], state["masks"])}, NamingRule(**state["rule"]))
    module = NamedPromptLearner(NamedMap(namer, state["threshold"]), learner)
    return (module.half().float() if half else module).eval()


def save(path: Path, prompts: NamedPromptLearner, record: dict) -> None:
    """Writes a checkpoint under a temporary name, then renames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    torch.save(prompts_state(prompts, record), temporary)
    os.replace(temporary, path)


def load_prompt_learner(path: Path) -> NamedPromptLearner:
    """The checkpoint that `prompts` wrote, in eval mode. Raises FileNotFoundError if there is none."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected a pre-trained prompt learner at {path}; make it with `python -m kfd_explain prompts --out {path}`")
    return load_state(torch.load(path, map_location="cpu", weights_only=True))


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_explain prompts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", type=Path, default=Path("../weights/mini-kfd.kfd.json"), help="manifest of the detector: threshold, regions, naming rule")
    parser.add_argument("--detections", type=Path, required=True, help="folder written by `detections`")
    parser.add_argument("--language-model", type=Path, default=LANGUAGE_MODEL, help="GGUF whose token embeddings the rows resemble")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--channels", type=int, nargs=6, default=CHANNELS)
    parser.add_argument("--seed", type=int, default=6)
    a = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    described = json.loads(a.detector.read_text(encoding="utf-8"))
    store, held = detections.load(a.detections, "train"), detections.load(a.detections, "calibration")
    if store.described["detector"]["sha256"] != described["sha256"]:
        raise ValueError(f"expected detections of {described['sha256']} in {a.detections}, got {store.described['detector']['sha256']}; make them anew")
    namer = RegionNamer(described["face"]["regions"], NamingRule(**described["face"].get("naming", {})))
    base, marks = slot_basis(*token_embeddings(a.language_model))
    learner, difference = pretrain(namer, base, marks, tuple(a.channels), len(described["vit"]["taps"]))
    settle_norms(learner.meta_net1, similarity_batches(store, 8))
    prompts = NamedPromptLearner(NamedMap(namer, described["kfd"]["threshold"]), learner).eval()
    record = {"seed": a.seed, "detector": store.described["detector"], "largestDifference": difference, "calibration": measure(prompts, ReadOut(base, marks), held)}
    save(a.out, prompts, record)
    print(json.dumps(record), flush=True)
