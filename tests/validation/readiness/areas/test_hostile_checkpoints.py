"""Files that were made to harm whoever reads them end in a reason, within little memory."""

import io
import json
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_safetensors

from validation.readiness.checkpoints.forms import Layout, Malformed, NotRead
from validation.readiness.checkpoints.reading import layout_of
from validation.readiness.checkpoints.values import values_of

MIB = 2**20


def said(tmp_path: Path, content: bytes, name: str = "model.pt") -> str:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((Malformed, NotRead)) as raised:
        layout_of(path)
    return str(raised.value)


def archive(*entries: tuple[str, bytes], packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as made:
        for name, content in entries:
            made.writestr(name, content)
    return buffer.getvalue()


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: tuple[int, ...] = (2,), offsets: tuple[int, ...] = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (safetensors({"w": entry()}, bytes(8))[:-1], "cut off"),
        (safetensors({"w": entry()}, bytes(9)), "belong to no tensor"),
        (safetensors({"w": entry(shape=(3,))}, bytes(8)), "has 8 bytes"),
        (safetensors({"w": entry(offsets=(8, 0))}, bytes(8)), "ends before it begins"),
        (safetensors({"a": entry(), "b": entry()}, bytes(8)), "the one before it ends at 8"),
        (safetensors({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), "the one before it ends at 8"),
        (safetensors({"w": entry(dtype="F33")}, bytes(8)), "dtype"),
        (safetensors({"w": entry(offsets=(0, 2**63))}, bytes(8)), "no count"),
        (safetensors({"w": entry(shape=(-1,))}, bytes(8)), "no count"),
        (safetensors({"w": {"dtype": "F32"}}, bytes(8)), "does not have dtype"),
        (safetensors(b'{"w":' + b"[" * 100_000 + b"}"), "no JSON"),
        (safetensors(b'{"w": 1, "w": 2}'), "twice"),
        (safetensors([1]), "no JSON object"),
        (struct.pack("<Q", 2**62) + b"{}", "cut off"),
        (b"abc", "too few"),
    ],
)
def test_a_safetensors_header_that_breaks_the_format_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in said(tmp_path, content, "model.safetensors")


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../b", "C:\\evil", "..\\evil"])
def test_a_name_that_leaves_the_archive_is_told(tmp_path: Path, name: str) -> None:
    assert "outside of itself" in said(tmp_path, archive(("a/data.pkl", pickle.dumps({})), (name, b"x")))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    content = archive(("a/data.pkl", bytes(300 * MIB)), packed=True)
    assert len(content) < MIB
    tracemalloc.start()
    assert "more than the" in said(tmp_path, content)
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path: Path) -> None:
    content = bytearray(archive(("a/data.pkl", bytes(64 * MIB)), packed=True))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<L", 10)
    tracemalloc.start()
    assert "has not the 10 bytes" in said(tmp_path, bytes(content))
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()


def test_a_billion_entries_are_refused_before_they_are_read(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    second = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**9, 10**9, 4, 4)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 8, 1)
    assert "1000000000 files" in said(tmp_path, b"PK\x03\x04" + bytes(4) + second + locator + end)


def test_entries_that_share_bytes_are_told(tmp_path: Path) -> None:
    content = bytearray(archive(("a/data.pkl", b"x" * 100), ("a/data/0", b"y" * 100)))
    first, second = content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    assert "overlaps" in said(tmp_path, bytes(content))


def test_two_entries_of_one_name_are_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = archive(("a/data.pkl", b"x"), ("a/data.pkl", b"y"))
    assert "two files called" in said(tmp_path, content)


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def doubled(times: int) -> bytes:
    return b"\x80\x02]" + b"2\x86" * times + b"."  # t = (t, t), again and again


def wide(parts: int, times: int) -> bytes:
    """A list of many parts whose last one is such a list of the same parts, and so on."""
    many = b"(" + b"K\x01" * parts + b"l"
    return b"\x80\x02" + b"".join(many + b"q" + bytes([number]) for number in range(times)) + b"a" * (times - 1) + b"."


@pytest.mark.parametrize(
    "body",
    [
        wide(2000, 100),
        nested(100_000),
        doubled(500),
        b"\x80\x02]q\x00h\x00a.",  # a list that holds itself
        b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x",
        b"\x80\x02\x8b" + struct.pack("<i", -5) + b"x.",
        b"\x80\x02I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02a.",
        b"\x80\x02(.",
        b"\x80\x02h\x07.",
        b"\x80\x02",
        b"\x80\x02KKKKKK",
        b"\x80\xff.",
        b"",
    ],
)
def test_a_pickle_that_goes_too_deep_or_nowhere_is_told(tmp_path: Path, body: bytes) -> None:
    tracemalloc.start()
    assert said(tmp_path, archive(("a/data.pkl", body)))
    assert tracemalloc.get_traced_memory()[1] < 512 * MIB
    tracemalloc.stop()


def rebuilt(offset: int, size: tuple[int, ...], stride: tuple[int, ...], count: int = 4) -> bytes:
    """Return the pickle of one tensor in storage 0, whatever it says of itself."""

    def number(value: int) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu" + number(count) + b"tQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + numbers(size) + numbers(stride)
    return b"\x80\x02}U\x01w" + call + b"\x89ccollections\nOrderedDict\n)RtRs."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (rebuilt(0, (5,), (1,)), "beyond the end of its storage"),
        (rebuilt(2, (2, 2), (2, 1)), "beyond the end of its storage"),
        (rebuilt(0, (2**40, 2**40), (2**40, 1)), "beyond the end of its storage"),
        (rebuilt(-1, (2,), (1,)), "no count"),
        (rebuilt(0, (2,), (1, 1)), "1 dimensions and 2 strides"),
        (rebuilt(0, (2**70,), (1,)), "no count"),
        (rebuilt(0, (1,) * 100, (1,) * 100), "at most 64"),
        (rebuilt(0, (4,), (1,), count=5), "16 bytes, and 5 elements"),
    ],
)
def test_a_tensor_that_its_storage_does_not_hold_is_told(tmp_path: Path, body: bytes, words: str) -> None:
    assert words in said(tmp_path, archive(("a/data.pkl", body), ("a/data/0", bytes(16))))


def test_a_tensor_that_repeats_its_elements_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(archive(("a/data.pkl", rebuilt(0, (2**40, 4), (0, 1))), ("a/data/0", bytes(16))))
    layout = layout_of(path)
    with path.open("rb") as file:
        assert values_of(file, layout, lambda text: None).bytes_read == 16


def test_a_tensor_does_not_hide_behind_another_of_its_name(tmp_path: Path) -> None:
    body = rebuilt(0, (4,), (1,))
    tensor = body[body.index(b"ctorch") : -2]
    twice = b"\x80\x02}(U\x01w" + tensor + b"U\x01w" + tensor.replace(b"U\x010", b"U\x011") + b"u."
    path = tmp_path / "model.pt"
    numbers = struct.pack("<4f", 1, float("nan"), 2, 3)
    path.write_bytes(archive(("a/data.pkl", twice), ("a/data/0", bytes(16)), ("a/data/1", numbers)))
    layout = layout_of(path)
    with path.open("rb") as file:
        seen = values_of(file, layout, lambda text: None).seen
    assert {name: each.nan for name, each in seen.items()} == {"w": 0, "w (no. 2)": 1}


def test_a_file_that_becomes_shorter_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(saved({"a": torch.ones(4000)}))
    layout = layout_of(path)
    path.write_bytes(path.read_bytes()[:3000])
    with path.open("rb") as file, pytest.raises(NotRead, match="shorter"):
        values_of(file, layout, lambda text: None)


def test_numbers_beyond_the_limit_are_named_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(saved({"a": torch.ones(4), "b": torch.ones(40)}))
    with path.open("rb") as file:
        values = values_of(file, layout_of(path), lambda text: None, limit=20)
    assert list(values.seen) == ["a"]
    assert len(values.unseen) == 1
    assert "beyond the 20 bytes" in values.unseen[0]


MAKERS: dict[str, Callable[[], bytes]] = {
    "zip.pt": lambda: saved({"a": torch.arange(6.0).view(2, 3), "b": {"c": [torch.ones(2), 1, "x", None]}}),
    "one.safetensors": lambda: save_safetensors({"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}),
    "plain.bin": lambda: pickle.dumps({"a": [1, 2.0, "x", (None, True)], "b": {"c": {1, 2}}}, 4),
}


@pytest.mark.parametrize("name", MAKERS)
def test_whatever_is_changed_in_a_file_it_is_read_or_told_why_not(tmp_path: Path, name: str) -> None:
    content = MAKERS[name]()
    random_ = random.Random(0)
    path = tmp_path / name
    read = 0
    for _ in range(400):
        changed = bytearray(content)
        for _ in range(random_.randint(1, 4)):
            place = random_.randrange(len(changed))
            changed[place : place + random_.randint(0, 2)] = random_.randbytes(random_.randint(0, 3))
        path.write_bytes(changed)
        try:
            layout = layout_of(path)
        except (Malformed, NotRead):
            continue
        assert isinstance(layout, Layout)
        with path.open("rb") as file:
            values_of(file, layout, lambda text: None)
        read += 1
    assert read < 400
