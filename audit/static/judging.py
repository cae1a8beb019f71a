"""Files whose rules were asked about a class before the graph knew what it is, judged again with the graph's answer."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from audit.static.collect import analyse_files
from audit.static.encoding import Later
from audit.static.findings import Judged
from audit.static.inventory import InventoryItem, InventoryKind
from audit.static.names import FileSummary
from audit.static.reading import ParsedFile
from audit.static.rules.judge import judge
from audit.static.sources import SourceFile
from audit.static.store import FactStore


def judged_again(
    files: Sequence[SourceFile],
    summaries: Sequence[FileSummary],
    classes: Iterable[InventoryItem],
    *,
    workers: int,
    store: FactStore | None,
) -> tuple[FileSummary, ...]:
    """Return `summaries` with what the rules find where each class is a model exactly if `classes` list it as one."""
    lines: dict[str, set[int]] = defaultdict(set)
    for item in classes:
        if item.kind is InventoryKind.MODEL:
            lines[item.path].add(item.line)
    wrong = {
        summary.path: lines[summary.path]
        for summary in summaries
        if any((line in lines[summary.path]) is not answer for line, answer in summary.judged.assumed)
    }
    again = [replace(file, model_lines=tuple(sorted(wrong[file.relative]))) for file in files if file.relative in wrong]
    judged = dict(
        zip(
            (file.relative for file in again),
            analyse_files(again, judged_of, workers=workers, store=store),
            strict=True,
        )
    )
    return tuple(
        replace(summary, later_judged=Later(found))
        if isinstance(found := judged.get(summary.path), Judged)
        else summary
        for summary in summaries
    )


def judged_of(file: SourceFile, parsed: ParsedFile) -> Judged:
    """Return what all rules find in a file whose model classes are at the lines `file.model_lines`."""
    return judge(file.relative, parsed, model_lines=file.model_lines)
