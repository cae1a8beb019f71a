"""Every module of the package can be imported."""

import sys
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
            f"importing {module} gives {_shown(found, run)} and not this file{_whose(module, found, run)}",
            fix=f"rename {module.partition('.')[0]}: another module of its name is found first",
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
    return run.target.relative(found) or found


def _whose(module: str, found: object, run: Run) -> str:
    """Return to whom the name belongs that another file is found under; empty where that lies in the target too."""
    if isinstance(found, str) and run.target.relative(found) and "site-packages" not in Path(found).parts:
        return ""
    name = module.partition(".")[0]
    if name in sys.stdlib_module_names:  # of the auditor's Python, and hardly others than of the target's
        return f": Python's standard library has a module {name}"
    return f": an installed package is called {name} too"
