"""Training dialogues about one face: 1 to 6 turns, drawn from a seed, answers by answers.py (prefix kfd.prefix/1)."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from . import answers, questions
from .evidence import NAMES, SLOT_ORDER, Evidence, by_slot, correction

# How often each kind is asked. Region sets are the hard part and come most.
KINDS = {
    "verdict": 2.0, "where": 2.5, "why": 1.5, "region": 12.0, "pair": 1.5, "part": 0.7, "extent": 0.8, "sure": 0.8, "next": 0.9, "limits": 0.5, "meaning": 0.5,
    "unknown": 1.0, "off-topic": 1.0, "pushback": 0.6, "leading": 0.6, "leading-agreeing": 1.2, "injection": 0.6, "hello": 0.15, "thanks": 0.15,
}  # fmt: skip
CORRECTED_KINDS = ("verdict", "where", "why", "region")  # an answer of these may be wrong and sent back
CORRECTED = 0.08  # share of their turns that come with a wrong answer and a correction
OTHER_REGIONS = 0.4  # of the corrections: the evidence that is sent back names other regions than the prompts, so that it is believed
TURNS = (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True)
class Turn:
    """One question and its answer; `learned`: whether the answer counts in the loss (a wrong one that is sent back does not)."""

    question: str
    answer: str
    kind: str
    learned: bool = True
    region: str = ""  # which region a question of the kind 'region' is about


@cache
def _held_out() -> frozenset[str]:
    return frozenset(questions.held_out_wordings())


def ask(kind: str, verdict: str, rng: np.random.Generator) -> str:
    """A wording that is not held out; {region} and {part} stay open."""
    while True:
        text = questions.question(kind, verdict, rng)
        if questions.normalised(text) not in _held_out():
            return text


def roughen(text: str, rng: np.random.Generator) -> str:
    """As people type: sometimes small letters only, no closing mark, a slip of the finger, a word of courtesy before it."""
    if rng.random() < 0.08:
        text = f"{rng.choice(('Please tell me:', 'Hey,', 'Sorry,', 'One more thing:', 'OK,', 'And', 'Hm,'))} {text[0].lower()}{text[1:]}"
    if rng.random() < 0.08:
        text = slip(text, rng)
    if rng.random() < 0.2:
        text = text.lower()
    if rng.random() < 0.2:
        text = text.rstrip(".?!")
    return text


def slip(text: str, rng: np.random.Generator) -> str:
    """Two neighbouring letters of a long word swapped, one lost or one doubled."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
    if not long:
        return text
    i = long[rng.integers(len(long))]
    word, at = words[i], int(rng.integers(1, len(words[i]) - 1))
    words[i] = (word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:])[rng.integers(3)]
    return " ".join(words)


def choose_region(e: Evidence, rng: np.random.Generator) -> str:
    """One that stands out half of the time, if there is any."""
    marked = [name for name in NAMES if e.stands_out(name)]
    others = [name for name in NAMES if name not in marked]
    chosen = marked if marked and (not others or rng.random() < 0.5) else others
    return chosen[rng.integers(len(chosen))]


def one_turn(kind: str, e: Evidence, rng: np.random.Generator) -> Turn:
    if kind == "region":
        name = choose_region(e, rng)
        text = ask("region", e.verdict, rng).replace("{region}", NAMES[name])
        return Turn(roughen(text, rng), answers.region(e, name), kind, region=name)
    if kind == "pair":
        plural = list(answers.LIKE_PAIRS)[rng.integers(len(answers.LIKE_PAIRS))]
        pattern = ("Are the {} [manipulated|fake|real|marked|in order]?", "And the {}?", "Were the {} [changed|edited|manipulated]?", "How about the {}?", "Do the {} look [real|fake]?")
        text = questions.draw(pattern[rng.integers(len(pattern))].format(plural), rng)
        return Turn(roughen(text, rng), answers.pair(e, answers.LIKE_PAIRS[plural]), kind)
    if kind == "part":
        part = questions.OTHER_PARTS[rng.integers(len(questions.OTHER_PARTS))]
        return Turn(roughen(ask("part", e.verdict, rng).replace("{part}", part), rng), answers.other_part(part), kind)
    if kind == "leading-agreeing":
        other = "real" if e.fake else "fake"
        return Turn(roughen(ask("leading", other, rng), rng), answers.answer(kind, e), kind)
    return Turn(roughen(ask(kind, e.verdict, rng), rng), answers.answer(kind, e), kind)


def random_regions(e: Evidence, rng: np.random.Generator) -> tuple[str, ...]:
    """Another set of regions than the evidence's, by strength: nothing, the center, the whole face, or one to three parts."""
    parts = [name for name in SLOT_ORDER if name not in ("center face", "full face")]
    while True:
        chance = rng.random()
        if chance < 0.3:
            named = (("full face",), ("center face",), ())[rng.integers(3)]
        else:
            named = tuple(parts[i] for i in rng.choice(len(parts), rng.integers(1, 4), replace=False))
        if set(named) != set(e.named):
            return named


def falsified(e: Evidence, rng: np.random.Generator) -> Evidence:
    """What a mistaken answer would rest on: other regions, or the other verdict with another score."""
    if e.fake and rng.random() < 0.7:
        return replace(e, named=random_regions(e, rng))
    score = rng.uniform(0, e.threshold - 1e-3) if e.fake else rng.uniform(e.threshold, 1)
    return replace(e, score=float(score), named=() if e.fake else random_regions(e, rng))


def corrected_turns(kind: str, e: Evidence, rng: np.random.Generator) -> list[Turn]:
    """A wrong answer (not trained), then the evidence sent back and the right one, with the regions in the order of the evidence."""
    if e.fake and rng.random() < OTHER_REGIONS:
        e = replace(e, named=random_regions(e, rng))
    asked = one_turn(kind, e, rng)
    mistaken = falsified(e, rng)
    if kind == "region":
        wrong = answers.capital(f"{NAMES[asked.region]} is {'not ' if e.stands_out(asked.region) else ''}marked as manipulated.")
        return [replace(asked, answer=wrong, learned=False), Turn(correction(e, asked.question), asked.answer, "correction")]
    return [
        Turn(asked.question, answers.answer(kind, replace(mistaken, named=by_slot(mistaken.named))), kind, False),
        Turn(correction(e, asked.question), answers.answer(kind, e, by_strength=True), "correction"),
    ]


def dialogue(rng: np.random.Generator, evidence: Evidence) -> list[Turn]:
    """1 to 6 turns about one face. No kind comes twice except questions about single regions and parts; a correction ends the dialogue,
    because the evidence that it sends back may differ from the prompts."""
    names = list(KINDS)
    weights = np.array(list(KINDS.values()))
    turns: list[Turn] = []
    for _ in range(TURNS[rng.integers(len(TURNS))]):
        allowed = np.array([name in ("region", "part") or all(t.kind != name for t in turns) for name in names])
        if turns:
            allowed[names.index("hello")] = False
        else:
            allowed[names.index("thanks")] = False
        share = weights * allowed
        kind = names[rng.choice(len(names), p=share / share.sum())]
        if kind in CORRECTED_KINDS and rng.random() < CORRECTED:
            return [*turns, *corrected_turns(kind, evidence, rng)]
        turns.append(one_turn(kind, evidence, rng))
    return turns
