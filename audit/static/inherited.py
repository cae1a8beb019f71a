"""Which class a method comes from: the class itself, else the first of its bases that has it, in Python's order."""

from collections.abc import Iterator

from audit.static.graph import Definition, DefinitionKind, ProjectGraph
from audit.static.parameters import CONSTRUCTOR, FORWARD, Parameter
from audit.static.signatures import signature_in, signature_key

_MODULE = "torch.nn.Module"
# What is constructed of these takes nothing, where no class between says otherwise.
_EMPTY = frozenset(
    {_MODULE}
    | {f"torch.utils.data.{place}{name}" for place in ("", "dataset.") for name in ("Dataset", "IterableDataset")}
)
# These have no `forward`, and what they take to construct a class derived from them is nothing.
_PLAIN = frozenset({"builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol", "typing_extensions.Protocol"})


def origin_of(graph: ProjectGraph, start: Definition, method: str) -> Definition | None:
    """Return the class that `method`, one of `METHODS`, of the class `start` comes from; None where that is not known.

    It is a class whose source was read, or one of torch's: `torch.nn.Module` or a base of data sets, whose constructor
    takes nothing and which have no `forward`, or one of which nothing else is known.
    """
    for definition in _in_order(graph, start):
        match definition:
            case None:
                return None
            case Definition(kind=DefinitionKind.TARGET_CLASS):
                bindings = graph.class_at(definition).bindings
                if method in bindings:
                    return definition
                if method == CONSTRUCTOR and "__new__" in bindings:
                    return None
            case Definition(kind=DefinitionKind.TORCH_MODULE_CLASS, name=name):
                if name != _MODULE or method == CONSTRUCTOR:
                    return definition
            case Definition(name=name) if method == CONSTRUCTOR and name in _EMPTY:
                return definition
            case Definition(name=name) if method == FORWARD or name in _PLAIN:
                continue
            case _:
                return None
    return None


def parameters_from(graph: ProjectGraph, origin: Definition, method: str) -> tuple[Parameter, ...] | None:
    """Return the parameters of a method that comes from `origin`; None where its source does not tell them."""
    if origin.kind is not DefinitionKind.TARGET_CLASS:
        return () if origin.name in _EMPTY else None
    file = graph.file_at(origin.path)
    return signature_in(file.signatures, signature_key(origin.position, method)) if file else None


def _in_order(graph: ProjectGraph, start: Definition) -> Iterator[Definition | None]:
    """Yield the class and its bases, each before its own bases; None for a base that can be several or is not known.

    Of two bases the left one comes first, unless it is a base of the right one: Python's order, except in hierarchies
    that name two classes in both orders.
    """
    yield start
    done: list[Definition | None] = []
    seen = {start}
    pending: list[tuple[Definition | None, bool]] = [(start, False)]
    while pending:
        definition, has_bases_done = pending.pop()
        if definition is None or has_bases_done or definition.kind is not DefinitionKind.TARGET_CLASS:
            done.append(definition)
            continue
        pending.append((definition, True))
        for base in graph.class_at(definition).bases:
            found = graph.base_definitions(base, path=definition.path)
            only = found[0] if len(found) == 1 and found[0].kind is not DefinitionKind.UNRESOLVED else None
            if only is None or only not in seen:
                pending.append((only, False))
                seen |= {only} if only else set()
    yield from done[-2::-1]
