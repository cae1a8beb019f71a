"""Attention mechanisms that are chosen without specs: by `FILE::NAME` on the command line, or all of an inventory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import UsageError
from audit.session import Collected
from audit.static.definitions import find_class, find_function
from audit.static.inventory import InventoryItem, InventoryKind

_MARK = "::"
_MOST_LISTED = 8


@dataclass(frozen=True, slots=True)
class Named:
    """A class or function in a file, as the user has named it."""

    path: Path
    qualname: str


def read_names(texts: Sequence[str]) -> list[Named]:
    """Return what `FILE::NAME` arguments name.

    Raises:
        UsageError: one has another form.
    """
    names = []
    for text in texts:
        file, mark, qualname = text.rpartition(_MARK)
        if not mark or not file or not all(part.isidentifier() for part in qualname.split(".")):
            raise UsageError(f"{text}: not of the form FILE::NAME, as in model.py::SelfAttention")
        if not file.endswith(".py"):
            raise UsageError(f"{file}: not a Python file; name one that ends in .py, as in model.py::SelfAttention")
        names.append(Named(Path(file), qualname))
    return names


def attention_of(collected: Collected) -> list[InventoryItem]:
    """Return the attention mechanisms of the inventory; paths are relative to the source folder."""
    items = [item for item in collected.shown.inventory if item.kind is InventoryKind.ATTENTION]
    by_name = {(item.path, item.qualname): item for item in items}  # of two of one name the last is found
    return list(by_name.values())


def item_named(collected: Collected, name: Named) -> InventoryItem:
    """Return the class or function that the user has named, whether or not the inventory calls it attention.

    Raises:
        UsageError: the file cannot be read, or has no such class or function.
    """
    path = Path(name.path).absolute().relative_to(collected.target.source).as_posix()
    for item in attention_of(collected):
        if (item.path, item.qualname) == (path, name.qualname):
            return item
    unreadable = next((file for file in collected.shown.unreadable if file.path == path), None)
    if unreadable:
        raise UsageError(f"{name.path}: {unreadable.reason}")
    file = next(file for file in collected.shown.files if file.relative == path)
    summary = next((each for each in collected.shown.summaries if each.path == path), None)
    classes = {each.qualname: each for each in summary.classes} if summary else {}
    if found := classes.get(name.qualname):
        line, digest, form = found.line, found.digest, "class"
    elif function := find_function(file, name.qualname):
        line, digest, form = function.line, function.digest, "function"
    elif behind := find_class(file, name.qualname):  # an exit before it, of which its import tells
        line, digest, form = behind.line, behind.digest, "class"
    else:
        there = sorted(classes)
        listed = ", ".join(there[:_MOST_LISTED]) + (
            f" and {len(there) - _MOST_LISTED} more" if there[_MOST_LISTED:] else ""
        )
        raise UsageError(f"{name.path}: has no class or function {name.qualname}; its classes: {listed or 'none'}")
    return InventoryItem(
        kind=InventoryKind.ATTENTION,
        module=file.module,
        qualname=name.qualname,
        path=path,
        line=line,
        bases=(),
        resolved=True,
        digest=digest,
        facts={"form": form},
    )
