"""Windows: whole sentences of a document as rows of tokens that an encoder reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from newswatch.text import Document

TOKENIZE_AT_ONCE = 256

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """One row of an encoder's input.

    Attributes:
        ids: (L,) token numbers, the model's special tokens around them.
        sentences: (K,) number of the sentence of each run of tokens.
        lengths: (K,) tokens of each run; the first begins after the special tokens at the start.
        start: number of special tokens at the start.
    """

    ids: IntArray
    sentences: IntArray
    lengths: IntArray
    start: int

    def whole(self, number: int) -> "Window":
        """The same tokens as one run, which stands for passage `number`."""
        return Window(self.ids, np.array([number]), self.lengths.sum(keepdims=True), self.start)

    def pooling(self) -> NDArray[np.float32]:
        """(K, L): row k averages over the tokens of run k."""
        matrix = np.zeros((len(self.lengths), len(self.ids)), np.float32)
        ends = self.start + np.cumsum(self.lengths)
        for row, (end, length) in enumerate(zip(ends, self.lengths, strict=True)):
            matrix[row, end - length : end] = 1 / length
        return matrix


@dataclass(frozen=True)
class WindowCutter:
    """Cuts documents into windows of at most `size` tokens, special tokens counted.

    Attributes:
        tokenizer: of the backbone, without truncation or padding.
        prefix, suffix: special tokens around every window.
    """

    tokenizer: Tokenizer
    size: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer, size: int) -> "WindowCutter":
        """A cutter with the special tokens that the tokenizer itself puts around a text."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        bare = tokenizer.encode("news", add_special_tokens=False).ids
        whole = tokenizer.encode("news", add_special_tokens=True).ids
        start = next(n for n in range(len(whole)) if whole[n : n + len(bare)] == bare)
        return cls(tokenizer, size, tuple(whole[:start]), tuple(whole[start + len(bare) :]))

    def cut(self, document: Document) -> list[Window]:
        """Windows of a document, in order; see `pack`."""
        return self.pack(self.tokenize([sentence.text for sentence in document.sentences]))

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, without special tokens; memory is bounded by `TOKENIZE_AT_ONCE` texts."""
        return [
            encoding.ids
            for start in range(0, len(texts), TOKENIZE_AT_ONCE)
            for encoding in self.tokenizer.encode_batch_fast(list(texts[start : start + TOKENIZE_AT_ONCE]), add_special_tokens=False)
        ]

    def pack(self, sentences: Sequence[Sequence[int]]) -> list[Window]:
        """Pack the tokens of sentences into windows.

        No sentence is cut that fits a window, and nothing is dropped: a sentence longer than a window goes on in the next,
        and its state is the mean over all its tokens. A sentence without a token is in no window.
        """
        room = self.size - len(self.prefix) - len(self.suffix)
        windows: list[Window] = []
        runs: list[tuple[int, Sequence[int]]] = []
        used = 0
        for number, tokens in enumerate(sentences):
            for begin in range(0, len(tokens), room):
                piece = tokens[begin : begin + room]
                if used + len(piece) > room:
                    windows.append(self._window(runs))
                    runs, used = [], 0
                runs.append((number, piece))
                used += len(piece)
        if runs:
            windows.append(self._window(runs))
        return windows

    def _window(self, runs: list[tuple[int, Sequence[int]]]) -> Window:
        ids = [*self.prefix, *(token for _, piece in runs for token in piece), *self.suffix]
        numbers, lengths = zip(*((number, len(piece)) for number, piece in runs), strict=True)
        return Window(np.array(ids, np.int64), np.array(numbers, np.int64), np.array(lengths, np.int64), len(self.prefix))
