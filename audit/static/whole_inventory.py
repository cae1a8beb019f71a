"""The inventory of all files of a target. Where one has changed since the last run, only what can depend on it is
made anew.

An item follows from the facts of its own file and from what names lead to in others. So what was made from each file is
kept together with the files that were looked at for it.
"""

import base64
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType

from pydantic import TypeAdapter

from audit.static.attention_items import Attention, Computes, attention_in
from audit.static.conclusions import Form, Remembered
from audit.static.facts import FileFacts, Mechanism
from audit.static.file_items import file_items
from audit.static.graph import ProjectGraph
from audit.static.installed import InstalledModules
from audit.static.inventory import InventoryItem, InventoryKind, class_items, sort_key
from audit.static.names import FileSummary
from audit.static.reading import UnreadableFile
from audit.static.reads import Reads, readers_of
from audit.static.record import FileRecord
from audit.static.records import LostFileError, Records
from audit.static.store import FactStore


@dataclass(frozen=True)
class WholeInventory:
    """The items of all files in their order, the files that could not be read, and what it was made from.

    `contents` say by path what each file held; `reads` are by path the files that were looked at for it, as bits of
    `paths`, `computes` the mechanisms of everything there that may compute attention.
    """

    items: tuple[InventoryItem, ...]
    unreadable: tuple[UnreadableFile, ...]
    contents: dict[str, str]
    paths: tuple[str, ...]
    reads: dict[str, int]
    computes: Computes


_AT_ONCE = 500  # items
_ITEMS = TypeAdapter(tuple[InventoryItem, ...])
_UNREADABLE = TypeAdapter(tuple[UnreadableFile, ...])


def _written(found: WholeInventory) -> str:
    """Return the inventory as text, pressed to an eighth: signatures repeat each other, and few bits are set."""
    press = zlib.compressobj(level=1)
    lines = chain(_lines_of(found), [b""])
    return base64.b64encode(b"".join([*(press.compress(line + b"\n") for line in lines), press.flush()])).decode()


def _lines_of(found: WholeInventory) -> Iterator[bytes]:
    """Yield JSON, items in parts: all of those of a large tree take 12 MB, which would be held several times."""
    reads = {path: f"{read:x}" for path, read in found.reads.items()}
    for each in (found.contents, found.paths, reads, found.computes):
        yield json.dumps(each, separators=(",", ":")).encode()
    yield _UNREADABLE.dump_json(found.unreadable)
    for start in range(0, len(found.items), _AT_ONCE):
        yield _ITEMS.dump_json(found.items[start : start + _AT_ONCE], exclude_defaults=True)


def _read(text: str) -> WholeInventory:
    try:
        lines = zlib.decompress(base64.b64decode(text, validate=True)).splitlines()
    except zlib.error as error:
        raise ValueError(f"no inventory: {error}") from error
    contents, paths, reads, computes = map(json.loads, lines[:4])
    return WholeInventory(
        items=tuple(item for line in lines[5:-1] for item in _ITEMS.validate_json(line)),
        unreadable=_UNREADABLE.validate_json(lines[4]),
        contents=contents,
        paths=tuple(paths),
        reads={path: int(read, 16) for path, read in reads.items()},
        computes={
            path: {name: tuple(map(Mechanism, mechanisms)) for name, mechanisms in of_file.items()}
            for path, of_file in computes.items()
        },
    )


_FORM = Form("inventory", _written, _read)


def whole_inventory(
    records: Records[FileRecord],
    contents_of: Callable[[Records[FileRecord]], dict[str, str]],
    *,
    installed: InstalledModules,
    scripts: Mapping[str, str],
    setting: Sequence[str],
    store: FactStore | None,
    when_new: Callable[[], None] = lambda: None,
) -> WholeInventory:
    """Return the inventory of the files of `records`.

    `contents_of` tells what they hold, `scripts` are the modules that the project's commands start, `setting` is what
    else it depends on. Names that leave the target are followed into `installed`. Where no earlier inventory helps,
    `when_new` is called when all files are read.
    """
    given = [*setting, repr(sorted(scripts.items())), *(file.relative for file in records.files)]
    known = Remembered(_FORM, given, store=store)
    if known.value and known.value.contents == contents_of(records):
        return known.value
    records.read()
    if known.value is None:
        when_new()
    contents = contents_of(records)  # of files that have changed while they were read, what was read
    mended = _mended(known.value, records, contents, installed, scripts) if known.value else None
    found = mended or _made(records, contents, installed, scripts)
    if contents == contents_of(records) and not any(file.passing for file in found.unreadable):
        known.keep(found, witnesses=sorted(installed.consulted))
    return found


def _made(
    records: Records[FileRecord],
    contents: Mapping[str, str],
    installed: InstalledModules,
    scripts: Mapping[str, str],
) -> WholeInventory:
    names, facts = records.by_path("names"), records.by_path("facts")
    graph = ProjectGraph(names, records.files, installed=installed)
    items, computes = _items(graph, facts, names, scripts)
    return WholeInventory(
        items=tuple(sorted(items, key=sort_key)),
        unreadable=records.unreadable,
        contents=dict(contents),
        paths=tuple(graph.reads.paths),
        reads=dict(graph.reads.of),
        computes=computes,
    )


def _mended(
    known: WholeInventory,
    records: Records[FileRecord],
    contents: Mapping[str, str],
    installed: InstalledModules,
    scripts: Mapping[str, str],
) -> WholeInventory | None:
    """Return what is known with that made anew which may have changed; None where that is not less than everything."""
    if {file.path for file in known.unreadable} != {file.path for file in records.unreadable}:
        return None
    changed = {path for path, content in contents.items() if known.contents[path] != content}
    names, facts = records.lazily("names"), records.lazily("facts")
    try:
        told = {
            path
            for path in changed & names.keys()
            if _told_before(path, known.contents[path], records) != _told(names[path], facts[path])
        }
        stale = dict.fromkeys(sorted((changed | readers_of(told, known.reads, known.paths)) & names.keys()))
        if len(stale) > len(names) // 2:  # all at once are read faster than each on its own
            return None
        graph = ProjectGraph(names, records.files, installed=installed, reads=Reads(known.paths))
        kept = [item for item in known.items if item.path not in stale]
        still = {path: of_file for path, of_file in known.computes.items() if path not in stale}
        made, computes = _items(graph, facts, stale, scripts, kept=kept, computes=still)
    except LostFileError:
        return None
    reads = dict(known.reads)
    for path, read in graph.reads.of.items():
        if path in stale:
            reads[path] = read
        elif path not in names:  # it is installed; for others of the target on the way not everything was read
            reads[path] = reads.get(path, 0) | read
    return WholeInventory(
        items=tuple(sorted((*kept, *made), key=sort_key)),
        unreadable=records.unreadable,
        contents=dict(contents),
        paths=tuple(graph.reads.paths),
        reads=reads,
        computes={**still, **computes},
    )


def _items(
    graph: ProjectGraph,
    facts: Mapping[str, FileFacts],
    paths: Collection[str],
    scripts: Mapping[str, str],
    *,
    kept: Collection[InventoryItem] = (),
    computes: Computes = MappingProxyType({}),
) -> tuple[list[InventoryItem], Computes]:
    """Return the items of the files at `paths`, and what computes attention there; `kept` and `computes` are those of
    all other files.
    """
    classes = class_items(graph, paths)
    others = tuple(item for item in kept if item.kind is InventoryKind.ATTENTION)
    attention = attention_in(graph, facts, paths, classes=classes, elsewhere=Attention(others, computes))
    rest = file_items(graph, facts, paths, classes=[*kept, *classes], scripts=scripts)
    return [*classes, *attention.items, *rest], attention.computes


def _told_before(path: str, content: str, records: Records[FileRecord]) -> tuple[object, ...] | None:
    """Return what a file told others when it had another content; None where that is not known any more."""
    names, facts = records.as_of("names", path, content), records.as_of("facts", path, content)
    return None if names is None or facts is None else _told(names, facts)


def _told(names: FileSummary, facts: FileFacts) -> tuple[object, ...]:
    """Return what items of other files can depend on: all but where things stand and how they are written."""
    classes = tuple(replace(each, line=0, digest="") for each in names.classes)
    attention = [replace(each, line=0, digest="") for each in facts.attention]
    return replace(names, digest="", classes=classes), attention
