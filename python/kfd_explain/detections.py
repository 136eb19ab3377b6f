"""Detections to train explanations on: what the frozen detector says about real, forged and composed pictures of training people.

`python -m kfd_explain detections --detector WEIGHTS --out DIR` writes one row a picture:

    similarities.npy    float16 (N,levels,2,16,16), deepfake and pristine similarity of every patch; maps are their bilinear enlargement
    forgery_map.npy     float16 (N,224,224)
    score.npy           float32 (N,2), pristine and deepfake probability
    visual.npy          float32 (N,D), the unit-length class token
    index.json          threshold, naming rule, detector's hash; per row: split, kind, forged region, person, extent, named regions

Split "train" is training people, "calibration" the calibration people; held-out people are in neither.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kfd_train import jitter, manipulations
from kfd_train.blends import self_blend
from kfd_train.crops import test_crop
from kfd_train.evaluate import ExportedDetector
from kfd_train.export import write_json
from kfd_train.naming import NamingRule, RegionNamer
from kfd_train.network import normalise
from kfd_train.regions import choose_region
from kfd_train.store import Face, read_canonical, read_faces
from kfd_train.testsets import choose_donor
from kfd_train.variation import vary

from .composites import PartMasks, choose_regions, compose
from .evidence import Evidence

SPLITS = ("train", "calibration")
KINDS = {"real": 0.1, "self-blend": 0.42, "swap-alpha": 0.1, "swap-poisson": 0.06, "splice": 0.14, "poisson-part": 0.06, "inpaint": 0.05, "liquify": 0.03, "smooth": 0.04}
WHOLE_SHARE = 0.35  # of the self-blends
# How often each outcome is drawn for training: no region (real, fake), whole, center, one, two, three parts.
OUTCOMES = {"real": 0.16, "unnamed": 0.12, "whole": 0.11, "center": 0.11, "1": 0.18, "2": 0.16, "3": 0.16}


def draw_picture(faces: list[Face], template: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    """An aligned crop uint8 (224,224,3), honest or forged, mildly degraded, and what it is."""
    face = faces[rng.integers(len(faces))]
    image, landmarks = vary(*test_crop(face, template, rng, False), rng)
    kind, region = str(rng.choice(list(KINDS), p=list(KINDS.values()))), ""
    if kind != "real":
        forgery = None
        if kind != "self-blend":
            donor = choose_donor(face, faces, rng)
            try:
                forgery = manipulations.make(kind, image, landmarks, *test_crop(donor, template, rng, False), rng)
            except ValueError:
                pass  # a Poisson mask that leaves the crop: a self-blend instead
        forgery = forgery or self_blend(image, landmarks, choose_region(rng, WHOLE_SHARE), rng)
        image, kind, region = forgery.fake, forgery.kind, forgery.region
    picture = jitter.to_uint8(image)
    if rng.random() < 0.3:
        picture = jitter.jpeg(picture, int(rng.integers(75, 98)))
    return picture, {"kind": kind, "region": region, "person": face.identity}


class FrozenDetector:
    """The shipped file, encoder and locator in bfloat16, one thread."""

    def __init__(self, weights: Path):
        read = ExportedDetector(weights)
        self.module, self.described = read.module, read.described
        self.threshold = float(self.described["kfd"]["threshold"])
        self.rule = NamingRule(**self.described["face"].get("naming", {}))
        self.namer = RegionNamer(self.described["face"]["regions"], self.rule)
        depth = len(list(self.module.encoder.blocks.children()))
        if self.described["vit"]["taps"][-1] != depth - 1:
            raise ValueError(f"expected the last tap at the last block {depth - 1}, got {self.described['vit']['taps']}: the class token is read there")

    @torch.inference_mode()
    def encode(self, pictures: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 (B,224,224,3) -> similarities (B,levels,2,g,g), visual (B,D)."""
        x = normalise(torch.from_numpy(pictures))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            tapped = [tokens.float() for tokens in self.module.tapped_tokens(x)]
        visual = F.normalize(self.module.encoder.head(self.module.encoder.norm(tapped[-1])[:, 0]), dim=1)
        return torch.stack(self.module.patch_similarities(tapped), dim=1), visual

    @torch.inference_mode()
    def judge(self, similarities: Tensor, batch: int = 4) -> tuple[Tensor, Tensor]:
        """(B,levels,2,g,g) -> score (B,2), forgery map float16 (B,224,224)."""
        scores, maps = [], []
        for part in similarities.float().split(batch):
            enlarged = [m.contiguous(memory_format=torch.channels_last) for m in self.module.enlarge(list(part.unbind(1)))]
            scores.append(self.module.classifier(enlarged))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                located = self.module.locator.logits(enlarged)
            maps.append(located.float().softmax(1)[:, 1].half())
        return torch.cat(scores), torch.cat(maps)


class Writer:
    """Collects rows and writes them all at the end."""

    def __init__(self, detector: FrozenDetector):
        self.detector = detector
        self.similarities, self.maps, self.scores, self.visual, self.rows = [], [], [], [], []

    def add(self, similarities: Tensor, visual: Tensor, split: str, facts: list[dict], keep_unnamed: float = 1.0, rng: np.random.Generator | None = None) -> None:
        """Judges the rows and keeps them; of those that name nothing only the share `keep_unnamed`."""
        scores, maps = self.detector.judge(similarities)
        for i, fact in enumerate(facts):
            located = maps[i].numpy()
            fake = float(scores[i, 1]) >= self.detector.threshold
            named = self.detector.namer.name(located.astype(np.float32), fake)
            if not named and rng is not None and rng.random() >= keep_unnamed:
                continue
            self.rows.append(fact | {"split": split, "extent": round(self.detector.namer.extent(located), 4), "named": named})
            self.similarities.append(similarities[i].half().numpy())
            self.maps.append(located)
            self.scores.append(scores[i].numpy())
            self.visual.append(visual[i].numpy())

    def write(self, out: Path, seed: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        arrays = {"similarities": self.similarities, "forgery_map": self.maps, "score": self.scores, "visual": self.visual}
        for name, values in arrays.items():
            temporary = out / f"{name}.partial.npy"
            np.save(temporary, np.stack(values))
            temporary.replace(out / f"{name}.npy")
        described = self.detector.described
        write_json(
            out / "index.json",
            {
                "schema": "kfd.detections/1",
                "detector": {"name": described["name"], "sha256": described["sha256"]},
                "threshold": self.detector.threshold,
                "naming": asdict(self.detector.rule),
                "seed": seed,
                "rows": self.rows,
            },
        )


def add_pictures(writer: Writer, faces: list[Face], template: np.ndarray, split: str, count: int, rng: np.random.Generator, batch: int = 16) -> None:
    started = time.monotonic()
    for first in range(0, count, batch):
        drawn = [draw_picture(faces, template, rng) for _ in range(min(batch, count - first))]
        similarities, visual = writer.detector.encode(np.stack([picture for picture, _ in drawn]))
        writer.add(similarities, visual, split, [fact | {"source": "picture"} for _, fact in drawn])
        if first // batch % 10 == 0:
            print(f"{split}: {first + len(drawn)}/{count} pictures, {time.monotonic() - started:.0f}s", flush=True)


def add_composites(writer: Writer, split: str, count: int, rng: np.random.Generator, batch: int = 16) -> None:
    """Composites of the pictures of `split`: honest ones that score low and forged ones that score high. The honest picture gives the class token."""
    own = [i for i, row in enumerate(writer.rows) if row["split"] == split]
    score = np.array([writer.scores[i][1] for i in own])
    threshold = writer.detector.threshold
    honest, forged = [own[i] for i in np.flatnonzero(score < 0.5 * threshold)], [own[i] for i in np.flatnonzero(score >= threshold)]
    if not honest or not forged:
        raise ValueError(f"expected low- and high-scoring pictures of the split {split}, got {len(honest)} and {len(forged)}; draw more pictures")
    masks, started = PartMasks(writer.detector.namer, writer.similarities[0].shape[-1]), time.monotonic()
    for first in range(0, count, batch):
        facts, made, visual = [], [], []
        for _ in range(batch):
            a, b = honest[rng.integers(len(honest))], forged[rng.integers(len(forged))]
            regions = choose_regions(writer.detector.namer.parts, rng)
            pair = [torch.from_numpy(writer.similarities[i]).float() for i in (a, b)]
            made.append(compose(*pair, masks.of(regions, rng), float(rng.uniform(0.8, 1.8))))
            visual.append(torch.from_numpy(writer.visual[a]))
            facts.append({"kind": "composite", "region": ", ".join(regions), "person": writer.rows[a]["person"], "source": "composite"})
        writer.add(torch.stack(made), torch.stack(visual), split, facts, keep_unnamed=0.25, rng=rng)
        if first // batch % 10 == 0:
            print(f"{split}: {first + batch}/{count} composites, {len(writer.rows)} rows, {time.monotonic() - started:.0f}s", flush=True)


def outcome(named: list[str] | tuple[str, ...], fake: bool) -> str:
    """A key of OUTCOMES."""
    if not fake:
        return "real"
    if not named:
        return "unnamed"
    return {"full face": "whole", "center face": "center"}.get(named[0], str(len(named)))


class Detections:
    """The rows of one split, in memory as they lie on disk."""

    def __init__(self, folder: Path, split: str):
        index = folder / "index.json"
        if not index.is_file():
            raise FileNotFoundError(f"expected detections at {index}; make them with `python -m kfd_explain detections --out {folder}`")
        self.described = json.loads(index.read_text(encoding="utf-8"))
        if split not in SPLITS:
            raise ValueError(f"expected a split out of {SPLITS}, got {split!r}")
        self.numbers = np.array([i for i, row in enumerate(self.described["rows"]) if row["split"] == split])
        self.rows = [self.described["rows"][i] for i in self.numbers]
        self.threshold = self.described["threshold"]
        read = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("similarities", "forgery_map", "score", "visual")}
        self.similarities, self.maps, self.score, self.visual = read["similarities"], read["forgery_map"], read["score"], read["visual"]
        self.by_outcome: dict[str, list[int]] = {}
        for i, row in enumerate(self.rows):
            self.by_outcome.setdefault(outcome(row["named"], self.evidence(i).fake), []).append(i)

    def __len__(self) -> int:
        return len(self.rows)

    def evidence(self, i: int) -> Evidence:
        row = self.rows[i]
        return Evidence(min(1.0, float(self.score[self.numbers[i], 1])), self.threshold, tuple(row["named"]), row["extent"])

    def draw(self, rng: np.random.Generator) -> int:
        """A row, outcomes by OUTCOMES; among named parts each part about as often."""
        there = [name for name in OUTCOMES if self.by_outcome.get(name)]
        share = np.array([OUTCOMES[name] for name in there])
        chosen = self.by_outcome[there[rng.choice(len(there), p=share / share.sum())]]
        parts = sorted({name for i in chosen for name in self.rows[i]["named"]})
        if not parts:
            return chosen[rng.integers(len(chosen))]
        part = parts[rng.integers(len(parts))]
        holding = [i for i in chosen if part in self.rows[i]["named"]]
        return holding[rng.integers(len(holding))]

    def inputs(self, rows: list[int] | np.ndarray) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Maps per level (B,2,224,224), S (B,2,224,224), p (B,2), g (B,D), all float32: what prompts are made of."""
        numbers = self.numbers[np.asarray(rows)]
        similarities = torch.from_numpy(self.similarities[numbers].astype(np.float32))
        maps = [F.interpolate(level, size=self.maps.shape[1:], mode="bilinear", align_corners=True) for level in similarities.unbind(1)]
        forged = torch.from_numpy(self.maps[numbers].astype(np.float32))
        p, g = (torch.from_numpy(np.array(array[numbers])) for array in (self.score, self.visual))
        return maps, torch.stack([1 - forged, forged], dim=1), p, g


def load(folder: Path, split: str) -> Detections:
    """Detections of one split, 'train' or 'calibration'."""
    return Detections(Path(folder), split)


def distribution(detections: Detections) -> dict[str, int]:
    """How many rows have which outcome."""
    return {name: len(detections.by_outcome.get(name, [])) for name in OUTCOMES}


def relabel(folder: Path, manifest: dict) -> None:
    """Names the regions of stored maps again, under the rule of the detector's manifest; the maps must be that detector's."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    if index["detector"]["sha256"] != manifest["sha256"]:
        raise ValueError(f"expected detections of {manifest['sha256']} in {folder}, got {index['detector']['sha256']}; make them anew")
    rule = NamingRule(**manifest["face"].get("naming", {}))
    namer, maps = RegionNamer(manifest["face"]["regions"], rule), np.load(folder / "forgery_map.npy", mmap_mode="r")
    scores = np.load(folder / "score.npy")
    for row, located, score in zip(index["rows"], maps, scores[:, 1]):
        row["named"] = namer.name(located.astype(np.float32), float(score) >= index["threshold"])
    write_json(folder / "index.json", index | {"naming": asdict(rule)})


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_explain detections", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path("../.cache/train"), help="folder of the training material (kfd_train)")
    parser.add_argument("--detector", type=Path, default=Path("../weights/mini-kfd.pt"), help="the frozen detector, its manifest beside it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, nargs=2, default=(1300, 240), metavar=("TRAIN", "CALIBRATION"))
    parser.add_argument("--composites", type=int, nargs=2, default=(2600, 300), metavar=("TRAIN", "CALIBRATION"), help="drawn; those that name nothing are mostly dropped")
    parser.add_argument("--relabel", action="store_true", help="keep the pictures in OUT, only name their regions again by the detector's present rule")
    parser.add_argument("--seed", type=int, default=6)
    a = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if a.relabel:
        relabel(a.out, json.loads(a.detector.with_suffix(".kfd.json").read_text(encoding="utf-8")))
        for split in SPLITS:
            print(split, distribution(load(a.out, split)), flush=True)
        return
    template = np.asarray(read_canonical(a.dir)["template"], np.float64)
    faces = read_faces(a.dir)
    writer = Writer(FrozenDetector(a.detector))
    for number, split in enumerate(SPLITS):
        rng = np.random.default_rng([a.seed, number])
        add_pictures(writer, [f for f in faces if f.split == split], template, split, a.pictures[number], rng)
        add_composites(writer, split, a.composites[number], rng)
    writer.write(a.out, a.seed)
    for split in SPLITS:
        print(split, distribution(load(a.out, split)), flush=True)
