"""Stage 2: the heads are fitted to stored similarity maps of the finished stage 1, the locator to masks and the classifier to the
pooled evidence; then the score is calibrated, and threshold and region rule are chosen.

Storing the 16 x 16 maps (3 KB a picture) lets the heads see each picture several times without running the encoder again.
"""

import argparse
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kfd_model import KFD, Classifier

from . import calibrate, choose_naming, choose_threshold, losses, testsets
from .batches import Material, PairStream, loader
from .checkpoint import load_exported, save_detector
from .classifier import MAP_SCALE, fit_to_pool
from .network import autocast
from .similarities import similarity_maps
from .stage1 import restore_network
from .store import Face, photograph_credits, read_canonical, read_faces

LOCATOR_RATE = 3e-3
LOCATOR_CROP = 56  # side of the locator's training crops: it sees only 5 x 5 pixels of the enlarged maps


def training_maps(kfd: KFD, folder: Path, config: dict, batches: int) -> tuple[Tensor, Tensor]:
    """Maps float16 (N,levels,2,16,16) and masks uint8 (N,224,224) of so many training batches that stage 1 has not seen; even rows untouched."""
    canonical = read_canonical(folder)
    people = [f for f in read_faces(folder) if f.split == "train"]
    material = Material(people, np.asarray(canonical["template"], np.float64), np.asarray(canonical["meanLandmarks"]))
    mingled = config.get("mingled", 0.0)
    stream = PairStream(material, config["pairs"], config["seed"], 1 << 20, config["face_share"], 0.0, config["kinds"], config["varied"], mingled)
    started, maps, masks = time.monotonic(), [], []
    for pictures, mask in itertools.islice(loader(stream, config["workers"]), batches):
        maps.append(similarity_maps(kfd, pictures, precision=config.get("precision", "bfloat16")).half().cpu())
        masks.append(mask)
    print(f"stored maps of {batches * 2 * config['pairs']} pictures in {time.monotonic() - started:.0f}s", flush=True)
    return torch.cat(maps), torch.cat(masks)


def augment(maps: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirrors half of the batches and adds a little common offset to each map."""
    if torch.rand((), generator=rng) < 0.5:
        maps, masks = maps.flip(-1), masks.flip(-1)
    offset = torch.randn(maps.shape[:3], generator=rng) * 0.03
    return maps + offset[..., None, None].to(maps), masks


def train_locator(
    kfd: KFD, maps: Tensor, masks: Tensor, steps: int, seed: int, batch: int = 16, device: str = "cpu", precision: str = "bfloat16"
) -> None:
    """Trains kfd.locator (focal + Dice, spec kfd 14.1) in place. Rows alternate untouched, forged."""
    locator = kfd.locator.to(device).train().requires_grad_(True)
    scaled = maps.float() * MAP_SCALE
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(locator.parameters(), LOCATOR_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LOCATOR_RATE, total_steps=steps)
    started, recent = time.monotonic(), []
    for step in range(steps):
        pair = torch.randint(len(maps) // 2, (batch // 2,), generator=generator)
        rows = torch.stack([2 * pair, 2 * pair + 1], dim=1).flatten()
        maps_in, masks_in = augment(scaled[rows], masks[rows], generator)
        enlarged = kfd.enlarge(list(maps_in.to(device).unbind(1)))
        top, left = torch.randint(kfd.map_size - LOCATOR_CROP + 1, (2,), generator=generator).tolist()
        place = (..., slice(top, top + LOCATOR_CROP), slice(left, left + LOCATOR_CROP))
        with autocast(device, precision):
            located = locator.logits([m[place].contiguous(memory_format=torch.channels_last) for m in enlarged])
        S, truth = located.float().softmax(1), masks_in[place].to(device)
        focal, dice = losses.focal(S, truth), losses.dice(S[1::2, 1], truth[1::2])
        optimiser.zero_grad(set_to_none=True)
        (focal + 0.5 * dice).backward()
        nn.utils.clip_grad_norm_(locator.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        recent = [*recent[-49:], [float(focal.detach()), float(dice.detach())]]
        if (step + 1) % 50 == 0:
            mean = np.mean(recent, axis=0)
            print(f"locator {step + 1}/{steps} {time.monotonic() - started:.0f}s focal {mean[0]:.3f} dice {mean[1]:.3f}", flush=True)
    with torch.no_grad():
        for first in locator.conv:
            first.weight *= MAP_SCALE
    kfd.eval().requires_grad_(False)


@dataclass
class Validation:
    """Test pictures of both crop protocols: of calibration people, on whom map and region rule are chosen, and of the held-out ones."""

    calibration: list[testsets.TestSet]
    held_out: list[testsets.TestSet]

    @classmethod
    def build(cls, faces: list[Face], template: np.ndarray, variants: int) -> "Validation":
        return cls(*([testsets.build([f for f in faces if f.split == split], template, variants, loose) for loose in (False, True)] for split in ("calibration", "held-out")))


def choose(kfd: KFD, tests: Validation, must_rank: bool) -> dict:
    """Makes the score a probability (folded into the classifier) and chooses its threshold, on all validation people. Returns the record."""
    scored = calibrate.score(kfd, tests.calibration + tests.held_out)
    scale, bias, figures = calibrate.probability(scored, must_rank)
    calibrate.fold(kfd, scale, bias)
    threshold, left_out = choose_threshold.choose_for(scored, scale, bias)
    return figures | {"threshold": threshold, "leaveOneOut": left_out | calibrate.on_people_left_out(scored)}


def run(
    folder: Path, stage1: Path, out: Path, batches: int, steps: int, variants: int, device: str, must_rank: bool = True, notes: tuple[str, ...] = (), batch: int = 16
) -> dict:
    """Reads STAGE1/averaged.pt, writes OUT (a detector checkpoint) and returns the calibration's figures.

    `notes` are kept in the training record and printed on the card. `must_rank`: see calibrate.probability()."""
    started = time.monotonic()
    state = torch.load(stage1, map_location="cpu", weights_only=True)
    config = state["config"]
    torch.set_num_threads(config["threads"])
    canonical, faces = read_canonical(folder), read_faces(folder)
    template = np.asarray(canonical["template"], np.float64)
    kfd = restore_network(config, state["network"]).finish().to(device)
    maps, masks = training_maps(kfd, folder, config, batches)
    train_locator(kfd, maps, masks, steps, config["seed"], batch, device, config.get("precision", "bfloat16"))
    learnt = fit_to_pool(kfd, maps, config["seed"], device)
    tests = Validation.build(faces, template, variants)
    calibration = {"map": calibrate.shift_map(kfd, tests.calibration)} | choose(kfd, tests, must_rank)
    kfd = kfd.cpu()
    naming = choose_naming.choose_for(kfd, calibration["threshold"], tests.calibration[0], canonical["regions"])
    line = max(state["curve"], key=lambda line: line["pictures"])  # the longest run where several are averaged
    training = {
        "seed": config["seed"],
        "seeds": state.get("seeds", [config["seed"]]),
        "config": config,
        "stage1": {"pictures": line["pictures"], "minutes": line["minutes"], "steps": line["step"]},
        "stage2": {"pictures": len(maps), "steps": steps, "minutes": round((time.monotonic() - started) / 60, 1)},
        "classifier": {"pictures": len(maps)} | learnt,
        "device": f"CPU, {config['threads']} thread{'s' * (config['threads'] > 1)}, {config.get('precision', 'bfloat16')}" if device == "cpu" else torch.cuda.get_device_name(),
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


def renew_classifier(folder: Path, model: Path, out: Path, batches: int, variants: int, notes: tuple[str, ...] = (), must_rank: bool = True) -> dict:
    """Fits the classifier of an exported detector anew, with calibration, threshold and region rule; encoder and locator stay as the file has them.

    Writes OUT (a detector checkpoint) and returns the calibration's figures. `notes` are added to the file's own."""
    kfd, _, training = load_exported(model)
    config = training["config"]
    torch.set_num_threads(config["threads"])
    canonical, faces = read_canonical(folder), read_faces(folder)
    maps, _ = training_maps(kfd, folder, config, batches)
    torch.manual_seed(config["seed"])  # of the channels that hold no threshold
    kfd.classifier = Classifier(len(kfd.taps))
    learnt = fit_to_pool(kfd, maps, config["seed"])
    tests = Validation.build(faces, np.asarray(canonical["template"], np.float64), variants)
    training["classifier"] = {"pictures": len(maps)} | learnt
    training["calibration"] = {"map": training["calibration"]["map"]} | choose(kfd, tests, must_rank)
    threshold = training["calibration"]["threshold"]
    training["naming"] = choose_naming.choose_for(kfd, threshold, tests.calibration[0], canonical["regions"])
    training["notes"] = [*training["notes"], *notes]
    save_detector(out, kfd, threshold, training)
    return training["calibration"]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train heads", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--stage1", type=Path, help="averaged.pt of a stage-1 run")
    start.add_argument("--model", type=Path, help="exported detector instead: its encoder and locator stay, the classifier and all choices are made anew")
    parser.add_argument("--out", type=Path, required=True, help="detector checkpoint to write")
    parser.add_argument("--batches", type=int, default=250, help="training batches whose maps are stored")
    parser.add_argument("--steps", type=int, default=600, help="optimiser steps of the locator (with --stage1)")
    parser.add_argument("--variants", type=int, default=4, help="rounds over the validation faces")
    parser.add_argument("--batch", type=int, default=16, help="pictures a step of the locator (with --stage1)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="with --stage1; --model runs on the CPU")
    parser.add_argument("--note", action="append", default=[], help="remark on this run for the record and the card")
    a = parser.parse_args(argv)
    notes = tuple(a.note)
    if a.model:
        figures = renew_classifier(a.dir, a.model, a.out, a.batches, a.variants, notes)
    else:
        figures = run(a.dir, a.stage1, a.out, a.batches, a.steps, a.variants, a.device, notes=notes, batch=a.batch)
    print(json.dumps(figures))
