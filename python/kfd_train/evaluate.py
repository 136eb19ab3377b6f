"""Measures an exported model file on held-out identities: detection, calibration, robustness, localisation, region naming.

Every interval is 95 %, by bootstrap over identities. Two crop protocols: canonical (aligned) and loose (upright box).
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from . import localisation, metrics, testsets
from .calibrate import quality
from .classifier import pooled_score
from .export import write_json
from .naming import NamingRule, RegionNamer
from .network import normalise
from .postprocess import CONDITIONS
from .store import read_canonical, read_faces

ROBUSTNESS_KINDS = ("real", "self-blend", "swap-alpha", "swap-poisson")
SWAPS = ("swap-alpha", "swap-poisson")
CROPS = ("canonical", "loose")


@dataclass
class Judged:
    """What a detector says of N pictures. `pooled`: the score without a classifier head."""

    score: np.ndarray  # float32 (N,), 0..1
    pooled: np.ndarray  # float32 (N,), a logit
    maps: np.ndarray | None  # float16 (N,224,224), forgery maps


class ExportedDetector:
    """The file as a stranger reads it: TorchScript, half storage, computed in float32 (on one thread of the CPU, or a GPU)."""

    def __init__(self, path: Path, device: str = "cpu"):
        self.device = device
        self.module = torch.jit.load(str(path), map_location=device).float().eval()
        self.described = json.loads(path.with_suffix(".kfd.json").read_text(encoding="utf-8"))

    @torch.inference_mode()
    def run(self, pictures: np.ndarray, locate: bool, batch: int = 8) -> Judged:
        """uint8 (N,224,224,3) -> scores and, if asked for, forgery maps."""
        module, scores, pooled, located = self.module, [], [], []
        for i in range(0, len(pictures), batch):
            x = normalise(torch.from_numpy(np.ascontiguousarray(pictures[i : i + batch])).to(self.device))
            similarities = module.patch_similarities(module.tapped_tokens(x))
            pooled.append(pooled_score(similarities))
            maps = [m.contiguous(memory_format=torch.channels_last) for m in module.enlarge(similarities)]
            scores.append(module.classifier(maps)[:, 1])
            if locate:
                located.append(module.locator(maps)[:, 1].half())
        return Judged(*(torch.cat(parts).cpu().numpy() if parts else None for parts in (scores, pooled, located)))


def against_real(tests: testsets.TestSet, score: np.ndarray, kinds: tuple[str, ...]) -> dict:
    """AUC with its interval, AP, EER of the fakes of `kinds` against all real pictures."""
    rows = np.flatnonzero((tests.kind == "real") | np.isin(tests.kind, kinds))
    labels, s, who = tests.forged[rows], score[rows], tests.identity[rows]
    return {
        "fakes": int(labels.sum()),
        "auc": metrics.auc(labels, s),
        "aucInterval": metrics.interval(lambda i: metrics.auc(labels[i], s[i]), who),
        "ap": metrics.average_precision(labels, s),
        "eer": metrics.equal_error_rate(labels, s),
    }


def classifier_gain(tests: testsets.TestSet, judged: Judged) -> dict:
    """What the classifier head adds to the AUC of the pooled patches, per group of kinds and over all forgeries: {gain, interval, pooled}."""
    out = {}
    for name, kinds in (("self-blend", ("self-blend",)), ("swap", SWAPS), ("all", tuple(np.unique(tests.kind[tests.forged])))):
        rows = np.flatnonzero((tests.kind == "real") | np.isin(tests.kind, kinds))
        labels, who = tests.forged[rows], tests.identity[rows]
        score, pooled = judged.score[rows], judged.pooled[rows]

        def gain(i: np.ndarray) -> float:
            return metrics.auc(labels[i], score[i]) - metrics.auc(labels[i], pooled[i])  # noqa: B023; called at once

        everything = np.arange(len(rows))
        out[name] = {"gain": gain(everything), "interval": metrics.interval(gain, who), "pooled": metrics.auc(labels, pooled)}
    return out


def detection_table(tests: testsets.TestSet, score: np.ndarray) -> dict:
    """Per kind, 'swap' (both blends), and per region of the self-blends."""
    table = {str(kind): against_real(tests, score, (str(kind),)) for kind in np.unique(tests.kind[tests.forged])}
    table["swap"] = against_real(tests, score, SWAPS)
    real = tests.kind == "real"
    regions = {}
    for region in np.unique(tests.region[tests.kind == "self-blend"]):
        fakes = (tests.kind == "self-blend") & (tests.region == region)
        rows = real | fakes
        regions[str(region)] = {"fakes": int(fakes.sum()), "auc": metrics.auc(tests.forged[rows], score[rows])}
    return {"kinds": table, "selfBlendRegions": regions}


def calibration_table(tests: testsets.TestSet, score: np.ndarray, threshold: float) -> dict:
    """Brier score and ECE (with what a perfectly calibrated score would show) on equal numbers of real and forged pictures, and what the shipped threshold does."""
    out = {}
    for kind in ("self-blend", "swap-alpha"):
        rows = (tests.kind == "real") | (tests.kind == kind)
        labels, s = tests.forged[rows], score[rows]
        out[kind] = {"brier": metrics.brier(labels, s), "ece": metrics.expected_calibration_error(labels, s)}
    out["both"] = quality(tests.kind, score)
    real, whole = tests.kind == "real", tests.forged & (tests.region == "face")
    kept = (score < threshold).astype(float)
    out["threshold"] = {
        "value": threshold,
        "realsLeftAlone": float(kept[real].mean()),
        "realsLeftAloneInterval": metrics.interval(lambda i: float(kept[real][i].mean()), tests.identity[real]),
        "wholeFaceFound": float((1 - kept)[whole & np.isin(tests.kind, ("self-blend", *SWAPS))].mean()),
        "found": {str(k): float((1 - kept)[tests.kind == k].mean()) for k in np.unique(tests.kind[tests.forged])},
    }
    return out


def run_some_located(detector: ExportedDetector, pictures: np.ndarray, located: np.ndarray) -> Judged:
    """All pictures judged, with forgery maps of the `located` ones (NaN elsewhere): the locator takes most of the time."""
    count = len(pictures)
    out = Judged(np.zeros(count, np.float32), np.zeros(count, np.float32), np.full(pictures.shape[:3], np.nan, np.float16))
    for rows, locate in ((located, True), (~located, False)):
        if not rows.any():
            continue
        part = detector.run(pictures[rows], locate)
        out.score[rows], out.pooled[rows] = part.score, part.pooled
        if locate:
            out.maps[rows] = part.maps
    return out


def evaluate(detector: ExportedDetector, folder: Path, split: str, variants: int, crops: list[str]) -> dict:
    """All tables of the asked crop protocols as one JSON value."""
    canonical, faces = read_canonical(folder), read_faces(folder)
    template = np.asarray(canonical["template"], np.float64)
    chosen = [f for f in faces if f.split == split]
    training = [f for f in faces if f.split == "train"]
    threshold = detector.described["kfd"]["threshold"]
    result = {"split": split, "faces": len(chosen), "identities": len({f.identity for f in chosen}), "model": detector.described["sha256"]}
    for name in crops:
        loose = name == "loose"
        started = time.monotonic()
        tests = testsets.build(chosen, template, variants, loose)
        subset = np.isin(tests.kind, ROBUSTNESS_KINDS)
        judged = run_some_located(detector, tests.pictures, subset if loose else np.ones(len(subset), bool))
        score, maps = judged.score, judged.maps
        table = detection_table(tests, score) | {"calibration": calibration_table(tests, score, threshold), "classifier": classifier_gain(tests, judged)}
        prior = localisation.constant_mask(testsets.build(training, template, 1, loose))
        table["localisation"] = localisation.table(tests, maps, prior, score >= threshold)
        if not loose:
            namer = RegionNamer(canonical["regions"], NamingRule(**detector.described["face"].get("naming", {})))
            table["regions"] = localisation.naming_table(tests, maps, score >= threshold, namer)
        robust = {}
        for condition in ("jpeg-75",) if loose else CONDITIONS[1:]:
            s = np.zeros(len(score), np.float32)
            s[subset] = detector.run(tests.degraded(condition)[subset], locate=False).score
            part = testsets.TestSet(**{k: v[subset] for k, v in vars(tests).items()})
            robust[condition] = {k: against_real(part, s[subset], kinds) for k, kinds in (("self-blend", ("self-blend",)), ("swap", SWAPS))}
            robust[condition]["realsLeftAlone"] = float((s[subset][part.kind == "real"] < threshold).mean())
        table["conditions"] = robust
        result[name] = table | {"pictures": len(tests.pictures)}
        print(f"{name}: {len(tests.pictures)} pictures, {time.monotonic() - started:.0f}s, {json.dumps(summary(table))}", flush=True)
    return result


def summary(table: dict) -> dict:
    """The figures one looks at first."""
    return {
        "auc": {kind: round(row["auc"], 3) for kind, row in table["kinds"].items()},
        "jpeg-75": {kind: round(table["conditions"]["jpeg-75"][kind]["auc"], 3) for kind in ("self-blend", "swap")},
        "ece": round(table["calibration"]["both"]["ece"], 3),
        "realsLeftAlone": round(table["calibration"]["threshold"]["realsLeftAlone"], 3),
        "wholeFaceFound": round(table["calibration"]["threshold"]["wholeFaceFound"], 3),
        "localisation": {k: {n: round(v, 3) for n, v in row.items() if isinstance(v, float)} for k, row in table["localisation"].items()},
    }


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train evaluate", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    parser.add_argument("--model", type=Path, required=True, help="exported NAME.pt with NAME.kfd.json beside it")
    parser.add_argument("--split", choices=("held-out", "calibration", "train"), default="held-out")
    parser.add_argument("--variants", type=int, default=4, help="rounds over the faces")
    parser.add_argument("--crops", nargs="+", choices=CROPS, default=list(CROPS), help="protocols; the card needs both")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True, help="metrics file (JSON)")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    detector = ExportedDetector(arguments.model, arguments.device)
    write_json(arguments.out, evaluate(detector, arguments.dir, arguments.split, arguments.variants, arguments.crops))
