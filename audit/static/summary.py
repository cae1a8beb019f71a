"""Stage 2: what one file binds, imports and defines, which is all that other files need to know of it."""

from audit.static.flow import Flow
from audit.static.lines import SourceLines
from audit.static.names import FileSummary
from audit.static.per_file import fact_of
from audit.static.reading import ParsedFile, UnreadableFile
from audit.static.signatures import written
from audit.static.sources import SourceFile


def names_in(file: SourceFile) -> FileSummary | UnreadableFile:
    """Return what `file` binds, imports and defines, or why it could not be read.

    The file is read as data and nothing of it runs. Raises nothing for whatever it holds: a file that is missing, too
    large, not decodable, not valid Python for the running interpreter or nested too deeply is an `UnreadableFile`.
    """
    return fact_of(file, names_of).fact


def names_of(file: SourceFile, parsed: ParsedFile, lines: SourceLines | None = None) -> FileSummary:
    """Return what a file with this syntax tree binds, imports and defines; `lines` are its lines, once they are known.

    Raises:
        RecursionError: an expression is nested too deeply.
    """
    flow = Flow(file, parsed=parsed, lines=lines or SourceLines(parsed.text))
    flow.run()
    return FileSummary(
        path=file.relative,
        module=file.module,
        is_package=file.is_package,
        digest=parsed.digest,
        bindings=flow.module_scope.bindings(),
        stars=flow.module_scope.stars(),
        exports=flow.exports,
        classes=tuple(flow.classes),
        signatures=written(flow.signatures),
    )
