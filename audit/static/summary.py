"""Stage 2: one file as data. What later stages know of a file comes from here, and each file is read alone."""

from audit.static.discovery import SourceFile
from audit.static.flow import Flow
from audit.static.imports.compile import compile_program
from audit.static.names import FileSummary
from audit.static.reading import UnreadableFile, read


def summarise(file: SourceFile) -> FileSummary | UnreadableFile:
    """Return what `file` binds, imports and defines, or why it could not be read.

    The file is read as data and nothing of it runs. Raises nothing for whatever it holds: a file that is missing, too
    large, not decodable, not valid Python for the running interpreter or nested too deeply is an `UnreadableFile`.
    """
    parsed = read(file)
    if isinstance(parsed, UnreadableFile):
        return parsed
    flow = Flow(file, parsed=parsed)
    try:
        flow.run()
    except RecursionError:
        reason = "an expression is nested too deeply to follow (RecursionError)"
        return UnreadableFile(path=file.relative, reason=reason, digest=parsed.digest)
    return FileSummary(
        path=file.relative,
        module=file.module,
        is_package=file.is_package,
        digest=parsed.digest,
        bindings=flow.module_scope.bindings(),
        stars=flow.module_scope.state.stars,
        exports=flow.exports,
        classes=tuple(flow.classes),
        program=compile_program(parsed.tree, parsed.text),
    )
