"""What the rules find in each file, once the graph of all files has told which classes are models."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from audit.static.findings import Judged
from audit.static.inventory import InventoryItem, InventoryKind
from audit.static.memory import give_back
from audit.static.reading import ParsedFile
from audit.static.record import FileRecord
from audit.static.records import Records, analyse_files
from audit.static.rules.judge import judge
from audit.static.sources import SourceFile
from audit.static.store import FactStore


def judged_files(
    records: Records[FileRecord], classes: Iterable[InventoryItem], *, workers: int, store: FactStore | None
) -> Mapping[str, Judged]:
    """Return what all rules find in each readable file, by path; `classes` say which of its classes are models.

    A file whose rules have asked about a class and were told something else while it was read is judged again.
    """
    lines: dict[str, set[int]] = defaultdict(set)
    for item in classes:
        if item.kind is InventoryKind.MODEL:
            lines[item.path].add(item.line)
    judged: dict[str, Judged] = records.by_path("judged")
    again = [
        replace(file, model_lines=tuple(sorted(lines[file.relative])))
        for file in records.files
        if file.relative in judged
        and any((line in lines[file.relative]) is not answer for line, answer in judged[file.relative].assumed)
    ]
    if again:
        give_back()
    found = analyse_files(again, judged_of, workers=workers, store=store)
    return judged | {file.relative: each for file, each in zip(again, found, strict=True) if isinstance(each, Judged)}


def judged_of(file: SourceFile, parsed: ParsedFile) -> Judged:
    """Return what all rules find in a file whose model classes are at `file.model_lines`."""
    return judge(file.relative, parsed, model_lines=file.model_lines)
