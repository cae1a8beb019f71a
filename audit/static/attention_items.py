"""The attention that classes and functions compute, on their own or through others, as items of the inventory."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from audit.static.attention import mechanism_of
from audit.static.attention_parts import TABLE
from audit.static.facts import AttentionFact, FileFacts, Mechanism
from audit.static.graph import ProjectGraph
from audit.static.inventory import Fact, InventoryItem, Signature, signatures
from audit.static.kinds import InventoryKind
from audit.static.names import FileSummary

Computes = Mapping[str, Mapping[str, tuple[Mechanism, ...]]]  # by path and name


@dataclass(frozen=True, slots=True)
class Attention:
    """The items of some files, and by path the mechanisms of everything there that may compute attention, by name."""

    items: tuple[InventoryItem, ...] = ()
    computes: Computes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Named:
    file: FileSummary
    fact: AttentionFact
    uses: tuple[str, ...]  # full names of the functions that may compute attention for it

    @property
    def name(self) -> str:
        return f"{self.file.module}.{self.fact.qualname}"


def attention_in(
    graph: ProjectGraph,
    facts: Mapping[str, FileFacts],
    paths: Iterable[str],
    *,
    classes: Iterable[InventoryItem],
    elsewhere: Attention,
) -> Attention:
    """Return the classes and functions in the files at `paths` that compute attention, on their own or through others.

    Those of `classes` that take their `forward` from such a class are among them. `elsewhere` is what all other files
    of the target have.
    """
    named = list(_named(graph, facts, paths))
    computes = _computed(named, elsewhere)
    found = {f"{item.module}.{item.qualname}": item for item in elsewhere.items}
    items: list[InventoryItem] = []
    for each in named:
        if computes[each.name] and not each.name.endswith(TABLE):
            through = tuple(use for use in each.uses if computes.get(use) and use != each.name)
            graph.reads.begin(each.file.path)
            found[each.name] = _attention_item(each, graph, sorted(computes[each.name]), through)
            items.append(found[each.name])
    for item in classes:
        is_new = item.kind is InventoryKind.MODEL and f"{item.module}.{item.qualname}" not in found
        if is_new and (inherited := _inherited(item, found)):
            items.append(item.model_copy(update={"kind": InventoryKind.ATTENTION, "facts": inherited}))
    by_path: dict[str, dict[str, tuple[Mechanism, ...]]] = defaultdict(dict)
    for each in named:
        by_path[each.file.path][each.name] = tuple(sorted(computes[each.name]))
    return Attention(tuple(items), dict(by_path))


def _computed(named: Sequence[_Named], elsewhere: Attention) -> Mapping[str, set[Mechanism]]:
    computes: dict[str, set[Mechanism]] = defaultdict(set)
    for of_file in elsewhere.computes.values():
        for name, mechanisms in of_file.items():
            computes[name].update(mechanisms)
    for each in named:
        computes[each.name].update(each.fact.mechanisms)
    grows = True
    while grows:  # through functions that use functions, however many
        before = sum(map(len, computes.values()))
        for each in named:
            computes[each.name] |= {kind for use in each.uses for kind in computes.get(use, ())}
        grows = sum(map(len, computes.values())) > before
    return computes


def _inherited(item: InventoryItem, attention: Mapping[str, InventoryItem]) -> dict[str, Fact] | None:
    """Return the facts of an attention whose `forward` is that of a base; None where it is not an attention's."""
    base = item.forward.inherited_from if item.forward else None
    if base and base in attention and attention[base].facts["form"] == "class":
        return {**attention[base].facts, "through": (base,)}
    fused = next((name for name in item.bases if mechanism_of(name)), None)
    if item.forward is None and fused:
        return _facts_of([m for m in [mechanism_of(fused)] if m], through=(fused,))
    return None


def _named(graph: ProjectGraph, facts: Mapping[str, FileFacts], paths: Iterable[str]) -> Iterator[_Named]:
    for path in paths:
        graph.reads.begin(path)
        file = graph.files[path]
        for fact in facts[path].attention:
            yield _Named(file, fact, resolved_names(graph, file, fact.through))


def _attention_item(
    each: _Named, graph: ProjectGraph, mechanisms: list[Mechanism], through: tuple[str, ...]
) -> InventoryItem:
    fact = each.fact
    position = next(
        (
            at
            for at, found in enumerate(each.file.classes)
            if (found.qualname, found.line) == (fact.qualname, fact.line)
        ),
        None,
    )
    bases: list[str] = []
    calls: dict[str, Signature | None] = {}
    if not fact.is_class:
        calls = {"forward": Signature(parameters=fact.parameters)}
    elif position is not None:
        calls = signatures(graph, (each.file.path, position))
        found = each.file.classes[position].bases
        bases = [base.name for part in found for base in graph.base_definitions(part, path=each.file.path)]
    facts = _facts_of(
        mechanisms,
        form="class" if fact.is_class else "function",
        masks=fact.masks,
        caches=fact.caches,
        causal=fact.causal,
        through=through,
    )
    return InventoryItem(
        kind=InventoryKind.ATTENTION,
        module=each.file.module,
        qualname=fact.qualname,
        path=each.file.path,
        line=fact.line,
        bases=tuple(dict.fromkeys(bases)),
        resolved=True,
        digest=fact.digest,
        facts=facts,
        **calls,
    )


def _facts_of(
    mechanisms: Sequence[Mechanism],
    *,
    form: str = "class",
    masks: tuple[str, ...] = (),
    caches: tuple[str, ...] = (),
    causal: tuple[str, ...] = (),
    through: tuple[str, ...],
) -> dict[str, Fact]:
    eager = (Mechanism.SOFTMAX, Mechanism.LINEAR)
    return {
        "form": form,
        "mechanisms": tuple(str(mechanism) for mechanism in mechanisms),
        "backends": tuple("eager" if kind in eager else str(kind) for kind in mechanisms),
        "masks": masks,
        "caches": caches,
        "causal": causal,
        "through": through,
    }


def resolved_names(graph: ProjectGraph, file: FileSummary, names: Iterable[str]) -> tuple[str, ...]:
    """Return the full names that names of `file` lead to, through re-exports."""
    found: set[str] = set()
    for name in names:
        if name.startswith("."):
            found.add(f"{file.module}{name}")
        else:
            plain, table = name.removesuffix(TABLE), TABLE if name.endswith(TABLE) else ""
            found |= {definition.name + table for definition in graph.resolve(plain, module="")}
    return tuple(sorted(found))
