"""The label scheme, the record and the corpus of newswatch."""

from newswatch_labels.corpus import Corpus, read_corpus, read_splits, to_dataset, write_corpus
from newswatch_labels.errors import InputError, MissingExtraError, NewswatchError, RecordError, SchemeError
from newswatch_labels.record import Record
from newswatch_labels.scheme import Scheme, Tag

__all__ = [
    "Corpus",
    "InputError",
    "MissingExtraError",
    "NewswatchError",
    "Record",
    "RecordError",
    "Scheme",
    "SchemeError",
    "Tag",
    "read_corpus",
    "read_splits",
    "to_dataset",
    "write_corpus",
]
