"""Writes a folder of forged test pictures with masks, as `kfd-native daam-eval` reads it.

NAME.png (224 x 224 canonical crop), NAME.mask.png (0 or 255), groups.csv (image,group: the person) and testset.csv (image, kind,
region, identity, source). The pictures are crops already: evaluate them with --faces whole.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from . import manipulations, testsets
from .store import SPLITS, read_canonical, read_faces

KINDS = ("self-blend", *manipulations.KINDS)
ALIASES = {"swap": ("swap-alpha", "swap-poisson"), "all": KINDS}


def parse_kinds(text: str) -> list[str]:
    """'self-blend,swap' -> the names of testsets.build. Raises SystemExit for an unknown one."""
    kinds = [kind for name in text.split(",") for kind in ALIASES.get(name, (name,))]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise SystemExit(f"expected --kinds out of {', '.join((*KINDS, *ALIASES))}, got {', '.join(unknown)}")
    return kinds


def choose(tests: testsets.TestSet, kinds: list[str], limit: int | None, seed: int) -> np.ndarray:
    """Rows of the wanted kinds whose mask has an inside and an outside; with a limit, drawn at random."""
    share = tests.masks.mean((1, 2))
    rows = np.flatnonzero(np.isin(tests.kind, kinds) & (share > 0) & (share < 1))
    if limit is not None and limit < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Whole or not at all."""
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise RuntimeError(f"expected OpenCV to encode {path}")
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data.tobytes())
    temporary.rename(path)


def write_table(path: Path, heading: list[str], lines: list[list[str]]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([heading, *lines])
    temporary.rename(path)


def write(tests: testsets.TestSet, rows: np.ndarray, out: Path) -> None:
    """One picture and one mask a row, and both tables."""
    out.mkdir(parents=True, exist_ok=True)
    groups, table = [], []
    for row in rows:
        stem = f"{tests.kind[row]}-{row:05d}"
        write_picture(out / f"{stem}.png", tests.pictures[row][..., ::-1])
        write_picture(out / f"{stem}.mask.png", tests.masks[row] * 255)
        groups.append([f"{stem}.png", tests.identity[row]])
        table.append([f"{stem}.png", tests.kind[row], tests.region[row], tests.identity[row], tests.source[row]])
    write_table(out / "groups.csv", ["image", "group"], groups)
    write_table(out / "testset.csv", ["image", "kind", "region", "identity", "source"], table)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train testset", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path(".cache/train"), help="working folder with faces/ and canonical.json")
    parser.add_argument("--out", type=Path, required=True, help="new or empty folder")
    parser.add_argument("--kinds", default="self-blend,swap", help=f"out of {', '.join(KINDS)}; swap = both swaps; all")
    parser.add_argument("--split", choices=SPLITS, default="held-out", help="whose faces")
    parser.add_argument("--variants", type=int, default=1, help="rounds over the faces")
    parser.add_argument("--limit", type=int, help="so many pictures, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    kinds = parse_kinds(arguments.kinds)
    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise SystemExit(f"expected a new or empty folder, {arguments.out} holds files; give another --out")
    cv2.setNumThreads(1)
    template = np.asarray(read_canonical(arguments.dir)["template"], np.float64)
    faces = [face for face in read_faces(arguments.dir) if face.split == arguments.split]
    if not faces:
        raise SystemExit(f"expected faces of the split {arguments.split!r} in {arguments.dir}, found none")
    tests = testsets.build(faces, template, arguments.variants, loose=False)
    rows = choose(tests, kinds, arguments.limit, arguments.seed)
    write(tests, rows, arguments.out)
    people = len(set(tests.identity[rows]))
    print(f"{len(rows)} forgeries of {people} people written to {arguments.out}")
