"""GGUF files as llama.cpp reads them, the same with one thing wrong, and files that were made to harm the reader."""

import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.results import Outcome
from validation.readiness.checkpoints.forms import Layout, Malformed, NotRead
from validation.readiness.checkpoints.quantised import BLOCKS
from validation.readiness.checkpoints.reading import layout_of
from validation.readiness.checkpoints.values import values_of

from .written import outcome, report_of, write

F32, F16, Q4_0, Q6_K, IQ1_M, I8, BF16 = 0, 1, 2, 14, 29, 24, 30
U8, U32, TEXT, ARRAY, U64 = 0, 4, 8, 9, 10
MIB = 2**20
Described = tuple[str, Sequence[int], int, int]  # name, dimensions (the fastest first), type and offset


def text(value: str, order: str = "<") -> bytes:
    return struct.pack(f"{order}Q", len(value.encode())) + value.encode()


def entry(key: str, kind: int, value: bytes, order: str = "<") -> bytes:
    return text(key, order) + struct.pack(f"{order}I", kind) + value


def texts(*values: str) -> bytes:
    return struct.pack("<IQ", TEXT, len(values)) + b"".join(map(text, values))


METADATA = (
    entry("general.architecture", TEXT, text("llama")),
    entry("tokenizer.ggml.tokens", ARRAY, texts("a", "bc", "")),
    entry("nested", ARRAY, struct.pack("<IQIQ2B", ARRAY, 1, U8, 2, 7, 8)),
)


def gguf(
    tensors: Sequence[Described],
    data: bytes,
    *,
    metadata: Sequence[bytes] = METADATA,
    version: int = 3,
    order: str = "<",
    alignment: int = 32,
    counts: tuple[int, int] | None = None,
) -> bytes:
    head = b"GGUF" + struct.pack(f"{order}I2Q", version, *(counts or (len(tensors), len(metadata))))
    for name, dimensions, kind, offset in tensors:
        head += text(name, order) + struct.pack(f"{order}I{len(dimensions)}Q", len(dimensions), *dimensions)
        head += struct.pack(f"{order}IQ", kind, offset)
    head = head[:24] + b"".join(metadata) + head[24:]
    return head + bytes(-len(head) % alignment) + data


WEIGHT = np.arange(6, dtype="<f4")
BLOCK = np.float16(0.5).tobytes() + bytes(16)
TENSORS: tuple[Described, ...] = (("w", (3, 2), F32, 0), ("q", (64,), Q4_0, 32), ("b", (2,), F16, 96))
DATA = WEIGHT.tobytes() + bytes(8) + BLOCK * 2 + bytes(28) + np.ones(2, "<f2").tobytes()


def said(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises((Malformed, NotRead)) as raised:
        layout_of(path)
    return str(raised.value)


def test_a_file_passes_and_its_tensors_are_those_of_the_header(tmp_path: Path) -> None:
    found = {
        each.check: each for each in report_of(write(tmp_path, {"a.gguf": gguf(TENSORS, DATA)}), "checkpoints").results
    }
    assert {check: each.outcome for check, each in found.items()} == {
        "checkpoints.whole": Outcome.PASSED,
        "checkpoints.layout": Outcome.PASSED,
        "checkpoints.pickled_names": Outcome.NOT_APPLICABLE,
        "checkpoints.finite": Outcome.PASSED,
        "checkpoints.constant": Outcome.PASSED,
    }, [each.reason for each in found.values()]
    assert found["checkpoints.layout"].evidence.measured == 3
    layout = layout_of(tmp_path / "a.gguf")
    assert [(each.name, each.form) for each in layout.tensors] == [
        ("w", "float32 [2, 3]"), ("q", "q4_0 [64]"), ("b", "float16 [2]")
    ]  # fmt: skip
    with (tmp_path / "a.gguf").open("rb") as file:
        file.seek(layout.tensors[0].start)
        assert file.read(24) == WEIGHT.tobytes()


@pytest.mark.parametrize(("wrong", "words"), [(np.nan, "1 NaN, 0 infinite"), (np.inf, "0 NaN, 1 infinite")])
def test_one_element_that_is_not_finite_fails(tmp_path: Path, wrong: float, words: str) -> None:
    weight = WEIGHT.copy()
    weight[4] = wrong
    found = outcome(tmp_path, "checkpoints.finite", {"a.gguf": gguf(TENSORS, weight.tobytes() + DATA[24:])})
    assert found == (Outcome.FAILED, f"w ({words})")


@pytest.mark.parametrize("name", [name for name, block in BLOCKS.items() if block.scales])
def test_a_scale_that_is_not_finite_fails(tmp_path: Path, name: str) -> None:
    from validation.readiness.checkpoints.gguf_files import _TYPES

    kind, block = next(number for number, known in _TYPES.items() if known == name), BLOCKS[name]
    for start in block.scales:
        for wrong, words in ((np.nan, f"{block.elements} NaN, 0"), (-np.inf, f"0 NaN, {block.elements}")):
            blocks = bytearray(block.size_bytes * 3)
            right = gguf([("q", (3 * block.elements,), kind, 0)], bytes(blocks))
            assert outcome(tmp_path, "checkpoints.finite", {"a.gguf": right})[0] is Outcome.PASSED
            place = block.size_bytes + start
            blocks[place : place + 2] = np.float16(wrong).tobytes()
            content = gguf([("q", (3 * block.elements,), kind, 0)], bytes(blocks))
            assert outcome(tmp_path, "checkpoints.finite", {"a.gguf": content}) == (
                Outcome.FAILED,
                f"q ({words} infinite)",
            )


def test_a_matrix_of_zeros_fails(tmp_path: Path) -> None:
    content = gguf(TENSORS, bytes(24) + DATA[24:])
    assert outcome(tmp_path, "checkpoints.constant", {"a.gguf": content}) == (
        Outcome.FAILED,
        "every element is the same in w",
    )


@pytest.mark.parametrize("share", [0.005, 0.1, 0.3, 0.5, 0.8, 0.995])
def test_a_file_that_was_cut_off_fails(tmp_path: Path, share: float) -> None:
    content = gguf(TENSORS, DATA)
    found = outcome(tmp_path, "checkpoints.layout", {"a.gguf": content[: int(share * len(content))]})
    assert found[0] is Outcome.FAILED
    assert "cut off" in found[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gguf(TENSORS, DATA, version=1), "version 1 of GGUF"),
        (gguf(TENSORS, DATA, version=77), "version 77 of GGUF"),
        (gguf([("w", (2,), 5, 0)], bytes(8)), "type 5 of ggml"),
        (gguf([("w", (2,), 10**6, 0)], bytes(8)), "type 1000000 of ggml"),
    ],
)
def test_what_is_not_known_here_is_not_judged(tmp_path: Path, content: bytes, words: str) -> None:
    found = outcome(tmp_path, "checkpoints.layout", {"a.gguf": content})
    assert found[0] is Outcome.SKIPPED
    assert words in found[1]


def test_a_type_whose_scales_are_packed_leaves_the_numbers_unjudged(tmp_path: Path) -> None:
    content = gguf([("q", (256,), IQ1_M, 0)], bytes(56))
    kinds = {
        each.check: each.outcome for each in report_of(write(tmp_path, {"a.gguf": content}), "checkpoints").results
    }
    assert kinds["checkpoints.layout"] is Outcome.PASSED
    assert kinds["checkpoints.finite"] is Outcome.SKIPPED


def test_numbers_of_another_machine_are_not_judged(tmp_path: Path) -> None:
    metadata = (entry("general.alignment", U32, struct.pack(">I", 64), ">"),)
    tensors = [("w", (3, 2), F32, 0), ("small", (2,), I8, 64)]
    content = gguf(tensors, bytes(66), metadata=metadata, order=">", alignment=64)
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    layout = layout_of(path)
    assert not layout.little_endian
    with path.open("rb") as file:
        values = values_of(file, layout, lambda told: None)
    assert (list(values.seen), len(values.unseen)) == (["small"], 1)


def one(dimensions: Sequence[int], kind: int = F32, offset: int = 0, data: int = 64) -> bytes:
    return gguf([("w", dimensions, kind, offset)], bytes(data))


def one_key(kind: int, value: bytes, key: str = "key") -> bytes:
    return gguf([("w", (2,), F32, 0)], bytes(8), metadata=(entry(key, kind, value),))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GGUG" + gguf(TENSORS, DATA)[4:], "does not begin as GGUF"),
        (gguf(TENSORS, DATA, counts=(2**62, 3)), "speaks of 4611686018427387904 tensors"),
        (gguf(TENSORS, DATA, counts=(3, 2**62)), "speaks of 4611686018427387904 keys"),
        (one((2**40, 2**40)), "no count"),
        (one((2**63,)), "no count"),
        (one((2**60,)), "beyond the end of the file"),
        (one((1, 1, 1, 1, 1)), "5 dimensions"),
        (one((2,), offset=2**64 - 32), "beyond the end of the file"),
        (one((2,), offset=4), "no multiple of 32"),
        (one((16,), Q4_0), "32 elements of which are one block"),
        (one((255,), Q6_K, data=512), "256 elements of which are one block"),
        (gguf([("w", (2,), F32, 0), ("w", (2,), F32, 32)], bytes(64)), "names a tensor twice"),
        (gguf([("a", (9,), F32, 0), ("b", (2,), F32, 32)], bytes(64)), "the one before it ends at 36"),
        (gguf([("n" * 65, (2,), F32, 0)], bytes(8)), "the format allows 64"),
        (one_key(TEXT, struct.pack("<Q", 2**63)), "cut off"),
        (one_key(13, b""), "type 13, which the format does not know"),
        (one_key(ARRAY, struct.pack("<IQ", U64, 2**61)), "2305843009213693952 parts"),
        (one_key(ARRAY, struct.pack("<IQ", TEXT, 2**61)), "2305843009213693952 parts"),
        (one_key(ARRAY, struct.pack("<IQ", ARRAY, 1) * 40), "nested more than 4 deep"),
        (one_key(U32, struct.pack("<I", 3), "general.alignment"), "no power of two"),
        (one_key(U32, struct.pack("<I", 0), "general.alignment"), "no power of two"),
        (one_key(U64, struct.pack("<Q", 64), "general.alignment"), "no power of two"),
        (gguf([("w", (2,), F32, 0)], bytes(8), metadata=(entry("a", U8, b"1"),) * 2), "'a' twice"),
        (gguf([("w", (2,), F32, 0)], bytes(8), metadata=(struct.pack("<Q", 2) + b"\xff\xfe" + bytes(13),)), "no UTF-8"),
    ],
)
def test_a_header_that_breaks_the_format_is_told_within_little_memory(
    tmp_path: Path, content: bytes, words: str
) -> None:
    tracemalloc.start()
    try:
        assert words in said(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_a_million_empty_arrays_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from validation.readiness.checkpoints import gguf_files

    monkeypatch.setattr(gguf_files, "MAX_VALUES", 1000)
    many = struct.pack("<IQ", ARRAY, 5000) + struct.pack("<IQ", U8, 0) * 5000
    assert "more than the 1000 values" in said(tmp_path, one_key(ARRAY, many))


def read_or_told(path: Path, content: bytes) -> None:
    """Read a file; what it is said to hold must lie within it."""
    path.write_bytes(content)
    try:
        layout = layout_of(path)
    except (Malformed, NotRead):
        return
    assert isinstance(layout, Layout)
    assert all(0 <= each.start <= each.start + each.reach <= len(content) for each in layout.tensors)
    with path.open("rb") as file:
        values_of(file, layout, lambda told: None)


KEYS = st.text(max_size=5)
NUMBERS = st.one_of(st.integers(0, 80), st.sampled_from([2**31, 2**32 - 1, 2**61, 2**63 - 1, 2**63, 2**64 - 1]))
DESCRIBED = st.tuples(KEYS, st.lists(NUMBERS, max_size=5), st.integers(0, 45), NUMBERS)
ENTRIES = st.builds(entry, KEYS, st.integers(0, 14), st.binary(max_size=30))
ANY_HEADER = st.builds(
    gguf,
    st.lists(DESCRIBED, max_size=3),
    st.binary(max_size=300),
    metadata=st.lists(ENTRIES, max_size=3),
    version=st.sampled_from([2, 3]),
    counts=st.one_of(st.none(), st.tuples(NUMBERS, NUMBERS)),
)
EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=9)), min_size=1, max_size=4)
SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(ANY_HEADER)
def test_whatever_a_header_says_it_is_read_or_told_why_not(tmp_path: Path, content: bytes) -> None:
    read_or_told(tmp_path / "a.gguf", content)


@SETTINGS
@given(EDITS)
def test_whatever_is_changed_in_a_file_it_is_read_or_told_why_not(
    tmp_path: Path, edits: list[tuple[int, bytes]]
) -> None:
    content = bytearray(gguf(TENSORS, DATA))
    for place, put in edits:
        at = place % len(content)
        content[at : at + len(put)] = put
    read_or_told(tmp_path / "a.gguf", bytes(content))
