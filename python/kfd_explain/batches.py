"""Dialogues as token batches: prefix kfd.prefix/1, turns, which tokens are learnt; similar lengths go together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .evidence import PREFIX_BEFORE_IMAGE, Evidence, prefix_after_image

# Unused special tokens of SmolLM2 that stand for the soft rows: visual token, nine forgery prompts, score token.
# Id 4 is left out: llama.cpp takes it for the end of a generation.
PLACEHOLDERS = (3, *range(5, 15))
END = "<|im_end|>"


class Turn(Protocol):
    """A question and the answer that is learnt, unless `learned` is False (a wrong answer that a later turn corrects)."""

    question: str
    answer: str
    kind: str
    learned: bool


@dataclass(frozen=True)
class Dialogue:
    """`tokens` with placeholders for the soft rows; `answers`: (first token, end, kind) of each learnt answer with its end token."""

    picture: int
    tokens: list[int]
    answers: list[tuple[int, int, str]]


@dataclass(frozen=True)
class Batch:
    tokens: Tensor
    """(B,T) int64, right-padded with 0."""
    learned: Tensor
    """(B,T) bool: the tokens that the loss counts."""
    dialogues: list[Dialogue]

    @property
    def pictures(self) -> list[int]:
        return [dialogue.picture for dialogue in self.dialogues]


def question_text(question: str, first: bool) -> str:
    """What follows the prefix (first) or the last answer's end token, up to where the answer starts."""
    asked = f"{question}{END}\n<|im_start|>assistant\n"
    return asked if first else f"\n<|im_start|>user\n{asked}"


class DialogueEncoder:
    """Turns to tokens. Each piece is tokenised by itself, as llama.cpp's side does."""

    def __init__(self, encode: Callable[[str], list[int]]):
        self.encode = lru_cache(maxsize=20_000)(lambda text: tuple(encode(text)))

    def prefix(self, evidence: Evidence) -> list[int]:
        visual, *prompts_and_score = PLACEHOLDERS
        return [*self.encode(PREFIX_BEFORE_IMAGE), visual, *self.encode(prefix_after_image(evidence)), *prompts_and_score]

    def dialogue(self, picture: int, evidence: Evidence, turns: list[Turn]) -> Dialogue:
        if not turns:
            raise ValueError("expected at least one turn, got none")
        tokens, answers = self.prefix(evidence), []
        for index, turn in enumerate(turns):
            tokens += self.encode(question_text(turn.question, first=index == 0))
            start = len(tokens)
            tokens += self.encode(turn.answer + END)
            if turn.learned:
                answers.append((start, len(tokens), turn.kind))
        return Dialogue(picture, tokens, answers)


def collate(dialogues: list[Dialogue]) -> Batch:
    length = max(len(dialogue.tokens) for dialogue in dialogues)
    tokens = torch.zeros(len(dialogues), length, dtype=torch.int64)
    learned = torch.zeros(len(dialogues), length, dtype=torch.bool)
    for row, dialogue in enumerate(dialogues):
        tokens[row, : len(dialogue.tokens)] = torch.tensor(dialogue.tokens)
        for start, end, _ in dialogue.answers:
            learned[row, start:end] = True
    return Batch(tokens, learned, dialogues)


def bucketed(dialogues: list[Dialogue], most_tokens: int) -> list[list[Dialogue]]:
    """Groups of similar length with at most `most_tokens` tokens, padding included; a longer dialogue goes alone."""
    groups: list[list[Dialogue]] = []
    for dialogue in sorted(dialogues, key=lambda d: len(d.tokens)):
        if not groups or (len(groups[-1]) + 1) * len(dialogue.tokens) > most_tokens:
            groups.append([])
        groups[-1].append(dialogue)
    return groups


class BatchStream:
    """Endless batches that depend on the seed and `position` alone, so that a run can be resumed exactly.

    `draw(rng)` gives a picture and its turns. Position: (pool, batches of it that were given); a pool is `pool_size` dialogues.
    """

    def __init__(self, draw: Callable[[np.random.Generator], Dialogue], seed: int, most_tokens: int, pool_size: int = 48):
        self.draw, self.seed, self.most_tokens, self.pool_size = draw, seed, most_tokens, pool_size
        self.position = (0, 0)

    def _pool(self, number: int) -> list[list[Dialogue]]:
        rng = np.random.default_rng([self.seed, number])
        groups = bucketed([self.draw(rng) for _ in range(self.pool_size)], self.most_tokens)
        return [groups[i] for i in rng.permutation(len(groups))]

    def __iter__(self) -> Iterator[Batch]:
        while True:
            pool, start = self.position
            groups = self._pool(pool)
            for index in range(start, len(groups)):
                self.position = (pool, index + 1) if index + 1 < len(groups) else (pool + 1, 0)
                yield collate(groups[index])
