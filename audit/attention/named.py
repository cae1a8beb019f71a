"""What is chosen without specs: by `FILE::NAME` or `FILE` on the command line, or all attention of an inventory."""

from collections.abc import Sequence
from pathlib import Path

from audit.collected import Collected
from audit.errors import UsageError
from audit.named import Named
from audit.static.definitions import find_class, find_function
from audit.static.inventory import InventoryItem, InventoryKind

_MOST_LISTED = 8


def attention_of(collected: Collected) -> list[InventoryItem]:
    """Return the attention mechanisms of the inventory; paths are relative to the source folder."""
    items = [item for item in collected.shown.inventory if item.kind is InventoryKind.ATTENTION]
    by_name = {(item.path, item.qualname): item for item in items}  # of two of one name the last is found
    return list(by_name.values())


def is_model_class(collected: Collected, item: InventoryItem) -> bool:
    """Return whether the inventory calls what an item names a model: a class of modules."""
    models = (each for each in collected.shown.inventory if each.kind is InventoryKind.MODEL)
    return any((each.path, each.qualname) == (item.path, item.qualname) for each in models)


def items_named(collected: Collected, names: Sequence[Named], kind: InventoryKind) -> list[InventoryItem]:
    """Return the classes and functions that the user has named, and of whole files those that are of a kind.

    Raises:
        UsageError: as `item_named`; or a whole file cannot be read, or there is nothing of the kind in any.
    """
    items: list[InventoryItem] = []
    for name in names:
        found = [item_named(collected, name)] if name.qualname else _all_in(collected, name, kind)
        items += [item for item in found if item not in items]
    if not items:
        classes = _classes_in(collected, _relative(collected, names[0]))
        raise UsageError(
            f"{names[0].path}: the inventory finds no {kind.value} in it; name a class as FILE::NAME; its classes: "
            f"{classes}"
        )
    return items


def _all_in(collected: Collected, name: Named, kind: InventoryKind) -> list[InventoryItem]:
    path = _relative(collected, name)
    _refuse_unread(collected, name, path)
    if kind is InventoryKind.ATTENTION:
        there = attention_of(collected)
    else:
        there = [item for item in collected.shown.inventory if item.kind is kind and item.resolved]
    return [item for item in there if item.path == path]


def _relative(collected: Collected, name: Named) -> str:
    return Path(name.path).absolute().relative_to(collected.target.source).as_posix()


def _classes_in(collected: Collected, path: str) -> str:
    summary = next((each for each in collected.shown.summaries if each.path == path), None)
    there = sorted(each.qualname for each in summary.classes) if summary else []
    more = f" and {len(there) - _MOST_LISTED} more" if there[_MOST_LISTED:] else ""
    return (", ".join(there[:_MOST_LISTED]) + more) or "none"


def _refuse_unread(collected: Collected, name: Named, path: str) -> None:
    unreadable = next((file for file in collected.shown.unreadable if file.path == path), None)
    if unreadable:
        raise UsageError(f"{name.path}: {unreadable.reason}")
    if not any(file.relative == path for file in collected.shown.files):
        raise UsageError(
            f"{name.path}: is not among the files that are read; its name has to be valid UTF-8: rename it"
        )


def item_named(collected: Collected, name: Named) -> InventoryItem:
    """Return the class or function that the user has named, whether or not the inventory calls it attention.

    Raises:
        UsageError: the file cannot be read, or has no such class or function.
    """
    path = _relative(collected, name)
    for item in attention_of(collected):
        if (item.path, item.qualname) == (path, name.qualname):
            return item
    _refuse_unread(collected, name, path)
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
        raise UsageError(
            f"{name.path}: has no class or function {name.qualname}; its classes: {_classes_in(collected, path)}"
        )
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
