"""A file that is meant to be started can be loaded by its path."""

import ast

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="smoke.standalone",
    title="The file can be loaded by its path",
    proves="A file with a part for `__name__ == '__main__'` and without relative imports is executed, that part left "
    "out, with its own folder first on the import path, as Python does for a script, and the package's behind it.",
    defect="a neighbour called like a module of the standard library",
    severity=Severity.MAJOR,
)


def judge(path: str, run: Run) -> Judgement:
    """Execute one file; `path` is relative to the target's root."""
    try:
        tree = ast.parse((run.target.root / path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError) as problem:
        return error(f"it cannot be read: {type(problem).__name__}")
    if any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree)):
        return not_applicable("it imports from its own package by relative names: python -m starts it, not its path")
    probe = run.probe.beside("standalone")
    try:
        reply = probe.call("import_file", path=path)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("import",))
    finally:
        probe.close()  # what one file imported would be there for the next
    return judged(
        Measured(
            value=0,
            bound=0,
            comparison=Comparison.EQUAL,
            origin="a script that raises when it is loaded cannot be started; names that it defines: "
            f"{number_of(reply, 'names'):g}",
            unit="exceptions",
        ),
        otherwise="",
    )
