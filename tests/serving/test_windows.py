from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from newswatch.text import Document
from newswatch.windows import Window, WindowCutter


@pytest.fixture(scope="module")
def cutter(tiny_backbone: Path) -> WindowCutter:
    return WindowCutter.of(Tokenizer.from_file(str(tiny_backbone / "tokenizer.json")), 24)


def runs(windows: list[Window]) -> list[tuple[int, list[int]]]:
    """Sentence number and tokens of each run."""
    found = []
    for window in windows:
        ends = window.start + np.cumsum(window.lengths)
        for number, end, length in zip(window.sentences, ends, window.lengths, strict=True):
            found.append((int(number), window.ids[end - length : end].tolist()))
    return found


def test_special_tokens_are_the_tokenizers_own(cutter: WindowCutter) -> None:
    assert (cutter.prefix, cutter.suffix) == ((101,), (102,))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(1000, 2000), max_size=70), max_size=12))
def test_nothing_is_dropped_and_no_sentence_cut_that_fits(cutter: WindowCutter, sentences: list[list[int]]) -> None:
    windows = cutter.pack(sentences)
    room = cutter.size - 2
    joined: dict[int, list[int]] = {}
    pieces: dict[int, int] = {}
    for number, tokens in runs(windows):
        joined.setdefault(number, []).extend(tokens)
        pieces[number] = pieces.get(number, 0) + 1
    assert joined == {number: tokens for number, tokens in enumerate(sentences) if tokens}
    assert all(pieces[number] == -(-len(tokens) // room) for number, tokens in enumerate(sentences) if tokens)
    for window in windows:
        assert len(window.ids) <= cutter.size
        assert (window.ids[0], window.ids[-1]) == (101, 102)
        assert window.start + window.lengths.sum() + 1 == len(window.ids)
        assert len(set(window.sentences.tolist())) == len(window.sentences)


def test_pooling_averages_each_sentences_tokens_and_no_others(cutter: WindowCutter) -> None:
    (window,) = cutter.pack([[1000, 1001, 1002], [2000]])
    expected = np.array([[0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 3, 0]], np.float64) / 3
    np.testing.assert_allclose(window.pooling(), expected, atol=1e-7)


def test_a_document_is_cut_at_its_sentences(cutter: WindowCutter) -> None:
    document = Document.read("Gunmen attacked a village. Nobody was hurt. " * 6, "A title")
    windows = cutter.cut(document)
    assert len(windows) > 1
    assert [number for number, _ in runs(windows)] == list(range(len(document.sentences)))


def test_many_sentences_are_tokenised_in_parts(cutter: WindowCutter) -> None:
    texts = [f"number {n}" for n in range(600)]
    assert cutter.tokenize(texts) == [cutter.tokenize([text])[0] for text in texts]
