"""Batches: articles of one step, their windows packed into rows of one length."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from accelerate import PartialState
from numpy.typing import NDArray

from newswatch.windows import Window

OPEN_BATCHES = 6


@dataclass(frozen=True)
class Prepared:
    """An article ready for a step: its windows, and per sentence (S, T) which tags it shows; None where nobody marked."""

    windows: Sequence[Window]
    marks: NDArray[np.bool_] | None
    row: int


Row = Sequence[tuple[int, Window]]  # windows that share a row of the input, each with its article's number in the batch


class Batch(NamedTuple):
    """Articles of one step, and the rows of the input that their windows fill."""

    articles: list[Prepared]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Packer:
    """Packs articles into batches.

    Attributes:
        window: tokens of a row.
        tokens: of all rows of a batch.
        shared: whether windows may share a row; the backbone must then take a mask that keeps them apart.
    """

    window: int
    tokens: int
    shared: bool

    @property
    def rows_per_pass(self) -> int:
        """Rows that one pass of the backbone reads."""
        return max(1, self.tokens // self.window)

    def pack(self, articles: Sequence[Prepared], rng: random.Random) -> list[Batch]:
        """Random articles together, as many as fit one pass; an article goes into the first of a few open batches with room.

        An article that is longer than a pass is a batch of its own.
        """
        order = list(articles)
        rng.shuffle(order)
        batches: list[Batch] = []
        for article in order:
            for number in range(max(0, len(batches) - OPEN_BATCHES), len(batches)):
                members = batches[number].articles
                rows = self.place(batches[number].rows, len(members), article)
                if len(rows) <= self.rows_per_pass:
                    batches[number] = Batch([*members, article], rows)
                    break
            else:
                batches.append(Batch([article], self.place([], 0, article)))
        rng.shuffle(batches)
        return batches

    def place(self, rows: Sequence[Row], number: int, article: Prepared) -> list[Row]:
        """The rows with an article's windows in them, each window in the first row that has room for it."""
        placed = [list(row) for row in rows]
        for window in article.windows:
            for row in placed if self.shared else ():
                if sum(len(other.ids) for _, other in row) + len(window.ids) <= self.window:
                    row.append((number, window))
                    break
            else:
                placed.append([(number, window)])
        return list(placed)


def share_batches(batches: Sequence[Batch]) -> list[Batch]:
    """The batches of one process of several; each gets as many, so that none waits for the others at the end."""
    state = PartialState()
    each = -(-len(batches) // state.num_processes)
    return [batches[(number * state.num_processes + state.process_index) % len(batches)] for number in range(each)]
