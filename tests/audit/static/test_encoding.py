from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.static.encoding import Codec, EncodingError
from audit.static.names import Candidate, FileSummary, Origin, StarImport
from audit.static.reading import UnreadableFile


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Leaf:
    name: str
    colour: Colour = Colour.RED
    count: int = -1


@dataclass(frozen=True, kw_only=True)
class Record:
    leaves: tuple[Leaf, ...]
    pair: tuple[int, str]
    words: frozenset[str]
    places: Mapping[str, tuple[Leaf, ...]]
    either: Leaf | str | None = None
    share: float = 0.5


leaves = st.builds(Leaf, name=st.text(), colour=st.sampled_from(Colour), count=st.integers())
records = st.builds(
    Record,
    leaves=st.lists(leaves, max_size=3).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    words=st.frozensets(st.text(), max_size=3),
    places=st.dictionaries(st.text(), st.lists(leaves, max_size=2).map(tuple), max_size=3),
    either=st.one_of(st.none(), st.text(), leaves),
    share=st.floats(allow_nan=False),
)
CODEC: Codec[Record] = Codec(Record)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(records)
def test_what_is_written_is_read_back_equal_to_it(record: Record) -> None:
    text = CODEC.encode(record)
    assert CODEC.decode(text) == record
    assert text.isascii()
    assert not set(text) & set("\t\n")


@given(records)
def test_the_text_does_not_depend_on_the_way_through_text(record: Record) -> None:
    text = CODEC.encode(record)
    assert CODEC.encode(CODEC.decode(text)) == text


@given(JSON)
def test_any_other_data_is_refused_or_read_as_the_type(plain: Any) -> None:
    import json

    try:
        found = CODEC.decode(json.dumps(plain))
    except EncodingError:
        return
    assert isinstance(found, Record)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "[1]", '"x"', "[" * 100_000])
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        CODEC.decode(text)


def test_a_mapping_reads_like_the_dict_it_was() -> None:
    places = {"b": (Leaf("x"),), "a": ()}
    record = Record(leaves=(), pair=(1, ""), words=frozenset(), places=places)
    found = CODEC.decode(CODEC.encode(record)).places
    assert repr(found) == repr(places)
    assert (list(found), len(found), "b" in found, "c" in found) == (["b", "a"], 2, True, False)


@given(
    st.dictionaries(st.text('ab"\\:,é[{', max_size=4), st.lists(st.text('ab"\\\\:,', max_size=6)), max_size=6),
    st.text('ab"\\:,é[{', max_size=4),
)
def test_one_value_of_a_mapping_is_read_as_if_all_were(given_values: dict[str, list[str]], other: str) -> None:
    values = {key: tuple(value) for key, value in given_values.items()}
    codec: Codec[Mapping[str, tuple[str, ...]]] = Codec(Mapping[str, tuple[str, ...]])
    text = codec.encode(values)
    for key in (*values, other):
        fresh = codec.decode(text)  # of which nothing has been read
        assert (key in fresh) is (key in values)
        assert fresh.get(key) == values.get(key)
    assert 1 not in codec.decode(text)


def test_a_summary_is_read_back_whole() -> None:
    candidate = Candidate(Origin.STAR, attributes=("a",), stars=(StarImport("m", certain=False),))
    summary = FileSummary("p.py", "p", False, "sha256:0", {"a": (candidate,)}, (), None, ())
    codec: Codec[FileSummary | UnreadableFile] = Codec(FileSummary | UnreadableFile)
    unreadable = UnreadableFile("p.py", "no", line=3)
    assert codec.decode(codec.encode(summary)) == summary
    assert codec.decode(codec.encode(unreadable)) == unreadable


def test_a_type_that_no_fact_can_have_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold"):
        Codec(complex)


def test_a_name_that_two_files_share_is_held_once() -> None:
    codec = Codec(Leaf)
    first, second = (codec.decode(f'["{"Attention" + "Block"}","red",1]') for _ in range(2))
    assert first.name is second.name


def test_a_digest_is_not_kept_beyond_its_file() -> None:
    digest = "sha256:" + 64 * "0"
    first, second = (Codec(Leaf).decode(f'["{digest}","red",1]') for _ in range(2))
    assert first.name == second.name == digest
    assert first.name is not second.name
