"""Stage 4: which classes of the target are models, data sets and so on, decided by what their bases lead to."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from pydantic import Field

from audit.results import Frozen
from audit.static.graph import Definition, DefinitionKind, ProjectGraph
from audit.static.inherited import origin_of, parameters_from
from audit.static.kinds import LIGHTNING_MODULES, InventoryKind, kinds_of_definition, kinds_of_name
from audit.static.parameters import CONSTRUCTOR, FORWARD, Parameter

__all__ = ["InventoryItem", "InventoryKind", "class_items"]

_Class = tuple[str, int]  # path of the file, position in its classes
Fact = str | int | bool | None | tuple[str, ...]
_METHODS = {"constructor": CONSTRUCTOR, "forward": FORWARD}
_SIGNATURES = {InventoryKind.MODEL: ("constructor", "forward"), InventoryKind.DATASET: ("constructor",)}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a call takes, without `self`. `inherited_from` is the full name of the base that it comes from, if any."""

    parameters: tuple[Parameter, ...]
    inherited_from: str | None = None


class InventoryItem(Frozen):
    """One part of the target. `path` is relative to the root; `resolved` is False where the kind is not decided.

    `bases` are dotted names after imports and aliases were followed: of the target's classes by the module that
    defines them, of torch's as their documentation writes them, of others as imported. `facts` depend on the kind.

    Models and classes of attention have the signatures of their `constructor` and of their `forward`, data sets that of
    their `constructor`, and functions of attention their own as `forward`: None where the source does not tell it.
    """

    kind: InventoryKind
    module: str
    qualname: str
    path: str
    line: int
    bases: tuple[str, ...]
    resolved: bool
    digest: str
    facts: dict[str, Fact] = Field(default_factory=dict)
    constructor: Signature | None = None
    forward: Signature | None = None


def sort_key(item: InventoryItem) -> tuple[str, int, str, InventoryKind]:
    """Order of items in every list: by path, then by place."""
    return (item.path, item.line, item.qualname, item.kind)


@dataclass(slots=True)
class _Classes:
    """The classes of the target and those that their bases lead to in installed sources."""

    bases: dict[_Class, tuple[str, ...]] = field(default_factory=dict)
    derived: dict[_Class, list[_Class]] = field(default_factory=lambda: defaultdict(list))
    roots: dict[InventoryKind, set[_Class]] = field(default_factory=lambda: defaultdict(set))
    lightning: set[_Class] = field(default_factory=set)
    open_ended: set[_Class] = field(default_factory=set)


def class_items(graph: ProjectGraph, paths: Collection[str]) -> tuple[InventoryItem, ...]:
    """Return those classes of the files at `paths` that have a kind and those of which it cannot be said.

    They are sorted by path and line; a class with two kinds is listed once for each.
    """
    classes = _followed(graph, paths)
    reached = {kind: _with_derived(roots, classes.derived) for kind, roots in classes.roots.items()}
    decided = set[_Class]().union(*reached.values())
    reached[InventoryKind.UNRESOLVED] = _with_derived(classes.open_ended, classes.derived) - decided
    lightning = _with_derived(classes.lightning, classes.derived)
    items = [
        _item(graph, key, kind, classes.bases[key], lightning=key in lightning)
        for kind, keys in reached.items()
        for key in sorted(keys)  # those of one file one after the other: their signatures are read together
        if key[0] in paths
    ]
    return tuple(sorted(items, key=sort_key))


def _followed(graph: ProjectGraph, paths: Iterable[str]) -> _Classes:
    """Follow the bases of every class of the files at `paths`, and of the classes met on the way."""
    found = _Classes()
    pending = deque((path, position) for path in paths for position in range(len(graph.files[path].classes)))
    while pending:
        key = pending.popleft()
        if key in found.bases:
            continue
        graph.reads.begin(key[0])
        summary = graph.class_of(*key)
        definitions = [each for base in summary.bases for each in graph.base_definitions(base, path=key[0])]
        found.bases[key] = tuple(dict.fromkeys(_public(graph, definition) for definition in definitions))
        own_name = f"{summary.module}.{summary.qualname}"
        outside = [each.name for each in definitions if each.kind is not DefinitionKind.TARGET_CLASS]
        known = {name: kinds_of_name(name, graph.torch_classes) for name in outside}
        known[own_name] = kinds_of_definition(own_name, graph.torch_classes)
        for kind in frozenset[InventoryKind]().union(*known.values()):
            found.roots[kind].add(key)
        if LIGHTNING_MODULES & known.keys():
            found.lightning.add(key)
        for definition in definitions:
            if definition.kind is DefinitionKind.TARGET_CLASS:
                found.derived[definition.path, definition.position].append(key)
                pending.append((definition.path, definition.position))
            elif definition.kind is DefinitionKind.UNRESOLVED and not known[definition.name]:
                found.open_ended.add(key)
    return found


def _public(graph: ProjectGraph, definition: Definition) -> str:
    """Return the name that users import a base by, where it is one of torch's."""
    return next((public for _, public in graph.torch_classes.kinds.get(definition.name, ())), definition.name)


def _with_derived(classes: Iterable[_Class], derived: Mapping[_Class, list[_Class]]) -> set[_Class]:
    """Return `classes` and all that derive from them, however far away."""
    reached = set(classes)
    pending = list(reached)
    while pending:
        for found in derived.get(pending.pop(), ()):
            if found not in reached:
                reached.add(found)
                pending.append(found)
    return reached


def _item(
    graph: ProjectGraph, key: _Class, kind: InventoryKind, bases: tuple[str, ...], *, lightning: bool
) -> InventoryItem:
    graph.reads.begin(key[0])
    summary = graph.class_of(*key)
    return InventoryItem(
        kind=kind,
        module=summary.module,
        qualname=summary.qualname,
        path=key[0],
        line=summary.line,
        bases=bases,
        resolved=kind is not InventoryKind.UNRESOLVED,
        digest=summary.digest,
        facts={"lightning": True} if lightning and kind is InventoryKind.MODEL else {},
        **signatures(graph, key, _SIGNATURES.get(kind, ())),
    )


def signatures(
    graph: ProjectGraph, key: tuple[str, int], fields: Collection[str] = ("constructor", "forward")
) -> dict[str, Signature | None]:
    """Return what is known of the methods of the class at this path and position, by field of its item."""
    start = graph.definition_at(*key)
    found: dict[str, Signature | None] = {}
    for field_name in fields:
        method = _METHODS[field_name]
        origin = origin_of(graph, start, method)
        parameters = parameters_from(graph, origin, method) if origin else None
        if origin and parameters is not None:
            base = None if origin == start else origin.name
            found[field_name] = _signature(parameters, base)
    return found


@cache  # of a package's classes most take alike, and 20,000 of them stay until the end
def _signature(parameters: tuple[Parameter, ...], inherited_from: str | None) -> Signature:
    return Signature(parameters=parameters, inherited_from=inherited_from)
