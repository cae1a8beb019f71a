"""Everything that is learned of one file: its names, what it does, what its import does, and what the rules find."""

from dataclasses import dataclass

from audit.static.facts import FileFacts
from audit.static.findings import Judged
from audit.static.imports.compile import compile_program
from audit.static.imports.outline import Outline, outline_of
from audit.static.imports.patched import patches_of
from audit.static.imports.program import Program
from audit.static.lines import SourceLines
from audit.static.names import Bindings, FileSummary
from audit.static.per_file import Record
from audit.static.reading import ParsedFile
from audit.static.rules.judge import judge, probable_models
from audit.static.scripts import facts_of
from audit.static.sources import SourceFile
from audit.static.summary import names_of
from audit.static.tree import TreeIndex


@dataclass(frozen=True, slots=True)
class FileRecord(Record):
    """What is learned of one file, in parts that are kept and read one by one."""

    names: FileSummary
    facts: FileFacts
    program: Program
    outline: Outline
    patches: frozenset[str]
    judged: Judged


def record_of(file: SourceFile, parsed: ParsedFile) -> FileRecord:
    """Return everything about a file with this syntax tree.

    Raises:
        RecursionError: an expression is nested too deeply.
    """
    lines = SourceLines(parsed.text)
    names = names_of(file, parsed, lines)
    index = TreeIndex(parsed.tree)
    program = compile_program(index, parsed.text)
    return FileRecord(
        names=names,
        facts=_facts(file, parsed, names.bindings, index, lines),
        program=program,
        outline=outline_of(program),
        patches=patches_of(index, parsed.text),
        judged=judge(file.relative, parsed, model_lines=probable_models(names.classes), index=index),
    )


def _facts(file: SourceFile, parsed: ParsedFile, bindings: Bindings, index: TreeIndex, lines: SourceLines) -> FileFacts:
    """Return what the file does; nothing where an expression is nested too deeply to follow, which no loop's is."""
    try:
        return facts_of(index, parsed.text, path=file.relative, bindings=bindings, lines=lines)
    except RecursionError:
        return FileFacts()
