"""Endless, reproducible stream of training batches: batch i depends on the seed and i alone, however many workers make it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from . import manipulations, postprocess
from .blends import Forgery, self_blend
from .crops import training_crop
from .photo_blends import photograph_crop
from .regions import choose_region
from .store import Face
from .testsets import choose_donor
from .variation import mingle, placed_over, vary


def sampling_weights(faces: list[Face]) -> np.ndarray:
    """Chance of each face: identities with many photographs count less (1 / sqrt of their number)."""
    counts: dict[str, int] = {}
    for face in faces:
        counts[face.identity] = counts.get(face.identity, 0) + 1
    weights = np.array([counts[face.identity] ** -0.5 for face in faces])
    return weights / max(weights.sum(), 1e-9)


@dataclass
class Material:
    """What forgeries are made of: training faces, the canonical template (4,2) and mean landmarks (68,2), photographs without faces."""

    faces: list[Face]
    template: np.ndarray
    mean_landmarks: np.ndarray
    photographs: list[Path] = field(default_factory=list)


class PairStream(IterableDataset):
    """Yields (pictures uint8 (2P,224,224,3), masks uint8 (2P,224,224)): even rows untouched, odd rows their forged partner.

    `face_share`: how often a self-blend covers the whole face, not a part; `photograph_share`: how often the picture shows no face;
    `kinds`: relative shares of 'self-blend' and of manipulations.KINDS among the pictures of faces; `varied`, and `mingled`, how often
    a face is mingled with another person's photograph: see variation.py.
    """

    def __init__(
        self,
        material: Material,
        pairs: int,
        seed: int,
        first: int = 0,
        face_share: float = 0.5,
        photograph_share: float = 0.0,
        kinds: dict[str, float] | None = None,
        varied: bool = False,
        mingled: float = 0.0,
    ):
        if not material.faces and photograph_share < 1:
            raise ValueError("expected at least one training face, got none; build the face store first")
        if not material.photographs and photograph_share > 0:
            raise ValueError("expected photographs for a photograph_share above 0, got none; list them in photographs.json or set it to 0")
        self.material, self.pairs, self.seed, self.first = material, pairs, seed, first
        self.face_share, self.photograph_share, self.varied, self.mingled = face_share, photograph_share, varied, mingled
        kinds = kinds or {"self-blend": 1.0}
        unknown = set(kinds) - {"self-blend", *manipulations.KINDS}
        if unknown:
            raise ValueError(f"expected kinds out of self-blend, {', '.join(manipulations.KINDS)}, got {sorted(unknown)}; correct 'kinds' in the configuration")
        self.kinds, self.kind_shares = list(kinds), np.array(list(kinds.values()), float) / sum(kinds.values())
        self.weights = sampling_weights(material.faces)

    def forgery(self, rng: np.random.Generator) -> Forgery:
        material = self.material
        if rng.random() < self.photograph_share:
            path = material.photographs[rng.integers(len(material.photographs))]
            image, landmarks = self.variant(*photograph_crop(path, material.mean_landmarks, rng), rng)
            return self_blend(image, landmarks, choose_region(rng, self.face_share), rng)
        face = material.faces[rng.choice(len(material.faces), p=self.weights)]
        image, landmarks = self.variant(*self.crop(face, rng), rng)
        kind = self.kinds[rng.choice(len(self.kinds), p=self.kind_shares)]
        if kind != "self-blend":
            donor = choose_donor(face, material.faces, rng)
            donor_image, donor_landmarks = self.variant(*self.crop(donor, rng), rng)
            try:
                return manipulations.make(kind, image, landmarks, donor_image, donor_landmarks, rng)
            except ValueError:
                pass  # a Poisson mask that leaves the crop: this pair becomes a self-blend
        return self_blend(image, landmarks, choose_region(rng, self.face_share), rng)

    def crop(self, face: Face, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A training crop of `face`, sometimes mingled with another person's photograph."""
        image, landmarks = training_crop(face, self.material.template, rng)
        if self.mingled > 0 and rng.random() < self.mingled:
            other = choose_donor(face, self.material.faces, rng)
            image = mingle(image, placed_over(other.pixels, other.landmarks, landmarks, len(image)), rng)
        return image, landmarks

    def variant(self, image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return vary(image, landmarks, rng) if self.varied else (image, landmarks)

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        pictures, masks = [], []
        for _ in range(self.pairs):
            forgery = self.forgery(rng)
            steps = postprocess.draw(rng)
            pictures += [postprocess.run(forgery.real, steps), postprocess.run(forgery.fake, steps)]
            mask = postprocess.run_mask(forgery.mask, steps)
            masks += [np.zeros_like(mask), mask]
        return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(masks))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        if worker:
            torch.set_num_threads(1)  # one process a core; without workers the caller's own setting stays
        offset, step = (worker.id, worker.num_workers) if worker else (0, 1)
        index = self.first + offset
        while True:
            yield self.batch(index)
            index += step


def loader(stream: PairStream, workers: int, pinned: bool = False) -> DataLoader:
    """Batches in order of their index; `workers` processes (0 = in the training process); `pinned` memory for a GPU's transfer."""
    prefetch = {"prefetch_factor": 2} if workers else {}
    return DataLoader(stream, batch_size=None, num_workers=workers, pin_memory=pinned, **prefetch)
