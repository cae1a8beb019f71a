"""Stage 2: one file as data. What later stages know of a file comes from here, and each file is read alone."""

from audit.static.facts import FileFacts
from audit.static.flow import Flow
from audit.static.imports.compile import compile_program
from audit.static.imports.program import NOTHING
from audit.static.lines import SourceLines
from audit.static.names import Bindings, FileSummary
from audit.static.per_file import fact_of
from audit.static.reading import ParsedFile, UnreadableFile
from audit.static.scripts import facts_of
from audit.static.sources import SourceFile


def summarise(file: SourceFile, *, with_facts: bool = True) -> FileSummary | UnreadableFile:
    """Return what `file` binds, imports and defines, or why it could not be read.

    The file is read as data and nothing of it runs. Raises nothing for whatever it holds: a file that is missing, too
    large, not decodable, not valid Python for the running interpreter or nested too deeply is an `UnreadableFile`.
    Without facts only its names and classes are told, which is all that other files need.
    """
    return fact_of(file, summary_of if with_facts else names_of).fact


def summary_of(file: SourceFile, parsed: ParsedFile) -> FileSummary:
    """Return what a file with this syntax tree binds, imports and defines, and what it does.

    Raises:
        RecursionError: an expression is nested too deeply.
    """
    return _summary(file, parsed, with_facts=True)


def names_of(file: SourceFile, parsed: ParsedFile) -> FileSummary:
    """Return the same without what the file does.

    Raises:
        RecursionError: an expression is nested too deeply.
    """
    return _summary(file, parsed, with_facts=False)


def _summary(file: SourceFile, parsed: ParsedFile, *, with_facts: bool) -> FileSummary:
    flow = Flow(file, parsed=parsed)
    flow.run()
    bindings = flow.module_scope.bindings()
    return FileSummary(
        path=file.relative,
        module=file.module,
        is_package=file.is_package,
        digest=parsed.digest,
        bindings=bindings,
        stars=flow.module_scope.stars(),
        exports=flow.exports,
        classes=tuple(flow.classes),
        facts=_facts(file, parsed, bindings) if with_facts else FileFacts(),
        program=compile_program(parsed.tree, parsed.text) if with_facts else NOTHING,
    )


def _facts(file: SourceFile, parsed: ParsedFile, bindings: Bindings) -> FileFacts:
    """Return what the file does; nothing where an expression is nested too deeply to follow, which no loop's is."""
    try:
        return facts_of(parsed.tree, parsed.text, path=file.relative, bindings=bindings, lines=SourceLines(parsed.text))
    except RecursionError:
        return FileFacts()
