"""What files do, as items of the inventory: facts of single files joined through the project graph."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from audit.static.attention import mechanism_of
from audit.static.attention_parts import TABLE
from audit.static.facts import AttentionFact, FileFacts, Mechanism
from audit.static.graph import ProjectGraph
from audit.static.inventory import Fact, InventoryItem, Signature, signatures
from audit.static.kinds import InventoryKind, kinds_of_name
from audit.static.names import FileSummary
from audit.static.notebooks import SUFFIX as NOTEBOOK

_AMP = re.compile(r"^torch\.(cuda\.amp|amp|autocast)\b")
_DISTRIBUTION = re.compile(
    r"^(torch\.distributed\b|torch\.nn\.parallel\.|torch\.nn\.DataParallel$|accelerate\.Accelerator$|deepspeed\.|horovod\.)"
)
_SAVING = re.compile(r"^(torch\.save|torch\.distributed\.checkpoint\..*|safetensors\.torch\.save\w*)$")
_SAVING_METHODS = frozenset({"save_checkpoint", "save_pretrained", "save_state"})


@dataclass(frozen=True, slots=True)
class _Named:
    file: FileSummary
    fact: AttentionFact
    uses: tuple[str, ...]  # full names of the functions that may compute attention for it

    @property
    def name(self) -> str:
        return f"{self.file.module}.{self.fact.qualname}"


def file_items(
    graph: ProjectGraph,
    facts: Mapping[str, FileFacts],
    *,
    classes: Collection[InventoryItem],
    scripts: Mapping[str, str],
) -> tuple[InventoryItem, ...]:
    """Return what the files of the graph do, apart from attention; `facts` are theirs by path.

    `scripts` are the modules that the project's scripts start.
    """
    items: list[InventoryItem] = []
    by_name: dict[str, set[InventoryKind]] = {}
    for item in classes:
        by_name.setdefault(f"{item.module}.{item.qualname}", set()).add(item.kind)
    for path, file in graph.files.items():
        items += [*_training(graph, file, facts[path], by_name, scripts), *_parts(file, facts[path])]
    return tuple(sorted(items, key=lambda item: (item.path, item.line, item.qualname, item.kind)))


def attention_items(
    graph: ProjectGraph, facts: Mapping[str, FileFacts], *, classes: Iterable[InventoryItem]
) -> Iterator[InventoryItem]:
    """Yield the classes and functions of the target that compute attention, on their own or through others.

    Those of `classes` that take their `forward` from such a class are among them.
    """
    named = [
        _Named(file, fact, _resolved(graph, file, fact.through))
        for path, file in graph.files.items()
        for fact in facts[path].attention
    ]
    computes: dict[str, set[Mechanism]] = {}
    for each in named:
        computes.setdefault(each.name, set()).update(each.fact.mechanisms)
    grows = True
    while grows:  # through functions that use functions, however many
        before = sum(map(len, computes.values()))
        for each in named:
            computes[each.name] |= {kind for use in each.uses for kind in computes.get(use, ())}
        grows = sum(map(len, computes.values())) > before
    found: dict[str, InventoryItem] = {}
    for each in named:
        if computes[each.name] and not each.name.endswith(TABLE):
            through = tuple(use for use in each.uses if computes.get(use) and use != each.name)
            found[each.name] = _attention_item(each, graph, sorted(computes[each.name]), through)
            yield found[each.name]
    for item in classes:
        is_new = item.kind is InventoryKind.MODEL and f"{item.module}.{item.qualname}" not in found
        if is_new and (inherited := _inherited(item, found)):
            yield item.model_copy(update={"kind": InventoryKind.ATTENTION, "facts": inherited})


def _inherited(item: InventoryItem, attention: Mapping[str, InventoryItem]) -> dict[str, Fact] | None:
    """Return the facts of an attention whose `forward` is that of a base; None where it is not an attention's."""
    base = item.forward.inherited_from if item.forward else None
    if base and base in attention and attention[base].facts["form"] == "class":
        return {**attention[base].facts, "through": (base,)}
    fused = next((name for name in item.bases if mechanism_of(name)), None)
    if item.forward is None and fused:
        return _facts_of([m for m in [mechanism_of(fused)] if m], through=(fused,))
    return None


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


def _resolved(graph: ProjectGraph, file: FileSummary, names: Iterable[str]) -> tuple[str, ...]:
    """Return the full names that names of `file` lead to, through re-exports."""
    found: set[str] = set()
    for name in names:
        if name.startswith("."):
            found.add(f"{file.module}{name}")
        else:
            plain, table = name.removesuffix(TABLE), TABLE if name.endswith(TABLE) else ""
            found |= {definition.name + table for definition in graph.resolve(plain, module="")}
    return tuple(sorted(found))


def _training(
    graph: ProjectGraph,
    file: FileSummary,
    facts: FileFacts,
    kinds: Mapping[str, set[InventoryKind]],
    scripts: Mapping[str, str],
) -> Iterator[InventoryItem]:
    """Yield the file as a training script, where it trains and something starts it."""
    starts = sorted(
        {entry.by for entry in facts.entries}
        | {s for s, module in scripts.items() if module == file.module}
        | ({"notebook"} if file.path.endswith(NOTEBOOK) else set())
    )
    if not facts.training or not starts:
        return
    calls = _resolved(graph, file, facts.calls)
    first = min(facts.training, key=lambda fact: fact.line)
    yield _file_item(
        file,
        InventoryKind.TRAINING_SCRIPT,
        first.qualname,
        first.line,
        {
            "by": tuple(sorted({fact.by for fact in facts.training})),
            "started_by": tuple(starts),
            "models": tuple(name for name in calls if InventoryKind.MODEL in kinds.get(name, ())),
            "optimizers": tuple(
                name
                for name in calls
                if InventoryKind.OPTIMIZER in kinds.get(name, ())
                or InventoryKind.OPTIMIZER in kinds_of_name(name, graph.torch_classes)
            ),
            "amp": any(_AMP.search(name) for name in calls),
            "checkpointing": any(_SAVING.search(name) for name in calls) or bool(_SAVING_METHODS & {*facts.methods}),
            "distribution": tuple(name for name in calls if _DISTRIBUTION.search(name)),
        },
    )


def _parts(file: FileSummary, facts: FileFacts) -> Iterator[InventoryItem]:
    """Yield the items that a file's own facts make."""
    if facts.entries:
        by = tuple(sorted({entry.by for entry in facts.entries}))
        yield _file_item(file, InventoryKind.ENTRY_POINT, "", min(e.line for e in facts.entries), {"by": by})
    if facts.tests:
        given: dict[str, Fact] = {"count": len(facts.tests), "functions": facts.tests}
        yield _file_item(file, InventoryKind.TEST, "", 1, given)
    for loader in facts.loaders:
        yield _file_item(file, InventoryKind.DATA_PIPELINE, loader.name, loader.line, {})
    for kernel in facts.kernels:
        yield _file_item(
            file, InventoryKind.EXTENSION, kernel.name, kernel.line, {"language": "triton", "present": True}
        )


def _file_item(
    file: FileSummary, kind: InventoryKind, qualname: str, line: int, facts: dict[str, Fact]
) -> InventoryItem:
    return InventoryItem(
        kind=kind,
        module=file.module,
        qualname=qualname,
        path=file.path,
        line=line,
        bases=(),
        resolved=True,
        digest=file.digest,
        facts=facts,
    )
