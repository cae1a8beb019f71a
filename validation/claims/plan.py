"""Which claims are measured on a target."""

import functools
import time

from audit.claims import AnyClaim
from audit.errors import UsageError
from audit.execute import open_probe
from audit.judgement import Judgement, error, skipped
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.report.document import Environment
from audit.results import Location, Subject, SubjectKind
from audit.session import Collected
from audit.target import Target
from validation.claims.hardware import Missing, device_for
from validation.claims.published import Unpublished, place_of

HOW_TO_DECLARE = "no claims are declared: write each as [[tool.astrobio-audit.claims]] in pyproject.toml"


def plan_claims(collected: Collected, *, slow: bool) -> Plan:
    """Plan one check for each declared claim.

    Raises:
        UsageError: none is declared.
    """
    claims = collected.target.settings.claims
    if not claims:
        raise UsageError(HOW_TO_DECLARE)
    if collected.probe is None:
        collected.probe = open_probe(collected.target)  # so that the report names what was measured on
    return tuple(_group(claim, collected, slow=slow) for claim in claims)


def _group(claim: AnyClaim, collected: Collected, *, slow: bool) -> Group:
    # Loaded here: what measures needs torch, which the command line's help does not.
    from validation.claims.kinds import check_of

    place = _place(claim, collected.target)
    known = place if isinstance(place, Location) else None
    path = known.path if known else None
    subject = Subject(kind=SubjectKind.CLAIM, spec=claim.id, path=path, line=known.line if known else None)
    judge = functools.partial(_judge, claim, place, collected, slow)
    return Group(subject=subject, planned=(PlannedCheck(check=check_of(claim), subject=subject, judge=judge),))


def _place(claim: AnyClaim, target: Target) -> Location | str:
    try:
        return place_of(claim.published, target)
    except Unpublished as unpublished:
        return str(unpublished)


def _judge(claim: AnyClaim, place: Location | str, collected: Collected, slow: bool, run: Run) -> Judgement:
    from validation.claims.call import Measuring
    from validation.claims.kinds import judge

    if isinstance(place, str):
        return error(place, fix="publish what is claimed, or claim what is published")
    limit_s = claim.timeout_s or run.target.settings.timeout_s
    if claim.slow and not slow:
        return skipped(f"slow: it may take {limit_s:g} s; give --slow to measure it")
    environment: Environment | None = collected.environment
    if environment is None:
        return error(
            "the target's interpreter does not tell what it has, so it is not known whether it has what it needs"
        )
    try:
        device = device_for(claim.needs, environment)
    except Missing as missing:
        return skipped(f"needs {missing}")
    deadline = time.monotonic() + limit_s
    measuring = Measuring(claim=claim, run=run, device=device, place=place, deadline=deadline, limit_s=limit_s)
    return judge(measuring, claim)
