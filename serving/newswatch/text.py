"""Text preparation: the one place where a text becomes sentences, for training and serving alike."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from sentencex import get_sentence_boundaries

from newswatch_labels.errors import InputError

MAX_CHARS = 20_000_000
MAX_SENTENCE_CHARS = 2_000

# A line that starts in lower case after a line without a full stop is a wrapped line, not a new paragraph.
_PARAGRAPH = re.compile(r"(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])(?!(?<![.!?:;\"”\s][\n\v])[a-z])")
_WORD_BREAK = re.compile(r"\s+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LETTER = re.compile(r"[^\W\d_]")
_QUOTES = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}


Field = Literal["title", "text"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as `field[start:end]` of its article; offsets are code points into that field as given."""

    start: int
    end: int
    text: str
    field: Field = "text"


@dataclass(frozen=True, slots=True)
class Document:
    """An article cut into sentences, the title's before the text's."""

    sentences: tuple[Sentence, ...]

    @classmethod
    def read(cls, text: object, title: object = None) -> "Document":
        """Check and cut an article.

        Raises:
            InputError: see `check_text`.
        """
        headed = split_sentences(check_text(title, "title"), "title") if title is not None else []
        return cls((*headed, *split_sentences(check_text(text))))


def check_text(text: object, name: str = "text") -> str:
    """Return `text` if it can be scored.

    Raises:
        InputError: not a string, longer than `MAX_CHARS`, or with a lone surrogate (no valid Unicode text has one).
    """
    if not isinstance(text, str):
        raise InputError(f"{name} of type {type(text).__name__}", "a string", "Pass the article's text as str.")
    if len(text) > MAX_CHARS:
        raise InputError(f"{name} of {len(text):,} characters", f"at most {MAX_CHARS:,}", "Split the text into articles.")
    if found := _SURROGATE.search(text):
        raise InputError(
            f"{name} with the lone surrogate U+{ord(found[0]):04X} at character {found.start()}",
            "valid Unicode",
            "Decode the bytes as UTF-8 with errors='replace', or remove the character.",
        )
    return text


def split_sentences(text: str, field: Field = "text") -> list[Sentence]:
    """Split `text` into sentences, in order, without overlap; only white space lies between them.

    Lines are paragraphs (wrapped lines excepted); inside them `sentencex` decides. A sentence longer than
    `MAX_SENTENCE_CHARS` is cut at white space, so that no unit grows without bound. A sentence without any letter is left out.
    """
    sentences = []
    start = 0
    for end in [*(m.start() for m in _PARAGRAPH.finditer(text)), len(text)]:
        if _LETTER.search(text, start, end):
            sentences.extend(_split_paragraph(text, start, end, field))
        start = end
    return sentences


def _split_paragraph(text: str, start: int, end: int, field: Field) -> list[Sentence]:
    found = []
    for boundary in get_sentence_boundaries("en", text[start:end]):
        left, right = start + boundary["start_index"], start + boundary["end_index"]
        while right - left > MAX_SENTENCE_CHARS:
            space = text.rfind(" ", left + 1, left + MAX_SENTENCE_CHARS)
            cut = space if space > left else left + MAX_SENTENCE_CHARS
            found.append((left, cut))
            left = cut
        found.append((left, right))
    sentences = []
    for left, right in found:
        raw = text[left:right]
        stripped = raw.strip()
        if _LETTER.search(stripped):
            left += len(raw) - len(raw.lstrip())
            sentences.append(Sentence(left, left + len(stripped), stripped, field))
    return sentences


def normalise(text: str) -> str:
    """Fold `text` for matching: NFKC, no accents or zero-width marks, lower case, straight quotes, single spaces."""
    if not text.isascii():  # on ASCII all of this does nothing, and takes three quarters of the time
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if c.isascii() or not (unicodedata.combining(c) or unicodedata.category(c) == "Cf"))
        text = unicodedata.normalize("NFC", text).translate(_QUOTES)
    return _WORD_BREAK.sub(" ", text.casefold()).strip()
