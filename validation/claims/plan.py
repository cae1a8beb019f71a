"""Which claims are measured on a target."""

import functools
import time
from collections.abc import Sequence
from dataclasses import replace

from audit.claims import Accuracy, AnyClaim, FigureClaim, SpeedRatio
from audit.collected import Collected
from audit.errors import UsageError
from audit.execute import open_probe
from audit.gateway import ProbeFailure
from audit.judgement import Judgement, error, not_applicable, skipped
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.published import Unpublished, place_of
from audit.raised import describe_failure
from audit.report.document import Environment
from audit.results import Location, Subject, SubjectKind
from audit.subjects import package_subject
from audit.target import Target
from validation.claims.hardware import Missing, device_for
from validation.claims.reads import digest_of_reads

_DAY_S = 86_400.0  # the most that a claim may take
HOW_TO_DECLARE = "no claims are declared: write each as [[tool.astrobio-audit.claims]] in pyproject.toml"


def plan_claims(collected: Collected, *, slow: bool) -> Plan:
    """Plan one check for each declared claim.

    Raises:
        UsageError: none is declared.
    """
    claims = collected.target.settings.claims
    if not claims:
        raise UsageError(HOW_TO_DECLARE)
    return _planned(claims, collected, slow=slow)


def plan_released_claims(collected: Collected, *, slow: bool) -> Plan:
    """Plan the same as a part of a release, where a package need not claim anything of any kind."""
    from validation.claims.kinds import CHECKS, check_of

    claims = collected.target.settings.claims
    package = package_subject(collected)
    absent = sorted(set(CHECKS) - {check_of(claim) for claim in claims}, key=lambda check: check.id)

    def judge(run: Run) -> Judgement:
        return not_applicable("the package claims nothing of this kind in [[tool.astrobio-audit.claims]]")

    unclaimed = tuple(PlannedCheck(check=check, subject=package, judge=judge) for check in absent)
    return (
        *((Group(subject=package, planned=unclaimed),) if unclaimed else ()),
        *(_planned(claims, collected, slow=slow) if claims else ()),
    )


def _planned(claims: Sequence[AnyClaim], collected: Collected, *, slow: bool) -> Plan:
    if collected.probe is None:
        collected.probe = open_probe(collected.target)  # so that the report names what was measured on
    return tuple(_group(claim, collected, slow=slow) for claim in claims)


def _group(claim: AnyClaim, collected: Collected, *, slow: bool) -> Group:
    group = _measured(claim, collected, slow=slow)
    return replace(group, whole=_measured(claim, collected, slow=True)) if claim.slow and not slow else group


def _measured(claim: AnyClaim, collected: Collected, *, slow: bool) -> Group:
    # Loaded here: what measures needs torch, which the command line's help does not.
    from validation.claims.kinds import check_of

    place = _place(claim, collected.target)
    known = place if isinstance(place, Location) else None
    path = known.path if known else None
    subject = Subject(kind=SubjectKind.CLAIM, spec=claim.id, path=path, line=known.line if known else None)
    judge = functools.partial(_judge, claim, place, collected, slow)
    # What is skipped for being slow is repeated with the option that measures it.
    flags = ("--slow",) if claim.slow else ()
    planned = PlannedCheck(
        check=check_of(claim), subject=subject, judge=judge, gpus=claim.needs.least_gpus, flags=flags
    )
    # Speeds and memory are quickly measured, and are those of a machine at a time. What a command reads nobody sees.
    reads = claim.reads if isinstance(claim, FigureClaim) and claim.needs.device == "cpu" else None
    return Group(
        subject=subject,
        planned=(planned,),
        # A share of samples is the same however long it takes; any other figure may be one of speed.
        alone=not isinstance(claim, Accuracy),
        is_kept=reads is not None and (slow or not claim.slow),
        depends_on="" if reads is None else digest_of_reads(collected.target.root, reads),
    )


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
        return skipped(f"not run: slow, it may take {limit_s:g} s; `astrobio-audit claims --slow` measures it")
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
    try:
        return judge(measuring, claim)
    except ProbeFailure as failure:
        if not failure.timed_out:
            raise
        return _timed_out(claim, place, failure, run.target)


def _timed_out(claim: AnyClaim, place: Location, failure: ProbeFailure, target: Target) -> Judgement:
    """Say of a claim that took too long which key limits it; what the call was named is nothing to its owners."""
    limit_s = claim.timeout_s or target.settings.timeout_s
    origin = "its timeout_s" if claim.timeout_s else "timeout_s of [tool.astrobio-audit], for the claim has none"
    reason = f"timed out: measuring {claim.id!r} took longer than {limit_s:g} s, {origin}"
    known = ProbeFailure(reason, output_tail=failure.output_tail)
    fix = f"give the claim a larger timeout_s, as in `timeout_s = {min(10 * limit_s, _DAY_S):g}`"
    fix += ", and slow = true where that is too long for every run"
    if isinstance(claim, SpeedRatio):
        fix += f"; or fewer pairs than {claim.pairs}, or smaller inputs"
    return error(describe_failure(known, target), location=place, fix=fix)
