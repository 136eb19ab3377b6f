"""The meaning of the nine forgery prompts: which region each slot speaks of, and the rows that a perfect prompt learner would give.

The 3 x 3 slots lie like the face in the image, and regions that can be named together never share a slot:

    right eye     nose_ridge         left eye
    right cheek   nose               left cheek
    right jaw     whole or center    left jaw
"""

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from .evidence import SLOT_ORDER

SLOT_OF = {"right eye": 0, "nose_ridge": 1, "left eye": 2, "right cheek": 3, "nose": 4, "left cheek": 5, "right jaw": 6, "center face": 7, "full face": 7, "left jaw": 8}
SLOT_WORDS = (" right eye", " bridge nose", " left eye", " right cheek", " nose", " left cheek", " right jaw", " face", " left jaw")
WHOLE_WORDS, CENTER_WORDS = " whole", " center"
MARKED, NORMAL = " marked", " normal"
STRENGTH = 1.2  # size of a mark, in units of a token embedding


def _scaled(row: Tensor, size: float) -> Tensor:
    """The row with the root mean square `size`."""
    return row * (size / row.square().mean().sqrt())


def states(named: tuple[str, ...]) -> Tensor:
    """(10,) float32 in the order of SLOT_ORDER: 1 where the region is named."""
    return torch.tensor([float(region in named) for region in SLOT_ORDER])


def slot_basis(table: Tensor, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """(base (9,W), marks (10,9,W)): rows of an unmarked face, and what each region of SLOT_ORDER adds when it is named.

    `table` (vocabulary,W): the language model's token embeddings. All parts share one direction, " marked" minus " normal", because a
    convolution gives the same answer wherever it finds the same thing; the slot tells which part it is.
    """
    size = float(table.square().mean().sqrt())

    def words(text: str) -> Tensor:
        return table[torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)].mean(0)

    base = torch.stack([_scaled(words(text), size) for text in SLOT_WORDS])
    marked = _scaled(words(MARKED) - words(NORMAL), STRENGTH * size)
    marks = torch.zeros(len(SLOT_ORDER), *base.shape)
    for i, region in enumerate(SLOT_ORDER):
        marks[i, SLOT_OF[region]] = marked
    for region, text in (("full face", WHOLE_WORDS), ("center face", CENTER_WORDS)):
        # Two states of one slot: the words tell them apart.
        marks[SLOT_ORDER.index(region), SLOT_OF[region]] = _scaled(F.normalize(marked, dim=0) + F.normalize(words(text), dim=0), STRENGTH * size)
    return base, marks


def target_rows(named: tuple[str, ...], table: Tensor, tokenizer: Tokenizer) -> Tensor:
    """(9,W) float32: the ideal forgery prompts of a set of named regions."""
    base, marks = slot_basis(table, tokenizer)
    return base + torch.einsum("r,rsw->sw", states(named), marks)
