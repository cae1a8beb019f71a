"""What files do apart from attention, as items of the inventory: their facts joined through the project graph."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from audit.static.attention_items import resolved_names
from audit.static.facts import FileFacts
from audit.static.graph import ProjectGraph
from audit.static.inventory import Fact, InventoryItem
from audit.static.kinds import InventoryKind, kinds_of_name
from audit.static.names import FileSummary
from audit.static.notebooks import SUFFIX as NOTEBOOK

_AMP = re.compile(r"^torch\.(cuda\.amp|amp|autocast)\b")
_DISTRIBUTION = re.compile(
    r"^(torch\.distributed\b|torch\.nn\.parallel\.|torch\.nn\.DataParallel$|accelerate\.Accelerator$|deepspeed\.|horovod\.)"
)
_SAVING = re.compile(r"^(torch\.save|torch\.distributed\.checkpoint\..*|safetensors\.torch\.save\w*)$")
_SAVING_METHODS = frozenset({"save_checkpoint", "save_pretrained", "save_state"})


def file_items(
    graph: ProjectGraph,
    facts: Mapping[str, FileFacts],
    paths: Iterable[str],
    *,
    classes: Collection[InventoryItem],
    scripts: Mapping[str, str],
) -> tuple[InventoryItem, ...]:
    """Return what the files at `paths` do, apart from attention; `facts` are those of files by path.

    `classes` are all of the target, `scripts` the modules that the project's scripts start.
    """
    items: list[InventoryItem] = []
    by_name: dict[str, set[InventoryKind]] = {}
    for item in classes:
        by_name.setdefault(f"{item.module}.{item.qualname}", set()).add(item.kind)
    for path in paths:
        file = graph.files[path]
        graph.reads.begin(path)
        items += [*_training(graph, file, facts[path], by_name, scripts), *_parts(file, facts[path])]
    return tuple(sorted(items, key=lambda item: (item.path, item.line, item.qualname, item.kind)))


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
    calls = resolved_names(graph, file, facts.calls)
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
