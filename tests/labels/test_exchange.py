import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from newswatch.prediction import Evidence, Prediction
from newswatch_labels import InputError, Record, RecordError, Scheme, SchemeError, read_corpus, read_splits, write_corpus
from newswatch_labels.cli import app
from newswatch_labels.corpus import Corpus
from newswatch_labels.label_studio import from_label_studio, label_studio_config, to_label_studio
from newswatch_labels.spreadsheet import COLUMNS, from_csv, to_csv, to_jsonl

ODD = Record(
    id="odd",
    title="🚨 Two attacks",
    text="Police 👮🏽 said so.\r\n\r\nISIS 🔥 gunmen attacked\r\nDaquq. It rained 😢.\rTwo policemen were killed.",
    labels=("isis_attack", "casualties"),
    evidence={
        "isis_attack": ("ISIS 🔥 gunmen attacked\r\nDaquq.", "Two attacks"),
        "casualties": ("Two policemen were killed.",),
        "talks": ("Police 👮🏽 said so.",),
    },
    disputed=("talks",),
    extra={"pool": "p"},
)


def unordered(record: Record) -> Record:
    """The record with its evidence in no order; a title's sentence comes back before the text's."""
    marked = record.evidence
    return replace(record, evidence=None if marked is None else {tag: tuple(sorted(set(found))) for tag, found in marked.items()})


def through_json(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return json.loads(json.dumps(tasks))  # type: ignore[no-any-return]


def region(start: int, end: int, shown: str | None, *tags: str, field: str = "text") -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": list(tags)} | ({} if shown is None else {"text": shown})
    name = "evidence" if field == "text" else "evidence_title"
    return {"id": "r", "type": "labels", "from_name": name, "to_name": field, "origin": "manual", "value": value}


def choices(*tags: str) -> dict[str, Any]:
    return {"id": "c", "type": "choices", "from_name": "tags", "to_name": "text", "value": {"choices": list(tags)}}


def task(*results: list[dict[str, Any]], text: str = "ISIS attacked Daquq. It rained.", **annotation: Any) -> dict[str, Any]:
    """A task as Label Studio exports it, an annotation for each of `results`."""
    made = [
        {"id": n, "was_cancelled": False, "updated_at": f"2024-03-0{n + 1}T08:00:00.5Z", "result": result} | annotation
        for n, result in enumerate(results)
    ]
    return {"id": 7, "data": {"id": "a", "title": "", "text": text}, "annotations": made, "predictions": []}


ATTACK = region(0, 20, "ISIS attacked Daquq.", "isis_attack")


def one_fault(tasks: list[Any], scheme: Scheme) -> str:
    records, faults = from_label_studio(tasks, scheme)
    assert records == []
    assert len(faults) == 1
    return str(faults[0])


def test_the_whole_corpus_comes_back(corpus: Corpus, scheme: Scheme) -> None:
    records, faults = from_label_studio(through_json(to_label_studio(corpus.records, scheme)), scheme)
    assert faults == []
    assert [unordered(r) for r in records] == [unordered(r) for r in corpus.records]


def test_emoji_carriage_returns_and_every_field_come_back(scheme: Scheme) -> None:
    tasks = through_json(to_label_studio([ODD], scheme))
    spans = [(r["to_name"], r["value"]["start"], r["value"]["text"]) for r in tasks[0]["annotations"][0]["result"][1:]]
    assert spans == [
        ("title", 2, "Two attacks"),
        ("text", 0, "Police 👮🏽 said so."),
        ("text", ODD.text.index("ISIS"), "ISIS 🔥 gunmen attacked\r\nDaquq."),
        ("text", ODD.text.index("Two"), "Two policemen were killed."),
    ]
    records, faults = from_label_studio(tasks, scheme)
    assert faults == []
    assert [unordered(r) for r in records] == [unordered(ODD)]
    assert records[0].labels == ("isis_attack", "casualties")
    assert records[0].evidence["isis_attack"] == ("Two attacks", "ISIS 🔥 gunmen attacked\r\nDaquq.")  # type: ignore[index]


@pytest.mark.parametrize("evidence", [None, {}, {"talks": ("We met.",)}])
def test_labels_that_came_without_evidence_come_back(scheme: Scheme, evidence: dict[str, tuple[str, ...]] | None) -> None:
    record = Record(id="a", text="We met.", labels=("talks", "denial"), evidence=evidence)
    assert from_label_studio(through_json(to_label_studio([record], scheme)), scheme) == ([record], [])


@given(
    text=st.text(st.sampled_from("ab.\r\n 🔥\u2028é👮"), min_size=1).filter(str.strip),
    ends=st.tuples(st.integers(0, 20), st.integers(1, 20)),
)
def test_any_passage_is_found_again_by_both_counts(text: str, ends: tuple[int, int]) -> None:
    start = min(ends[0], len(text) - 1)
    passage = text[start : start + ends[1]]
    if not passage.strip():
        return
    scheme = Scheme.of_names(["talks"])
    end = start + len(passage)
    records, _ = from_label_studio([task([region(start, end, passage, "talks")], text=text)], scheme)
    assert records[0].evidence == {"talks": (passage,)}
    # Early releases count UTF-16 code units; where the passage tells the counts apart, it decides.
    first, last = (len(part.encode("utf-16-le")) // 2 for part in (text[:start], text[:end]))
    records, _ = from_label_studio([task([region(first, last, passage, "talks")], text=text)], scheme)
    assert "".join(records[0].evidence["talks"][0].split()) == "".join(passage.split())  # type: ignore[index]


def test_text_shown_on_screen_never_enters_a_record(scheme: Scheme) -> None:
    text = "🔥 Forces met\r\n\r\nin  Erbil. It rained."
    shown = "Forces met\\n\\n\\n\\nin Erbil."
    end = text.index(" It")
    records, faults = from_label_studio([task([region(2, end, shown, "talks")], text=text)], scheme)
    assert faults == []
    assert records[0].evidence == {"talks": ("Forces met\r\n\r\nin  Erbil.",)}
    records, _ = from_label_studio([task([region(3, end + 1, shown, "talks")], text=text)], scheme)
    assert records[0].evidence == {"talks": ("Forces met\r\n\r\nin  Erbil.",)}


def test_labels_unite_choices_and_regions_in_reading_order(scheme: Scheme) -> None:
    rain = region(21, 31, "It rained.", "isis_attack", "casualties")
    relation = {"type": "relation", "from_id": "r", "to_id": "r", "direction": "right"}
    records, faults = from_label_studio([task([choices("isis_attack"), rain, relation, ATTACK, ATTACK])], scheme)
    assert faults == []
    assert records[0].labels == ("isis_attack", "casualties")
    assert records[0].evidence == {"isis_attack": ("ISIS attacked Daquq.", "It rained."), "casualties": ("It rained.",)}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (task([choices("isis_attack", "denial"), ATTACK]), "task 7 (a): tag 'denial' without a region"),
        (task([choices("isis_atack"), ATTACK]), "Did you mean 'isis_attack'?"),
        (task([region(0, 4, "ISIS", "isis_atack")]), "Did you mean 'isis_attack'?"),
        (task([ATTACK], was_cancelled=True), "task 7 (a): no completed annotation"),
        (task(), "no completed annotation"),
        (task([region(0, 20, "It rained.", "talks")]), "region 0-20 of text"),
        (task([region(0, 99, None, "talks")]), "region 0-99 of text"),
        (task([region(0, 99, "ISIS attacked Daquq. It rained.", "talks")]), "region 0-99 of text"),
        (task([region(-4, 3, None, "talks")]), "region -4-3 of text"),
        (task([region(20, 21, " ", "talks")]), "evidence of talks"),
        (task([ATTACK], updated_at="yesterday"), "yesterday"),
        (task([{"type": "choices"}]), "not as JSON-MIN"),
        ({"id": 7, "text": "t", "tags": ["talks"]}, "task 7: KeyError('data'); expected a task with data and annotations"),
        ({"data": {"text": "t"}, "annotations": [{"result": []}]}, "task at position 1: id is None"),
        ([], "task at position 1"),
    ],
)
def test_task_at_fault_is_named(scheme: Scheme, made: Any, message: str) -> None:
    assert message in one_fault([made], scheme)


def test_good_tasks_survive_bad_ones_and_an_id_counts_once(scheme: Scheme) -> None:
    good = task([choices("isis_attack"), ATTACK])
    other = copy.deepcopy(good)
    other["data"]["id"] = "b"
    records, faults = from_label_studio([good, task(), good | {"id": 8}, other], scheme)
    assert [record.id for record in records] == ["a", "b"]
    assert [str(fault)[:10] for fault in faults] == ["task 7 (a)", "task 8: id"]
    assert "which task 7 has" in str(faults[1])


def test_the_annotation_last_changed_counts_and_a_cancelled_one_never() -> None:
    scheme = Scheme.of_names(["isis_attack", "talks", "denial"])
    made = task([ATTACK], [region(0, 4, "ISIS", "talks")], [region(0, 4, "ISIS", "denial")])
    assert from_label_studio([made], scheme)[0][0].labels == ("denial",)
    made["annotations"][2]["was_cancelled"] = True
    assert from_label_studio([made], scheme)[0][0].labels == ("talks",)
    # Changed later than the others, by an offset that the letters of the stamp do not show.
    made["annotations"][0]["updated_at"] = "2024-03-02T07:00:00-02:00"
    assert from_label_studio([made], scheme)[0][0].labels == ("isis_attack",)


def test_a_disputed_tag_is_settled_by_a_choice_alone(scheme: Scheme) -> None:
    made = through_json(to_label_studio([ODD], scheme))
    made[0]["annotations"][0]["result"][0]["value"]["choices"].append("talks")
    assert from_label_studio(made, scheme)[0][0].labels == ("isis_attack", "casualties", "talks")


def test_predictions_become_pre_annotations_of_their_records(scheme: Scheme) -> None:
    scores = dict.fromkeys(scheme.names, 0.1) | {"isis_attack": 0.9, "casualties": 0.7}
    found = {
        "isis_attack": (Evidence(2, 13, "Two attacks", 0.6, "title"),),
        "casualties": (Evidence(len(ODD.text) - 26, len(ODD.text), "Two policemen were killed.", 0.5),),
    }
    row = Prediction("odd", ("isis_attack", "casualties"), scores, found, (), "newswatch 3").to_dict()
    none = Prediction("odd", (), dict.fromkeys(scheme.names, 0.25), {}, (), "newswatch 2").to_dict()
    tasks = to_label_studio([ODD, replace(ODD, id="other")], scheme, [row, none, row | {"id": "elsewhere"}])
    first, second = tasks[0]["predictions"]
    assert (first["model_version"], first["score"]) == ("newswatch 3", 0.7)
    assert [item["value"].get("choices") or item["value"]["labels"] for item in first["result"]] == [
        ["isis_attack", "casualties"],
        ["isis_attack"],
        ["casualties"],
    ]
    assert (first["result"][1]["from_name"], first["result"][1]["to_name"]) == ("evidence_title", "title")
    assert second == {"model_version": "newswatch 2", "score": 0.75, "result": []}
    assert tasks[1]["predictions"] == []
    # A pre-annotation that a person accepts unchanged reads back as what the model said.
    tasks[0]["annotations"] = [{"result": first["result"]}]
    accepted = from_label_studio(through_json(tasks[:1]), scheme)[0][0]
    assert accepted.evidence == {"isis_attack": ("Two attacks",), "casualties": ("Two policemen were killed.",)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evidence": {"talks": [{"start": 0, "end": 6, "text": "ISIS 🔥", "score": 1}]}}, "is not at"),
        ({"model": None, "scores": {}}, "KeyError"),
        ({"tags": None}, "TypeError"),
        ({"evidence": []}, "AttributeError"),
    ],
)
def test_prediction_of_another_text_is_refused(scheme: Scheme, change: dict[str, Any], message: str) -> None:
    row = {"id": "odd", "tags": ["talks"], "scores": {"talks": 0.9}, "evidence": {}, "model": "m"}
    with pytest.raises(InputError, match=f"prediction of odd.*{message}"):
        to_label_studio([ODD], scheme, [row | change])
    with pytest.raises(SchemeError, match="Did you mean 'talks'"):
        to_label_studio([ODD], scheme, [row | {"tags": ["talk"]}])


def test_record_outside_scheme_or_text_is_refused(scheme: Scheme) -> None:
    with pytest.raises(SchemeError, match="Did you mean 'talks'"):
        to_label_studio([replace(ODD, labels=("talk",))], scheme)
    with pytest.raises(RecordError, match="odd: evidence of talks"):
        to_label_studio([replace(ODD, evidence={"talks": ("They met.",)})], scheme)


def test_config_offers_every_tag_with_its_definition_on_both_texts(scheme: Scheme) -> None:
    view = ElementTree.fromstring(label_studio_config(scheme))
    texts = {text.get("name"): text.get("value") for text in view.iter("Text")}
    assert texts == {"title": "$title", "text": "$text"}
    controls = [(made.tag, made.get("name"), made.get("toName")) for made in view if made.get("toName")]
    assert controls == [("Choices", "tags", "text"), ("Labels", "evidence_title", "title"), ("Labels", "evidence", "text")]
    for made in (*view.iter("Choices"), *view.iter("Labels")):
        assert [item.get("value") for item in made] == list(scheme.names)
        assert all(tag.definition.rstrip(".") in str(item.get("hint")) for tag, item in zip(scheme.tags, made, strict=True))
    bare = ElementTree.fromstring(label_studio_config(Scheme.of_names(['a<"&b'])))
    assert [item.get("value") for item in bare.iter("Label")] == ['a<"&b'] * 2


def test_csv_gives_the_whole_corpus_back(tmp_path: Path, corpus: Corpus, scheme: Scheme) -> None:
    path = tmp_path / "deep" / "c.csv"
    odd = [ODD, Record(id="n", text=' "a",\r\rb\n', labels=("talks",)), Record(id="e", text="t", labels=(), evidence={}, furniture=True)]
    to_csv((*corpus.records, *odd), path)
    assert from_csv(path, scheme) == ([*corpus.records, *odd], [])
    assert path.read_bytes().startswith(b"\xef\xbb\xbfid,text,labels,title,")
    assert [file.name for file in path.parent.iterdir()] == ["c.csv"]


def test_csv_rows_at_fault_are_named_and_the_others_kept(tmp_path: Path, scheme: Scheme) -> None:
    path = tmp_path / "c.csv"
    rows = [
        "id,text,labels,evidence,furniture",
        "a,They met.,talks | denial,,TRUE",
        "b,They met.,talk,,",
        "c,They met.,talks,{},yes",
        'd,They met.,talks,"{""talks"": [""They ate.""]}",',
        "e,They met.,talks,[1],",
        "f,They met.,talks,{,",
        "g,They met.",
        "a,They met.,talks,,",
        "h,They m\udcffet.,talks,,",
        "i,They met.,,,",
    ]
    path.write_bytes("\n".join(rows).encode("utf-8", "surrogateescape"))
    records, faults = from_csv(path, scheme)
    assert [(r.id, r.labels, r.evidence, r.furniture) for r in records] == [
        ("a", ("talks", "denial"), None, True),
        ("i", (), None, False),
    ]
    expected = ["Did you mean 'talks'?", "'yes'", "to the letter", "is a list", "JSON object", "cells", "which c.csv:2 has", "surrogate"]
    assert len(faults) == len(expected)
    for number, (fault, message) in enumerate(zip(faults, expected, strict=True), 3):
        assert str(fault).startswith(f"c.csv:{number}")
        assert message in str(fault)


def test_csv_with_bytes_that_are_no_text_in_any_column_is_a_fault(tmp_path: Path, scheme: Scheme) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(b"id,text,labels,outlet\na,They met.,talks,Agence Sant\xe9\nb,They met.,talks,Agence\n")
    records, faults = from_csv(path, scheme)
    assert [record.id for record in records] == ["b"]
    assert "outlet" in str(faults[0])
    assert "surrogate" in str(faults[0])


@pytest.mark.parametrize(
    ("header", "message"), [("id,text,lables", "Did you mean 'labels'"), ("id,text", "no column labels"), ("", "no column id")]
)
def test_csv_with_other_columns_is_refused(tmp_path: Path, scheme: Scheme, header: str, message: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"{header}\na,t,talks\n")
    with pytest.raises(RecordError, match=message):
        from_csv(path, scheme)
    with pytest.raises(RecordError, match="a readable CSV file"):
        from_csv(tmp_path / "none.csv", scheme)


def test_tag_with_the_separator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"tag 'a\|b'"):
        to_csv([Record(id="r", text="t", labels=("a|b",))], tmp_path / "c.csv")
    assert list(tmp_path.iterdir()) == []


def test_columns_are_the_fields_of_a_record() -> None:
    assert set(COLUMNS) == set(Record.__dataclass_fields__)


def test_plain_jsonl_is_a_split_of_another_trainer(tmp_path: Path, corpus: Corpus) -> None:
    to_jsonl([*corpus.records[:20], replace(ODD, title="")], tmp_path / "train.jsonl")
    scheme, splits = read_splits(tmp_path)
    read = splits["train"].records
    assert not splits["train"].faults
    assert [r.labels for r in read[:-1]] == [r.labels for r in corpus.records[:20]]
    assert read[0].text == f"{corpus.records[0].title}\n\n{corpus.records[0].text}"
    assert read[-1].text == ODD.text
    assert "casualties" in scheme.names


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(("form", "name"), [("label-studio", "tasks.json"), ("csv", "c.csv")])
def test_export_and_import_keep_the_corpus(tmp_path: Path, corpus: Corpus, scheme: Scheme, form: str, name: str) -> None:
    write_corpus(corpus.records[:30], tmp_path / "c.jsonl")
    code, out, _ = run("export", tmp_path / "c.jsonl", tmp_path / name, "--to", form)
    assert code == 0
    assert "30 records" in out
    assert run("import", tmp_path / name, tmp_path / "back.jsonl", "--from", form)[0] == 0
    back = read_corpus(tmp_path / "back.jsonl", scheme)
    assert [unordered(r) for r in back.records] == [unordered(r) for r in corpus.records[:30]]
    if form == "label-studio":
        assert (tmp_path / "tasks.config.xml").read_text() == label_studio_config(scheme)


def test_export_puts_predictions_on_their_records(tmp_path: Path, corpus: Corpus, scheme: Scheme) -> None:
    write_corpus(corpus.records[:2], tmp_path / "c.jsonl")
    scores = dict.fromkeys(scheme.names, 0.2)
    row = Prediction(corpus.records[1].id, (), scores, {}, (), "newswatch 1").to_dict()
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
    export = ("export", tmp_path / "c.jsonl", tmp_path / "t.json", "--to", "label-studio", "--predictions", tmp_path / "p.jsonl")
    assert run(*export)[0] == 0
    tasks = json.loads((tmp_path / "t.json").read_text())
    assert [[p["score"] for p in made["predictions"]] for made in tasks] == [[], [0.8]]
    (tmp_path / "p.jsonl").write_text(json.dumps(row | {"id": "elsewhere"}))
    with pytest.raises(InputError, match="no prediction on a record"):
        run(*export)
    (tmp_path / "p.jsonl").write_text("{")
    with pytest.raises(InputError, match="JSONL that newswatch score wrote"):
        run(*export)


def test_rows_left_out_are_named_and_end_with_status_3(tmp_path: Path, corpus: Corpus, scheme: Scheme) -> None:
    good = corpus.records[0]
    (tmp_path / "c.jsonl").write_text(f'{good.to_json()}\n{{"id": "b"}}\n')
    code, _, err = run("export", tmp_path / "c.jsonl", tmp_path / "plain" / "train.jsonl", "--to", "jsonl")
    assert code == 3
    assert "left out: c.jsonl:2" in err
    assert len(read_splits(tmp_path / "plain")[1]["train"].records) == 1
    tasks = to_label_studio([good, replace(good, id="z")], scheme)
    tasks[1]["annotations"] = []
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    code, _, err = run("import", tmp_path / "t.json", tmp_path / "back.jsonl", "--from", "label-studio")
    assert code == 3
    assert "left out: task at position 2 (z): no completed annotation" in err
    assert [r.id for r in read_corpus(tmp_path / "back.jsonl", scheme).records] == [good.id]


@pytest.mark.parametrize(
    ("content", "message"), [("{", "Label Studio's JSON export"), ("{}", "a list of tasks"), ("[]", "without a readable record")]
)
def test_file_without_tasks_is_refused_and_nothing_written(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError, match=message):
        run("import", tmp_path / "t.json", tmp_path / "back.jsonl", "--from", "label-studio")
    assert not (tmp_path / "back.jsonl").exists()


def test_options_that_do_not_fit_are_refused(tmp_path: Path, small_corpus: Path) -> None:
    with pytest.raises(InputError, match="--to xml"):
        run("export", small_corpus, tmp_path / "o", "--to", "xml")
    with pytest.raises(InputError, match="--predictions with label-studio alone"):
        run("export", small_corpus, tmp_path / "o", "--to", "csv", "--predictions", small_corpus)
    with pytest.raises(InputError, match="--from jsonl"):
        run("import", small_corpus, tmp_path / "o", "--from", "jsonl")
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(InputError, match="without a readable record"):
        run("export", tmp_path / "bad.jsonl", tmp_path / "o", "--to", "csv")
    assert [file.name for file in tmp_path.iterdir()] == ["bad.jsonl"]
