"""Fixed test pictures of validation identities: untouched, self-blended, and forged by every other kind, trained on or not."""

import zlib
from dataclasses import dataclass

import numpy as np

from . import jitter, manipulations, postprocess
from .blends import self_blend
from .crops import test_crop
from .regions import choose_region
from .store import Face


@dataclass
class TestSet:
    """Parallel arrays, one row a picture. `kind` is 'real', 'self-blend' or one of manipulations.KINDS; `mask` is 0 for real."""

    __test__ = False  # not a test class

    pictures: np.ndarray  # uint8 (N,224,224,3)
    masks: np.ndarray  # uint8 (N,224,224)
    kind: np.ndarray
    region: np.ndarray
    identity: np.ndarray
    source: np.ndarray
    face: np.ndarray
    landmarks: np.ndarray  # float32 (N,68,2)

    @property
    def forged(self) -> np.ndarray:
        return self.kind != "real"

    def degraded(self, condition: str) -> np.ndarray:
        """Pictures under one of postprocess.CONDITIONS."""
        return np.stack([postprocess.degrade(p, condition) for p in self.pictures])


def choose_donor(face: Face, faces: list[Face], rng: np.random.Generator) -> Face:
    """Another identity, if possible one whose photograph is at least 0.6 times as detailed."""
    others = [f for f in faces if f.identity != face.identity]
    if not others:
        raise ValueError("expected at least two identities for swaps, got one; use a larger face store")
    detailed = [f for f in others if f.native_height > 0.6 * face.native_height]
    return (detailed or others)[rng.integers(len(detailed or others))]


def build(faces: list[Face], template: np.ndarray, variants: int, loose: bool, seed: int = 11) -> TestSet:
    """`variants` rounds over `faces`; each gives a real crop, a self-blend of it (round 0: whole face) and every other kind of it.

    Identities with many photographs get fewer rounds a photograph. The real partner of a self-blend is the blend's own target.
    """
    count: dict[str, int] = {}
    for face in faces:
        count[face.identity] = count.get(face.identity, 0) + 1
    rows = []
    for face in faces:
        rounds = variants if count[face.identity] <= 3 else max(1, variants // 3)
        for variant in range(rounds):
            rng = np.random.default_rng([seed, zlib.crc32(face.name.encode()), variant, int(loose)])
            image, landmarks = test_crop(face, template, rng, loose)
            blend = self_blend(image, landmarks, "face" if variant == 0 else choose_region(rng), rng)
            donor = choose_donor(face, faces, rng)
            donor_image, donor_landmarks = test_crop(donor, template, rng, loose)
            forgeries = [blend]
            for kind in manipulations.KINDS:
                try:
                    forgeries.append(manipulations.make(kind, blend.real, landmarks, donor_image, donor_landmarks, rng))
                except ValueError:
                    continue  # a Poisson mask that leaves the crop
            rows.append((blend.real, np.zeros_like(blend.mask), "real", "", face, landmarks))
            rows += [(f.fake, f.mask, f.kind, f.region, face, landmarks) for f in forgeries]
    return TestSet(
        pictures=np.stack([jitter.to_uint8(r[0]) for r in rows]),
        masks=np.stack([(r[1] > 0.3).astype(np.uint8) for r in rows]),
        kind=np.array([r[2] for r in rows]),
        region=np.array([r[3] for r in rows]),
        identity=np.array([r[4].identity for r in rows]),
        source=np.array([r[4].source for r in rows]),
        face=np.array([r[4].name for r in rows]),
        landmarks=np.stack([r[5] for r in rows]).astype(np.float32),
    )
