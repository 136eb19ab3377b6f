"""What may be said about a face: the detector's numbers, in the words that prefix and answers use. Mirrors lib/explain/evidence.ts."""

import math
from dataclasses import dataclass

ROUNDING_ERROR = 1e-6  # 0.29 * 100 is 28.999999999999996
NAMES = {
    "full face": "the whole face",
    "center face": "the center of the face",
    "nose_ridge": "the bridge of the nose",
    "nose": "the nose",
    **{f"{side} eye": f"the {side} eye" for side in ("right", "left")},
    **{f"{side} cheek": f"the {side} cheek" for side in ("right", "left")},
    **{f"{side} jaw": f"the {side} side of the jaw" for side in ("right", "left")},
}
"""How sentences name the regions; left and right are the person's own."""
CENTER_PARTS = ("nose", "nose_ridge", "right eye", "left eye")
# Rows of the image, then whole or center: the order of the prompt slots (prompts.py), in which trained answers list regions.
SLOT_ORDER = ("right eye", "nose_ridge", "left eye", "right cheek", "nose", "left cheek", "right jaw", "center face", "full face", "left jaw")


def confidence_of(score: float, threshold: float) -> str:
    """'very', 'fairly' or 'not very': the distance to the threshold as a share of what is possible on the verdict's side."""
    distance, room = (score - threshold, 1 - threshold) if score >= threshold else (threshold - score, threshold)
    margin = distance / room if room > 0 else 0.0
    return "very" if margin >= 2 / 3 else "fairly" if margin >= 1 / 3 else "not very"


@dataclass(frozen=True)
class Evidence:
    """One face: score, threshold and extent from 0 to 1; `named` regions strongest first. Raises ValueError outside these ranges."""

    score: float
    threshold: float
    named: tuple[str, ...]
    extent: float

    def __post_init__(self):
        for name in ("score", "threshold", "extent"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} from 0 to 1, got {getattr(self, name)}")
        unknown = set(self.named) - set(NAMES)
        if unknown:
            raise ValueError(f"expected regions out of {sorted(NAMES)}, got {sorted(unknown)}")

    @property
    def fake(self) -> bool:
        return self.score >= self.threshold

    @property
    def verdict(self) -> str:
        return "fake" if self.fake else "real"

    @property
    def confidence(self) -> str:
        return confidence_of(self.score, self.threshold)

    @property
    def score_percent(self) -> int:
        """Truncated, as KFD's prompt does (spec kfd section 10): 0.987 is 98."""
        return math.floor(100 * self.score + ROUNDING_ERROR)

    @property
    def threshold_percent(self) -> int:
        return math.floor(100 * self.threshold + 0.5)

    @property
    def extent_percent(self) -> int:
        return math.floor(100 * self.extent + 0.5)

    def stands_out(self, region: str) -> bool:
        """Whether `region` is named, or lies in the whole face or the center that is."""
        if "full face" in self.named:
            return True
        return region in self.named or ("center face" in self.named and region in CENTER_PARTS)


def listed(names: list[str]) -> str:
    """'the nose', 'the nose and the left cheek', 'the nose, the left cheek and the right eye'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def regions_listed(regions: tuple[str, ...] | list[str]) -> str:
    return listed([NAMES[region] for region in regions])


def by_slot(regions: tuple[str, ...]) -> tuple[str, ...]:
    """In the order of the prompt slots: the strength's order cannot be read from the prompts."""
    return tuple(sorted(regions, key=SLOT_ORDER.index))


PREFIX_BEFORE_IMAGE = "<|im_start|>user\n<Img>"
"""First piece of the prefix kfd.prefix/1; the visual token follows."""


def prefix_after_image(evidence: Evidence) -> str:
    """Second piece of the prefix; nine forgery prompts, the score token and the first question follow."""
    e = evidence
    return (
        f"</Img> According to deepfake prediction, the forgery score is {e.score_percent}%. From {e.threshold_percent}% on a face counts as fake, "
        f"so this face is {e.verdict}, {e.confidence} sure. The map marks {e.extent_percent}% of the face. "
    )


def correction(evidence: Evidence, question: str) -> str:
    """The turn that sends the evidence back after an answer that it does not support."""
    e = evidence
    regions = f"the regions named are {regions_listed(e.named)}" if e.named else "no region stands out"
    return (
        f"That is not supported by the evidence. Evidence: the face is {e.verdict}, the forgery score is {e.score_percent}%, {e.confidence} sure, "
        f"{e.extent_percent}% of the face is marked, {regions}. Answer again: {question}"
    )
