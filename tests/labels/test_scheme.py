from pathlib import Path

import pytest

from newswatch_labels import Scheme, SchemeError


def test_shipped_scheme_has_seventeen_tags_and_five_core_ones(scheme: Scheme) -> None:
    assert len(scheme.names) == 17
    assert scheme.core == ("cooperation", "joint_center", "denial", "isis_attack", "turkish_shelling")
    assert all(tag.definition and tag.title for tag in scheme.tags)


def test_unknown_tag_names_the_nearest(scheme: Scheme) -> None:
    with pytest.raises(SchemeError, match="Did you mean 'turkish_shelling'"):
        scheme.index("turkish_sheling")


def test_dict_round_trip(scheme: Scheme) -> None:
    assert Scheme.from_dict(scheme.to_dict()) == scheme


@pytest.mark.parametrize(
    "content",
    ["tags: [{name: a, title: A}, {name: a, title: B}]\nversion: 1", "version: 1\ntags: []", "version: 1", "[", "tags: 3"],
)
def test_broken_scheme_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "taxonomy.yaml"
    path.write_text(content)
    with pytest.raises(SchemeError, match=r"taxonomy\.yaml"):
        Scheme.load(path)
