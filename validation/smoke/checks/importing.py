"""Every module of the package can be imported."""

from pathlib import Path

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="smoke.import",
    title="The module can be imported",
    proves="The target's interpreter imports the module, and from this file.",
    defect="an import of a name that does not exist",
    severity=Severity.CRITICAL,
)


def judge(module: str, path: str, run: Run) -> Judgement:
    """Import one module in the target's interpreter; `path` is its file relative to the target's root."""
    try:
        reply = run.probe.call_unharmed("import_module", name=module)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("import",))
    found = reply.get("path")
    elsewhere = isinstance(found, str) and Path(found).resolve() != (run.target.root / path).resolve()
    if elsewhere or reply.get("built_in"):
        return failed(
            f"importing {module} gives {_shown(found, run)} and not this file",
            fix="rename the module: another of its name is found first",
        )
    return judged(
        Measured(
            value=0,
            bound=0,
            comparison=Comparison.EQUAL,
            origin="an import that raises makes everything in the module unusable",
            unit="exceptions",
        ),
        otherwise="",
    )


def _shown(found: object, run: Run) -> str:
    if not isinstance(found, str):
        return "a module of the interpreter"
    return run.target.relative(found) or Path(found).name
