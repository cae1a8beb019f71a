"""Every module of the package can be imported."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="smoke.import",
    title="The module can be imported",
    proves="The target's interpreter imports the module.",
    defect="an import of a name that does not exist",
    severity=Severity.CRITICAL,
)


def judge(module: str, run: Run) -> Judgement:
    """Import one module in the target's interpreter."""
    try:
        run.probe.call_unharmed("import_module", name=module)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("import",))
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
