"""Chooses the region rule's parameters (naming.py) for one detector, on calibration identities: speak often, and be right when speaking.

``python -m kfd_train naming --checkpoint DETECTOR.pt --dir DIR`` keeps the choice in the checkpoint's training record, from where
``export`` writes it into the manifest. A name is right if at least half of the region's pixels are forged.
"""

import itertools
from dataclasses import asdict

import numpy as np
import torch

from kfd_model import KFD

from . import localisation
from .choices import Build, revise
from .naming import NamingRule, RegionNamer
from .similarities import enlarged, similarity_maps
from .testsets import TestSet

# Few values on purpose: there are about a hundred found fakes to choose by.
CHOICES = {"lit": (0.5, 0.6, 0.7, 0.8, 0.9), "whole": (0.6, 0.7), "center": (0.6, 0.7, 0.8, 0.9), "part": (0.5, 0.6, 0.7, 0.8), "explained": (0.3, 0.45)}
LEAST_RIGHT = 0.5  # of the names that are given on part edits, at least this share must be right


@torch.inference_mode()
def locate(kfd: KFD, pictures: np.ndarray, batch: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N,224,224,3) -> score (N,), forgery maps float32 (N,224,224)."""
    scores, maps = [], []
    for first in range(0, len(pictures), batch):
        read = enlarged(kfd, similarity_maps(kfd, torch.from_numpy(pictures[first : first + batch])))
        scores.append(kfd.classifier(read)[:, 1])
        maps.append(kfd.locator.logits(read).softmax(1)[:, 1])
    return torch.cat(scores).numpy(), torch.cat(maps).numpy()


def choose_rule(tests: TestSet, maps: np.ndarray, found: np.ndarray, polygons: dict[str, list]) -> tuple[NamingRule, dict]:
    """The rule with the greatest spoken share times squared right share, among those that are right often enough on part edits, and its
    figures (localisation.naming_lines). Without found fakes, or where none is right often enough, the default rule."""
    namer = RegionNamer(polygons)
    rows = np.flatnonzero(found & tests.forged)
    shares, all_found = localisation.forged_shares(tests.masks[rows], namer), np.ones(len(rows), bool)

    def figures(rule: NamingRule) -> dict:
        ruled = namer.under(rule)
        return localisation.naming_lines(shares, [ruled.name(maps[i], True) for i in rows], all_found)

    best, best_value = NamingRule(), 0.0
    for values in itertools.product(*CHOICES.values()) if len(rows) else ():
        rule = NamingRule(**dict(zip(CHOICES, values)))
        table = figures(rule)
        overall, parts = table["all"], table["partEdits"]
        if overall["named"] == 0 or (parts["named"] > 0 and parts["right"] < LEAST_RIGHT):
            continue
        value = overall["named"] / overall["found"] * overall["right"] ** 2
        if value > best_value + 1e-9:
            best, best_value = rule, value
    return best, localisation.naming_table(tests, maps, found, namer.under(best))


def choose_for(kfd: KFD, threshold: float, tests: TestSet, polygons: dict[str, list]) -> dict:
    """Rule and figures for a detector on aligned crops of calibration faces, as kept in its training record."""
    score, maps = locate(kfd, tests.pictures)
    rule, figures = choose_rule(tests, maps, score >= threshold, polygons)
    return {"rule": asdict(rule), "figures": figures}


def main(argv: list[str]) -> None:
    def choose(kfd: KFD, threshold: float, training: dict, build: Build, canonical: dict) -> tuple[float, dict]:
        training["naming"] = choose_for(kfd, threshold, build("calibration", False), canonical["regions"])
        return threshold, training["naming"]

    revise(argv, "naming", __doc__, 3, choose)
