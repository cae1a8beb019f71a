"""The tensors of a file of torch.save or torch.jit.save: a zip archive, or the pickles of before version 1.6."""

import io
import math
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO

from validation.readiness.checkpoints.archives import Entry, entries_of, unpacked
from validation.readiness.checkpoints.forms import (
    ITEM_BYTES,
    MAX_PICKLE_BYTES,
    MAX_TENSORS,
    Layout,
    Malformed,
    NotRead,
    Record,
    StoredTensor,
    count_of,
    shape_of,
)
from validation.readiness.checkpoints.pickles import Called, Named, Outside, Table, read_pickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64", "LongStorage": "int64",
    "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "UntypedStorage": "uint8", "QInt8Storage": "qint8", "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32", "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4",
}  # fmt: skip
_TENSORS = frozenset({"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"})
_TENSOR_V3 = "torch._utils._rebuild_tensor_v3"
_PARAMETERS = frozenset({"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"})
# Classes whose code the archive itself holds, and what lists of numbers and tensors are written as: names that
# torch.jit.load resolves without an import. It knows no others.
_SCRIPTED = ("__torch__.", "torch.jit._pickle.")
_MAX_DEPTH = 64
_MAX_VISITS = 4_000_000
_END = object()
_Storage = tuple[str, str, int]  # its key, its dtype, its number of elements
_Places = Mapping[str, tuple[int, int]]  # by key, where the bytes of a storage begin and how many there are


def zip_layout(file: BinaryIO, size: int) -> Layout:
    """Return what a zip archive of torch.save holds, or one of torch.jit.save, whose code is not read.

    Raises:
        Malformed: the archive, its pickle or a storage is not whole.
        NotRead: it is another kind of archive, or larger than the limits.
    """
    entries = {entry.name: entry for entry in entries_of(file, size)}
    pickle = next((name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1), None)
    if pickle is None:
        raise NotRead("a zip archive without the data.pkl that torch.save writes: its format is not read")
    prefix = pickle.removesuffix("data.pkl")
    order = entries.get(f"{prefix}byteorder")
    little = order is None or unpacked(file, order, 64) == b"little"
    if f"{prefix}constants.pkl" not in entries:
        return replace(_stored(file, entries, prefix, "data"), little_endian=little)
    state, constants = (_stored(file, entries, prefix, name) for name in ("data", "constants"))
    if not (state.tensors or constants.tensors or state.unread or constants.unread):
        raise NotRead("a TorchScript archive of code alone, which is not read")
    return Layout(
        "TorchScript",
        (*state.tensors, *(replace(each, name=f"constants.{each.name}") for each in constants.tensors)),
        tuple(
            name
            for name in dict.fromkeys((*(state.names or ()), *(constants.names or ())))
            if not name.startswith(_SCRIPTED)
        ),
        (*state.records, *constants.records),
        (*state.unread, *constants.unread),
        little_endian=little,
    )


def _stored(file: BinaryIO, entries: Mapping[str, Entry], prefix: str, name: str) -> Layout:
    """Return what one pickle of an archive says, with the storages in the folder that is called as it is."""
    found = read_pickle(io.BytesIO(unpacked(file, entries[f"{prefix}{name}.pkl"], MAX_PICKLE_BYTES)))
    folder = f"{prefix}{name}/"
    stored = {path.removeprefix(folder): entry for path, entry in entries.items() if path.startswith(folder)}
    walk = _Walk()
    walk.run(found.value)
    packed = {key for key, entry in stored.items() if entry.is_packed}
    places = {key: (entry.start, entry.size_bytes) for key, entry in stored.items()}
    tensors, unread = walk.placed(places, packed)
    records = tuple(Record(entry.name, entry.start, entry.size_bytes, entry.crc) for entry in _checked(stored))
    return Layout("torch zip", tensors, found.names, records, unread)


def _checked(stored: Mapping[str, Entry]) -> Iterator[Entry]:
    """Yield the entries whose bytes lie open and that have a checksum: torch can be told to write 0 for it."""
    return (entry for entry in stored.values() if entry.crc and not entry.is_packed)


def legacy_layout(file: BinaryIO, size: int) -> Layout:
    """Return what a file holds that torch.save wrote before version 1.6: five pickles, then the storages.

    Raises:
        Malformed: it is cut off, or not of that form.
        NotRead: it is larger than the limits.
    """
    file.seek(0)
    magic, protocol, machine = (read_pickle(file) for _ in range(3))
    if magic.value != LEGACY_MAGIC or protocol.value != _LEGACY_PROTOCOL:
        raise Malformed("the pickles at the beginning are not those of torch.save")
    body, keys = read_pickle(file), read_pickle(file)
    walk = _Walk()
    walk.run(body.value)
    if not isinstance(keys.value, list) or not all(isinstance(key, str) for key in keys.value):
        raise Malformed("the list of storages is no list of names")
    places: dict[str, tuple[int, int]] = {}
    for key in keys.value:
        head = file.read(8)
        if len(head) < 8:
            raise Malformed("the file ends before its last storage: it was cut off")
        (count,) = struct.unpack("<q", head)
        storage = walk.storages.get(key)
        if storage is None or count < 0:
            raise Malformed("a storage at the end of the file belongs to no tensor")
        length = count * ITEM_BYTES[storage[1]]
        places[key] = (file.tell(), length)
        if file.tell() + length > size:
            raise Malformed("the file ends within a storage: it was cut off")
        file.seek(length, io.SEEK_CUR)
    if file.tell() != size:
        raise Malformed(f"{size - file.tell()} bytes at the end of the file belong to no storage")
    tensors, unread = walk.placed(places, frozenset())
    little = any(key == "little_endian" and value is True for key, value in _items(machine.value))
    names = dict.fromkeys((*magic.names, *protocol.names, *machine.names, *body.names, *keys.names))
    return Layout("torch pickles", tensors, tuple(names), unread=unread, little_endian=little)


def pickle_layout(file: BinaryIO) -> Layout:
    """Return what a file of one pickle holds: its names; tensors in it lie within other bytes, and are not read.

    Raises:
        Malformed: it is no whole pickle.
        NotRead: it is larger than the limits.
    """
    file.seek(0)
    found = read_pickle(file)
    return Layout("pickle", (), found.names, unread=("what a plain pickle holds is not followed to its numbers",))


def _items(value: object) -> list[tuple[object, object]]:
    return value.items if isinstance(value, Table | Called) else []


class _Walk:
    """Finds the tensors in what a pickle would build, under the names that lead to them."""

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}
        self._found: list[tuple[str, Called]] = []
        self._unread: list[str] = []

    def run(self, value: object) -> None:
        """Go through everything below a value, depth first; a container is met as often as others hold it."""
        # Iterators, not lists: a pickle of a few bytes for each can hold one list of a million parts in many others.
        pending: list[Iterator[tuple[str, object]]] = [iter([("", value)])]
        visits = 0
        while pending:
            name, each = next(pending[-1], ("", _END))
            if each is _END:
                pending.pop()
                continue
            visits += 1
            if visits > _MAX_VISITS or len(self._found) + len(self._unread) > MAX_TENSORS:
                raise NotRead(f"what is pickled has more than {_MAX_VISITS} parts or {MAX_TENSORS} tensors")
            if len(pending) > _MAX_DEPTH:
                raise NotRead(f"what is pickled is nested more than {_MAX_DEPTH} deep, or holds itself")
            if (below := self._visited(name, each)) is not None:
                pending.append(below)

    def _visited(self, name: str, each: object) -> Iterator[tuple[str, object]] | None:
        """Note what a part of the value is; return the parts of it, if any."""
        if isinstance(each, Called) and isinstance(each.function, Named):
            full = each.function.full
            if full in _TENSORS or full == _TENSOR_V3:
                self._found.append((name, each))
                self._note_storage(each)
                return None
            if full in _PARAMETERS and isinstance(each.arguments, tuple) and each.arguments:
                return iter([(name, each.arguments[0])])
        if isinstance(each, Outside):
            self._unread.append(f"{_shown(name)} is of a form that is not followed to its bytes")
            self._note(each)
            return None
        if isinstance(each, Table | list | tuple | Called):
            return ((_joined(name, key), part) for key, part in _parts(each))
        return None

    def placed(
        self, places: _Places, packed: frozenset[str] | set[str]
    ) -> tuple[tuple[StoredTensor, ...], tuple[str, ...]]:
        """Return the tensors with the bytes that they lie in, and which are not read.

        Raises:
            Malformed: one lies in a storage that is not there, or reaches beyond it.
        """
        found: list[StoredTensor] = []
        unread = list(self._unread)
        used: Counter[str] = Counter()
        for given, called in self._found:
            used[given] += 1  # a dict may have a key twice in a pickle, and names are cut
            name = given if used[given] == 1 else f"{given} (no. {used[given]})"
            tensor = _tensor(name, called, places)
            if tensor is None or _storage_of(called)[0] in packed:
                unread.append(f"{_shown(name)} is packed, or of a dtype that is not read")
            else:
                found.append(tensor)
        return tuple(found), tuple(unread)

    def _note_storage(self, called: Called) -> None:
        if isinstance(called.arguments, tuple) and called.arguments and isinstance(called.arguments[0], Outside):
            self._note(called.arguments[0])

    def _note(self, outside: Outside) -> None:
        storage = _storage(outside)
        if storage is not None:
            self.storages[storage[0]] = storage


def _parts(value: Table | list[object] | tuple[object, ...] | Called) -> Iterator[tuple[object, object]]:
    if isinstance(value, Table):
        yield from value.items
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    else:
        yield from value.items
        for inside in (value.state, value.arguments):
            if isinstance(inside, Table):
                yield from inside.items
            elif isinstance(inside, tuple):
                yield from enumerate(inside)


def _joined(name: str, key: object) -> str:
    part = key if isinstance(key, str) else str(key) if isinstance(key, int) and abs(key) < 10**9 else "?"
    return f"{name}.{part}"[:400] if name else part[:400]


def _storage(outside: Outside) -> _Storage | None:
    match outside.key:
        case ("storage", Named() as kind, str(key), _, int(count), *_) if kind.name in _STORAGES:
            return key, _STORAGES[kind.name], count
    return None


def _storage_of(called: Called) -> _Storage:
    arguments = called.arguments
    first = arguments[0] if isinstance(arguments, tuple) and len(arguments) >= 4 else None
    storage = _storage(first) if isinstance(first, Outside) else None
    if storage is None:
        raise Malformed("a tensor is built of something that is no storage of torch")
    return storage


def _tensor(name: str, called: Called, places: _Places) -> StoredTensor | None:
    key, dtype, count = _storage_of(called)
    assert isinstance(called.arguments, tuple)
    assert isinstance(called.function, Named)
    shown = _shown(name)
    _, offset, size, stride = called.arguments[:4]
    if called.function.full == _TENSOR_V3:
        declared = called.arguments[6] if len(called.arguments) > 6 else None
        dtype = declared.name if isinstance(declared, Named) else "?"
    if key not in places:
        raise Malformed(f"{shown} lies in storage {_shown(key)}, which the file does not have")
    start, length = places[key]
    item = ITEM_BYTES.get(dtype)
    if item is None:
        return None
    if called.function.full != _TENSOR_V3 and count_of(count, f"the storage of {shown}") * item != length:
        raise Malformed(f"the storage of {shown} has {length} bytes, and {count} elements of {dtype}")
    offset, shape, strides = (
        count_of(offset, f"the offset of {shown}"),
        shape_of(size, f"the shape of {shown}"),
        shape_of(stride, f"the strides of {shown}"),
    )
    if len(shape) != len(strides):
        raise Malformed(f"{shown} has {len(shape)} dimensions and {len(strides)} strides")
    reach = 0 if 0 in shape else 1 + sum((count - 1) * step for count, step in zip(shape, strides, strict=True))
    if (offset + reach) * item > length:
        raise Malformed(f"{shown} reaches {(offset + reach) * item - length} bytes beyond the end of its storage")
    return StoredTensor(
        name,
        dtype,
        shape,
        start + offset * item,
        reach * item,
        dense=reach == math.prod(shape) and _once(shape, strides),
    )


def _once(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether each element has a place of its own, without gaps between them."""
    expected = 1
    for step, count in sorted((step, count) for step, count in zip(strides, shape, strict=True) if count > 1):
        if step != expected:
            return False
        expected *= count
    return True


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
