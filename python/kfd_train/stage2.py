"""Stage 2: locator and classifier learn on stored similarity maps of the finished stage 1; then the score is calibrated.

Storing the 16 x 16 maps (3 KB a picture) lets the heads see each picture several times without running the encoder again.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kfd_model import KFD, Classifier

from . import choose_threshold, losses, testsets
from .batches import Material, PairStream, loader
from .calibrate import calibrate
from .checkpoint import save_detector
from .choose_naming import choose_for
from .network import autocast, normalise
from .stage1 import restore_network
from .store import photograph_credits, read_canonical, read_faces

MAP_SCALE = 0.1  # maps range over +-100; a tenth suits fresh convolutions. Folded into the first convolutions at the end.
LAST_LAYER_STEPS = 600
CLASSIFIER_RATE, LOCATOR_RATE = 3e-4, 3e-3  # the classifier only refines what its start and the fitted last layers give
LOCATOR_CROP = 56  # side of the locator's training crops: it sees only 5 x 5 pixels of the enlarged maps


@torch.no_grad()
def similarity_maps(kfd: KFD, pictures: Tensor, batch: int = 16, precision: str = "float32") -> Tensor:
    """uint8 (N,224,224,3) -> (N,levels,2,16,16) float32 on the model's device; `precision` of the encoder, by default as it ships."""
    device, out = kfd.class_embeddings.device, []
    for i in range(0, len(pictures), batch):
        x = normalise(pictures[i : i + batch].to(device))
        with autocast(str(device), precision):
            tapped = kfd.tapped_tokens(x)
        out.append(torch.stack(kfd.patch_similarities([t.float() for t in tapped]), dim=1))
    return torch.cat(out)


def store_maps(kfd: KFD, stream: PairStream, batches: int, workers: int, precision: str = "bfloat16") -> tuple[Tensor, Tensor]:
    """Maps float16 (N,levels,2,16,16) and masks uint8 (N,224,224) of so many training batches; even rows untouched."""
    maps, masks = [], []
    stream.first = 1 << 20  # pictures that stage 1 has not seen
    for pictures, mask in itertools.islice(loader(stream, workers), batches):
        maps.append(similarity_maps(kfd, pictures, precision=precision).half().cpu())
        masks.append(mask)
    return torch.cat(maps), torch.cat(masks)


@torch.no_grad()
def start_from_exceedances(classifier: Classifier, difference: Tensor) -> None:
    """First convolutions start as graded thresholds on deepfake minus pristine, later ones pass them on.

    So the untrained classifier already pools "how much of the face exceeds how strong an evidence", and training refines that.
    `difference`: (levels, n) scaled map differences of training pictures.
    """
    for branch, values in zip(classifier.meta_net, difference):
        levels = torch.quantile(values, torch.linspace(0.3, 0.995, 12, device=values.device))
        first = branch[0]
        first.weight[:12].zero_()
        for i, level in enumerate(levels):
            first.weight[i, :, 1, 1] = torch.tensor([-1.0, 1.0])
            first.bias[i] = -level
        for index in (4, 8, 12):
            branch[index].weight[:12].zero_()
            for i in range(12):
                branch[index].weight[i, i, 1, 1] = 1.0
                branch[index].bias[i] = 1.0  # BatchNorm centres its output: keep weak evidence above the ReLU


def augment(maps: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirrors half of the batches and adds a little common offset to each map."""
    if torch.rand((), generator=rng) < 0.5:
        maps, masks = maps.flip(-1), masks.flip(-1)
    offset = torch.randn(maps.shape[:3], generator=rng) * 0.03
    return maps + offset[..., None, None].to(maps), masks


def fit_last_layers(
    classifier: Classifier, kfd: KFD, scaled: Tensor, steps: int, generator: torch.Generator, device: str, precision: str, batch: int = 32
) -> None:
    """Fits fc1 and fc2 on the features that the starting convolutions give, each computed once: thousands of steps in seconds.

    The BatchNorms take their statistics from these pictures first. `scaled`: maps times MAP_SCALE, rows alternate real, fake.
    """

    def features(rows: Tensor) -> Tensor:
        enlarged = [m.contiguous(memory_format=torch.channels_last) for m in kfd.enlarge(list(scaled[rows].to(device).unbind(1)))]
        with autocast(device, precision):
            return classifier.features(enlarged).float().cpu()

    norms = [m for m in classifier.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean for now
    with torch.no_grad():
        for rows in torch.randperm(len(scaled), generator=generator)[: 8 * batch].split(batch):
            features(rows)
        classifier.eval()
        table = torch.cat([features(rows) for rows in torch.arange(len(scaled)).split(batch)])
    for norm in norms:
        norm.momentum = 0.1
    last = nn.Sequential(classifier.fc1, nn.ReLU(), classifier.fc2)
    optimiser = torch.optim.AdamW(last.parameters(), 2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    table = table.to(device)
    for _ in range(steps):
        rows = torch.randint(len(table), (128,), generator=generator)
        noisy = table[rows] * (1 + 0.1 * torch.randn(table[rows].shape, generator=generator).to(device))
        loss = F.cross_entropy(last(noisy), (rows % 2).to(device), label_smoothing=0.02)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    print(f"last layers fitted on {len(table)} pictures, loss {float(loss.detach()):.3f}", flush=True)
    classifier.train()


def train_heads(
    kfd: KFD, maps: Tensor, masks: Tensor, steps: int, seed: int, batch: int = 16, device: str = "cpu", precision: str = "bfloat16"
) -> None:
    """Trains kfd.classifier (cross-entropy on pairs) and kfd.locator (focal + Dice, spec kfd 14.1) in place."""
    classifier, locator = kfd.classifier.to(device).train(), kfd.locator.to(device).train()
    classifier.requires_grad_(True), locator.requires_grad_(True)
    scaled = maps.float() * MAP_SCALE
    difference = (scaled[:, :, 1] - scaled[:, :, 0]).transpose(0, 1).flatten(1)
    start_from_exceedances(classifier, difference[:, :: max(1, difference.shape[1] // 100_000)].to(device))
    generator = torch.Generator().manual_seed(seed)
    fit_last_layers(classifier, kfd, scaled, LAST_LAYER_STEPS, generator, device, precision)
    parameters = [*classifier.parameters(), *locator.parameters()]
    groups = [{"params": list(classifier.parameters())}, {"params": list(locator.parameters())}]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [CLASSIFIER_RATE, LOCATOR_RATE], total_steps=steps)
    started, recent = time.monotonic(), []
    for step in range(steps):
        pair = torch.randint(len(maps) // 2, (batch // 2,), generator=generator)
        rows = torch.stack([2 * pair, 2 * pair + 1], dim=1).flatten()
        maps_in, masks_in = augment(scaled[rows], masks[rows], generator)
        enlarged = [m.contiguous(memory_format=torch.channels_last) for m in kfd.enlarge(list(maps_in.to(device).unbind(1)))]
        label = (torch.arange(batch) % 2).to(device)
        with autocast(device, precision):
            logits = classifier.logits(enlarged)
        top, left = torch.randint(kfd.map_size - LOCATOR_CROP + 1, (2,), generator=generator).tolist()
        place = (..., slice(top, top + LOCATOR_CROP), slice(left, left + LOCATOR_CROP))
        with autocast(device, precision):
            located = locator.logits([m[place] for m in enlarged])
        S, truth = located.float().softmax(1), masks_in[place].to(device)
        parts = [F.cross_entropy(logits.float(), label, label_smoothing=0.02), losses.focal(S, truth), losses.dice(S[1::2, 1], truth[1::2])]
        loss = parts[0] + parts[1] + 0.5 * parts[2]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        recent = [*recent[-49:], [*(float(p.detach()) for p in parts), float((logits.argmax(1) == label).float().mean())]]
        if (step + 1) % 50 == 0:
            mean = np.mean(recent, axis=0)
            print(f"heads {step + 1}/{steps} {time.monotonic() - started:.0f}s class {mean[0]:.3f} focal {mean[1]:.3f} dice {mean[2]:.3f} right {mean[3]:.3f}", flush=True)
    with torch.no_grad():
        for first in [branch[0] for branch in classifier.meta_net] + list(locator.conv):
            first.weight *= MAP_SCALE
    kfd.eval().requires_grad_(False)


def run(
    folder: Path, stage1: Path, out: Path, batches: int, steps: int, variants: int, device: str, must_rank: bool = True, notes: tuple[str, ...] = (), batch: int = 16
) -> dict:
    """Reads STAGE1/averaged.pt, writes OUT (a detector checkpoint) and returns the calibration's figures.

    `notes` are kept in the training record and printed on the card. `must_rank`: see calibrate()."""
    state = torch.load(stage1, map_location="cpu", weights_only=True)
    config = state["config"]
    torch.set_num_threads(config["threads"])
    canonical = read_canonical(folder)
    template = np.asarray(canonical["template"], np.float64)
    faces = read_faces(folder)
    material = Material([f for f in faces if f.split == "train"], template, np.asarray(canonical["meanLandmarks"]))

    network = restore_network(config, state["network"])
    stream = PairStream(material, config["pairs"], config["seed"], 0, config["face_share"], 0.0, config["kinds"], config["varied"], config.get("mingled", 0.0))
    kfd = network.finish().to(device)
    started = time.monotonic()
    precision = config.get("precision", "bfloat16")
    maps, masks = store_maps(kfd, stream, batches, config["workers"], precision)
    print(f"stored maps of {len(maps)} pictures in {time.monotonic() - started:.0f}s", flush=True)
    train_heads(kfd, maps, masks, steps, config["seed"], batch, device, precision)

    tests, others = (
        [testsets.build([f for f in faces if f.split == split], template, variants, loose) for loose in (False, True)] for split in ("calibration", "held-out")
    )
    calibration = calibrate(kfd, tests, must_rank)
    calibration |= choose_threshold.choose_for(kfd, tests + others)
    kfd = kfd.cpu()
    naming = choose_for(kfd, calibration["threshold"], tests[0], canonical["regions"])
    line = max(state["curve"], key=lambda line: line["pictures"])  # the longest run where several are averaged
    training = {
        "seed": config["seed"],
        "seeds": state.get("seeds", [config["seed"]]),
        "config": config,
        "stage1": {"pictures": line["pictures"], "minutes": line["minutes"], "steps": line["step"]},
        "stage2": {"pictures": len(maps), "steps": steps, "minutes": round((time.monotonic() - started) / 60, 1)},
        "device": f"CPU, {config['threads']} thread{'s' * (config['threads'] > 1)}, {precision}" if device == "cpu" else torch.cuda.get_device_name(),
        "faces": {split: sum(f.split == split for f in faces) for split in ("train", "calibration", "held-out")},
        "identities": {split: len({f.identity for f in faces if f.split == split}) for split in ("train", "calibration", "held-out")},
        "sources": sorted({f.source for f in faces}),
        "photographs": photograph_credits(folder) if config["photograph_share"] > 0 else [],
        "curve": state["curve"],
        "notes": list(notes),
        "calibration": calibration,
        "naming": naming,
    }
    save_detector(out, kfd, calibration["threshold"], training)
    return calibration


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train heads", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    parser.add_argument("--stage1", type=Path, required=True, help="averaged.pt of a stage-1 run")
    parser.add_argument("--out", type=Path, required=True, help="detector checkpoint to write")
    parser.add_argument("--batches", type=int, default=250, help="training batches whose maps are stored")
    parser.add_argument("--steps", type=int, default=600, help="optimiser steps of the heads")
    parser.add_argument("--variants", type=int, default=4, help="rounds over the calibration faces")
    parser.add_argument("--batch", type=int, default=16, help="pictures a step")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--note", action="append", default=[], help="remark on this run for the record and the card")
    a = parser.parse_args(argv)
    print(json.dumps(run(a.dir, a.stage1, a.out, a.batches, a.steps, a.variants, a.device, notes=tuple(a.note), batch=a.batch)))
