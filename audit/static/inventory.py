"""Stage 4: which classes of the target are models, decided by what their bases lead to and by nothing else."""

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum

from audit.results import Frozen
from audit.static.graph import DefinitionKind, ProjectGraph

_Class = tuple[str, int]  # path of the file, position in its classes


class InventoryKind(StrEnum):
    """What a class was found to be."""

    MODEL = "model"  # some chain of bases reaches `torch.nn.Module`
    UNRESOLVED = "unresolved"  # none does, and some chain ends in a base that is not in the target


class InventoryItem(Frozen):
    """One class of the target. `path` is relative to the root; `resolved` is False where the kind is not decided.

    `bases` are dotted names after imports and aliases were followed: of the target's classes by the module that
    defines them, of torch's as their documentation writes them, of others as imported.
    """

    kind: InventoryKind
    module: str
    qualname: str
    path: str
    line: int
    bases: tuple[str, ...]
    resolved: bool
    digest: str


def inventory(graph: ProjectGraph) -> tuple[InventoryItem, ...]:
    """Return the models of the target and the classes of which it cannot be said, sorted by path and line."""
    derived: dict[_Class, list[_Class]] = defaultdict(list)
    bases: dict[_Class, tuple[str, ...]] = {}
    models: set[_Class] = set()
    open_ended: set[_Class] = set()
    for path, file in graph.files.items():
        for position, summary in enumerate(file.classes):
            found = [found for base in summary.bases for found in graph.base_definitions(base, path=path)]
            key = (path, position)
            bases[key] = tuple(dict.fromkeys(definition.name for definition in found))
            kinds = {definition.kind for definition in found}
            is_torch = f"{summary.module}.{summary.qualname}" in graph.torch_classes.definitions
            if is_torch or DefinitionKind.TORCH_MODULE_CLASS in kinds:
                models.add(key)
            if DefinitionKind.UNRESOLVED in kinds:
                open_ended.add(key)
            for definition in found:
                if definition.kind is DefinitionKind.TARGET_CLASS:
                    derived[definition.path, definition.position].append(key)
    models = _with_derived(models, derived)
    unresolved = _with_derived(open_ended, derived) - models
    items = [_item(graph, key, InventoryKind.MODEL, bases[key]) for key in models]
    items += [_item(graph, key, InventoryKind.UNRESOLVED, bases[key]) for key in unresolved]
    return tuple(sorted(items, key=lambda item: (item.path, item.line, item.qualname)))


def _with_derived(classes: Iterable[_Class], derived: dict[_Class, list[_Class]]) -> set[_Class]:
    """Return `classes` and all that derive from them, however far away."""
    reached = set(classes)
    pending = list(reached)
    while pending:
        for found in derived.get(pending.pop(), ()):
            if found not in reached:
                reached.add(found)
                pending.append(found)
    return reached


def _item(graph: ProjectGraph, key: _Class, kind: InventoryKind, bases: tuple[str, ...]) -> InventoryItem:
    path, position = key
    summary = graph.files[path].classes[position]
    return InventoryItem(
        kind=kind,
        module=summary.module,
        qualname=summary.qualname,
        path=path,
        line=summary.line,
        bases=bases,
        resolved=kind is InventoryKind.MODEL,
        digest=summary.digest,
    )
