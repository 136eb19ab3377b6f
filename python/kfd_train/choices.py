"""Command line of the steps that make one choice anew in a detector checkpoint: `threshold` and `naming`."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from kfd_model import KFD

from . import testsets
from .checkpoint import load_detector, save_detector
from .store import read_canonical, read_faces

Build = Callable[[str, bool], testsets.TestSet]  # split ("calibration", "held-out"), loose crops -> test pictures
Choose = Callable[[KFD, float, dict, Build, dict], tuple[float, dict]]  # module, threshold, training record (changed), build, canonical -> threshold, what to print


def revise(argv: list[str], name: str, description: str, variants: int, choose: Choose) -> None:
    """Reads the checkpoint, lets `choose` change its training record, and keeps what it returns as the threshold."""
    parser = argparse.ArgumentParser(prog=f"kfd_train {name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    parser.add_argument("--checkpoint", type=Path, required=True, help="detector checkpoint written by heads; the choice is kept in it")
    parser.add_argument("--variants", type=int, default=variants, help="rounds over the faces")
    a = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    kfd, threshold, training = load_detector(a.checkpoint)
    canonical, faces = read_canonical(a.dir), read_faces(a.dir)
    template = np.asarray(canonical["template"], np.float64)

    def build(split: str, loose: bool) -> testsets.TestSet:
        return testsets.build([face for face in faces if face.split == split], template, a.variants, loose)

    threshold, chosen = choose(kfd, threshold, training, build, canonical)
    save_detector(a.checkpoint, kfd, threshold, training)
    print(json.dumps(chosen))
