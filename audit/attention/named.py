"""What is chosen without specs: by `FILE::NAME` on the command line, or all attention of an inventory."""

from pathlib import Path

from audit.errors import UsageError
from audit.named import Named
from audit.session import Collected
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
    file = next((file for file in collected.shown.files if file.relative == path), None)
    if file is None:
        raise UsageError(
            f"{name.path}: is not among the files that are read; its name has to be valid UTF-8: rename it"
        )
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
