"""The specs declare at least one model."""

from audit.catalog import Catalog, Undeclared, judge_section
from audit.judgement import Judgement
from audit.results import Check, Severity

CHECK = Check(
    id="smoke.declared",
    title="The specs declare the package's models",
    proves="The specs can be imported and declare at least one model to build.",
    defect="specs with an empty MODELS",
    severity=Severity.MAJOR,
)


def judge(catalog: Catalog | Undeclared) -> Judgement:
    """Judge what the specs declare."""
    return judge_section(catalog, "models", may_be_empty=False)
