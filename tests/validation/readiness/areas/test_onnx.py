"""ONNX models as protobuf writes them, the same with one thing wrong, and files that were made to harm the reader."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.results import Outcome
from validation.readiness.checkpoints import onnx_files, protobuf
from validation.readiness.checkpoints.forms import Malformed, NotRead
from validation.readiness.checkpoints.reading import layout_of
from validation.readiness.checkpoints.values import values_of

from .written import outcome, report_of, write

MIB = 2**20
FLOAT, INT64, STRING, HALF, INT4 = 1, 7, 8, 10, 22


def number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def of(field: int, content: bytes | int) -> bytes:
    """Return a field with bytes, or with a number."""
    if isinstance(content, int):
        return number(field << 3) + number(content % 2**64)
    return number(field << 3 | 2) + number(len(content)) + content


def tensor(name: str, shape: Sequence[int], kind: int, *content: bytes) -> bytes:
    return b"".join(
        [*(of(1, each) for each in shape), of(2, kind), *([of(8, name.encode())] if name else []), *content]
    )


def raw(*values: float, dtype: str = "<f4") -> bytes:
    return of(9, np.array(values, dtype).tobytes())


def model(*graph: bytes, version: int = 9, operators: bool = True) -> bytes:
    return of(1, version) + of(7, b"".join(graph)) + (of(8, of(2, 17)) if operators else b"")


def node(*attributes: bytes) -> bytes:
    return of(1, of(4, b"Constant") + b"".join(of(5, of(1, b"value") + each) for each in attributes))


WEIGHT = tensor("w", (2, 3), FLOAT, raw(0, 1, 2, 3, 4, 5))
BIAS = tensor("b", (2,), FLOAT, of(4, np.array([1, 2], "<f4").tobytes()))
SHAPE = tensor("", (3,), INT64, of(7, number(1) + number(2**64 - 1) + number(300)))
HALVES = tensor("h", (2,), HALF, raw(1, 2, dtype="<f2"))
PARTS = (of(5, WEIGHT), of(5, BIAS), node(of(5, SHAPE)), node(of(6, of(5, HALVES))))
RIGHT = model(*PARTS)


def said(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises((Malformed, NotRead)) as raised:
        layout_of(path)
    return str(raised.value)


def test_a_model_passes_with_the_tensors_of_its_graph_and_of_its_nodes(tmp_path: Path) -> None:
    found = {each.check: each for each in report_of(write(tmp_path, {"a.onnx": RIGHT}), "checkpoints").results}
    assert {check: each.outcome for check, each in found.items()} == {
        "checkpoints.whole": Outcome.PASSED,
        "checkpoints.layout": Outcome.PASSED,
        "checkpoints.pickled_names": Outcome.NOT_APPLICABLE,
        "checkpoints.finite": Outcome.PASSED,
        "checkpoints.constant": Outcome.PASSED,
    }, [each.reason for each in found.values()]
    assert [(each.name, each.form) for each in layout_of(tmp_path / "a.onnx").tensors] == [
        ("w", "float32 [2, 3]"), ("b", "float32 [2]"), ("value", "int64 [3]"), ("h", "float16 [2]")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (of(5, tensor("w", (2,), FLOAT, raw(1, np.nan))), "w (1 NaN, 0 infinite)"),
        (of(5, tensor("w", (2,), FLOAT, of(4, np.array([np.inf, 0], "<f4").tobytes()))), "w (0 NaN, 1 infinite)"),
        (of(5, tensor("w", (1,), 11, of(10, np.array([np.nan], "<f8").tobytes()))), "w (1 NaN, 0 infinite)"),
        (node(of(5, tensor("", (1,), HALF, raw(np.nan, dtype="<f2")))), "value (1 NaN, 0 infinite)"),
        (node(of(6, of(5, tensor("w", (1,), FLOAT, raw(np.nan))))), "w (1 NaN, 0 infinite)"),
    ],
    ids=["raw", "floats", "doubles", "in a node", "in a graph of a node"],
)
def test_one_element_that_is_not_finite_fails(tmp_path: Path, part: bytes, words: str) -> None:
    content = model(part, of(5, BIAS))
    assert outcome(tmp_path, "checkpoints.finite", {"a.onnx": content}) == (Outcome.FAILED, words)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_off_fails(tmp_path: Path, share: float) -> None:
    found = outcome(tmp_path, "checkpoints.layout", {"a.onnx": RIGHT[: int(share * len(RIGHT))]})
    assert found[0] is Outcome.FAILED


def test_a_file_that_was_cut_off_between_two_fields_fails(tmp_path: Path) -> None:
    content = model(*PARTS, operators=False)
    assert RIGHT.startswith(content)
    assert "cut off" in said(tmp_path, content)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (tensor("w", (2,), FLOAT, of(13, of(1, b"location") + of(2, b"w.bin")), of(14, 1)), "lies in another file"),
        (tensor("w", (2,), INT4, raw(1, dtype="u1")), "of type 22"),
        (tensor("w", (2,), HALF, of(5, number(1) + number(2))), "number by number"),
    ],
)
def test_numbers_that_are_not_followed_are_not_judged(tmp_path: Path, part: bytes, words: str) -> None:
    files = {"a.onnx": model(of(5, part), of(5, BIAS))}
    found = {each.check: each for each in report_of(write(tmp_path, files), "checkpoints").results}
    assert found["checkpoints.layout"].outcome is Outcome.PASSED
    assert found["checkpoints.finite"].outcome is Outcome.SKIPPED
    assert words in (found["checkpoints.finite"].reason or "")


def nested(depth: int) -> bytes:
    content = of(5, WEIGHT)
    for _ in range(depth):
        content = node(of(6, content))
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no model of ONNX"),
        (b"no model at all", ""),
        (of(7, of(5, WEIGHT)), "no version"),
        (of(1, 9) + of(8, b""), "no graph"),
        (model(*PARTS) + of(7, b""), "several graphs"),
        (model(of(5, tensor("w", (2, 2), FLOAT, raw(1, 2)))), "float32 [2, 2] and has 8 bytes"),
        (model(of(5, tensor("w", (2,), FLOAT))), "has no numbers"),
        (model(of(5, tensor("w", (-1,), FLOAT, raw()))), "no count"),
        (model(of(5, tensor("w", (2**40, 2**40), FLOAT, raw()))), "no count"),
        (model(of(5, tensor("w", (2**60,), FLOAT, raw()))), "has 0 bytes"),
        (model(of(5, tensor("w", (1,) * 65, FLOAT, raw(1)))), "more than 64 dimensions"),
        (model(of(5, tensor("w", (3,), INT64, of(7, number(1))))), "has 1 numbers"),
        (model(of(5, tensor("w", (1,), INT64, of(7, b"\xff" * 20)))), "does not end"),
        (model(nested(40)), "more than 32 deep"),
        (of(1, 9) + number(7 << 3 | 2) + number(2**63) + b"x", "cut off"),
        (of(1, 9) + bytes((7 << 3 | 3,)), "begins no field"),
        (of(1, 9) + b"\x02\x00", "begins no field"),
        (b"\x80" * 40, "does not end"),
    ],
)
def test_a_file_that_breaks_the_format_is_told_within_little_memory(tmp_path: Path, content: bytes, words: str) -> None:
    tracemalloc.start()
    try:
        assert words in said(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (model(*(of(99, 1) for _ in range(2000))), "more than the 1000 fields"),
        (model(of(5, tensor("w", (9,), INT64, of(7, bytes(2000))))), "more than the 1000 numbers"),
        (model(*(of(5, tensor("", (0,), FLOAT)) for _ in range(200))), "more than 100 tensors"),
        (model() + b"".join(of(25, b"") for _ in range(200)), "more than 100 functions"),
        (model(of(5, tensor("w", (9,), FLOAT, *(raw(1) for _ in range(200))))), "more than 100 fields"),
    ],
)
def test_more_than_the_limits_is_not_judged(
    tmp_path: Path, content: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protobuf, "MAX_FIELDS", 1000)
    monkeypatch.setattr(onnx_files, "MAX_TENSORS", 100)
    monkeypatch.setattr(onnx_files, "_MAX_PARTS", 100)
    found = outcome(tmp_path, "checkpoints.layout", {"a.onnx": content})
    assert found[0] is Outcome.SKIPPED
    assert words in found[1]


def read_or_told(path: Path, content: bytes) -> None:
    """Read a file; what it is said to hold must lie within it."""
    path.write_bytes(content)
    try:
        layout = layout_of(path)
    except (Malformed, NotRead):
        return
    assert all(0 <= each.start <= each.start + each.reach <= len(content) for each in layout.tensors)
    with path.open("rb") as file:
        values_of(file, layout, lambda told: None)


FIELDS = st.recursive(
    st.one_of(st.binary(max_size=12), st.builds(of, st.integers(1, 15), st.integers(0, 2**64 - 1))),
    lambda inner: st.builds(
        lambda parts: b"".join(of(field, part) for field, part in parts),
        st.lists(st.tuples(st.integers(1, 26), inner), max_size=4),
    ),
    max_leaves=12,
)
EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=4)), min_size=1, max_size=4)
SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(st.lists(FIELDS, max_size=3))
def test_whatever_a_graph_holds_it_is_read_or_told_why_not(tmp_path: Path, parts: list[bytes]) -> None:
    read_or_told(tmp_path / "a.onnx", model(*parts))


@SETTINGS
@given(EDITS)
def test_whatever_is_changed_in_a_file_it_is_read_or_told_why_not(
    tmp_path: Path, edits: list[tuple[int, bytes]]
) -> None:
    content = bytearray(RIGHT)
    for place, put in edits:
        at = place % len(content)
        content[at : at + len(put)] = put
    read_or_told(tmp_path / "a.onnx", bytes(content))
