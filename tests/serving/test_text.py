import pytest
from hypothesis import given
from hypothesis import strategies as st

from newswatch import InputError
from newswatch.text import MAX_CHARS, MAX_SENTENCE_CHARS, Document, normalise, split_sentences

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


def words(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


@given(TEXTS)
def test_offsets_point_into_the_text_as_given(text: str) -> None:
    end = 0
    for sentence in split_sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text == sentence.text.strip()
        assert sentence.start >= end
        end = sentence.end


@given(TEXTS)
def test_no_letter_is_lost(text: str) -> None:
    kept = "".join(c for s in split_sentences(text) for c in s.text if c.isalpha() and not c.isspace())
    assert len(kept) == sum(c.isalpha() for c in text)


def test_crlf_and_wide_characters_keep_offsets() -> None:
    text = "👍 Forces agreed.\r\n\r\nHe left. كوردستان\r\nDone"
    assert words(text) == ["👍 Forces agreed.", "He left.", "كوردستان", "Done"]


def test_titles_and_initials_do_not_end_a_sentence() -> None:
    assert words("Maj. Gen. Tahsin met Lt. Col. Ali in the U.S. on Jan. 5. He left.") == [
        "Maj. Gen. Tahsin met Lt. Col. Ali in the U.S. on Jan. 5.",
        "He left.",
    ]


def test_wrapped_lines_are_one_sentence_and_headlines_are_not() -> None:
    assert words("The army said that the\nroad was open.\nSecond headline\nThird headline") == [
        "The army said that the\nroad was open.",
        "Second headline",
        "Third headline",
    ]


def test_endless_sentence_is_cut_at_spaces() -> None:
    text = "word " * 3000
    parts = split_sentences(text)
    assert max(len(part.text) for part in parts) <= MAX_SENTENCE_CHARS
    assert " ".join(part.text for part in parts).split() == text.split()


@pytest.mark.parametrize("text", ["", " \n ", "\0", "123 456", "🔥🔥", "— … —"])
def test_text_without_letters_has_no_sentence(text: str) -> None:
    assert split_sentences(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "NoneType"), (b"x", "bytes"), ("a\ud800b", "U\\+D800 at character 1"), ("x" * (MAX_CHARS + 1), "at most")],
)
def test_refused_text_says_why(text: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Document.read(text)


def test_title_comes_first_and_keeps_its_own_offsets() -> None:
    document = Document.read("Two died.", "Attack in Hawija")
    assert [(s.field, s.start, s.text) for s in document.sentences] == [("title", 0, "Attack in Hawija"), ("text", 0, "Two died.")]


def test_normalise_folds_what_readers_do_not_see() -> None:
    assert normalise("Ｓüleymaniye\u200b  “Al\u2019Qa\u0301im”") == 'suleymaniye "al\'qaim"'


@given(st.text(st.characters(max_codepoint=0x7F), max_size=200))
def test_normalise_takes_the_same_way_with_ascii_as_with_any_text(text: str) -> None:
    assert normalise(f"{text} \u00e9") == f"{normalise(text)} e".strip()
