"""Everything that is learned of one file: its names, what it does, what its import does, and what the rules find."""

from dataclasses import replace

from audit.static.encoding import Later
from audit.static.facts import FileFacts
from audit.static.imports.compile import compile_program
from audit.static.lines import SourceLines
from audit.static.names import Bindings, FileSummary
from audit.static.per_file import fact_of
from audit.static.reading import ParsedFile, UnreadableFile
from audit.static.rules.judge import judge, probable_models
from audit.static.scripts import facts_of
from audit.static.sources import SourceFile
from audit.static.summary import names_of
from audit.static.tree import TreeIndex


def summarise(file: SourceFile) -> FileSummary | UnreadableFile:
    """Return everything about `file`, or why it could not be read; raises nothing, as `names_in`."""
    return fact_of(file, summary_of).fact


def summary_of(file: SourceFile, parsed: ParsedFile) -> FileSummary:
    """Return everything about a file with this syntax tree, from one walk over it.

    Raises:
        RecursionError: an expression is nested too deeply.
    """
    summary = names_of(file, parsed)
    index = TreeIndex(parsed.tree)
    judged = judge(file.relative, parsed, model_lines=probable_models(summary.classes), index=index)
    return replace(
        summary,
        later_facts=Later(_facts(file, parsed, summary.bindings, index)),
        later_program=Later(compile_program(parsed.tree, parsed.text)),
        later_judged=Later(judged),
    )


def _facts(file: SourceFile, parsed: ParsedFile, bindings: Bindings, index: TreeIndex) -> FileFacts:
    """Return what the file does; nothing where an expression is nested too deeply to follow, which no loop's is."""
    try:
        return facts_of(index, parsed.text, path=file.relative, bindings=bindings, lines=SourceLines(parsed.text))
    except RecursionError:
        return FileFacts()
