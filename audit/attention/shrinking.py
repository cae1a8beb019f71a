"""The smallest inputs on which a defect shows, and the script that shows it, tried in the target's process."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from audit.attention.reproducers.call import Unwritable, calling
from audit.attention.reproducers.relations import RELATIONS, SHARED
from audit.attention.reproducers.scripts import Script, script_of
from audit.attention.reproducers.settings import Relation
from audit.attention.subject import AttentionSubject
from audit.gateway import ProbeFailure, TargetRaised
from audit.plan import Run
from audit.report.text import one_line
from audit.results import Reproducer

SECONDS = 8.0  # for one relation; most take a tenth of a second, and a machine may be busy
_AREA = "attention."
_BRANCHES = "attention.branches"


def reproducer_of(
    subject: AttentionSubject, run: Run, checks: Sequence[str], *, file: str, is_class: bool
) -> Reproducer | str:
    """Return the smallest script that shows the failure of one of these checks, or why there is none.

    The scripts of a relation go from small inputs to larger ones, and the first that exits 1 is taken; so what is
    returned has been run, and failed.
    """
    try:
        lines = calling(subject, run.target, is_class=is_class)
    except Unwritable as why:
        return str(why)
    relations = list(_relations(subject, checks))
    if _BRANCHES in checks:
        return _of_branches(subject, run, file=file, is_class=is_class)
    if not relations:
        return f"no script is written for {', '.join(checks)} on a subject without an oracle"
    said = ""
    for relation in relations:
        scripts = [script_of(subject, relation, setting, lines, run.seed) for setting in relation.settings(subject)]
        if not scripts:
            continue
        found = _tried(_apart(run) if relation is SHARED else run, scripts, file)
        if isinstance(found, Reproducer):
            return found
        said = found or said
    return f"no script that was tried shows it on small inputs; the last one said: {_last(said)}"


def _of_branches(subject: AttentionSubject, run: Run, *, file: str, is_class: bool) -> Reproducer | str:
    """Return a script for a branch that differs from the plain one; its process has not imported the target before."""
    from audit.attention.reproducers.branches import branch_scripts  # which judges branches, as properties do

    if run.target.on_gpu:
        return "scripts run on a CPU, and this was seen on a GPU"
    fresh = _apart(run)
    said = "no branch differs from the plain one by itself"
    try:
        for name, scripts in branch_scripts(subject, run, is_class=is_class):
            found = _tried(fresh, scripts, file)
            if isinstance(found, Reproducer):
                return found
            said = f"{name}: {_last(found)}"
    except Unwritable as why:
        return str(why)
    return f"no script that was tried shows it on small inputs; the last one said: {said}"


def _apart(run: Run) -> Run:
    """Return a run whose scripts have a process of their own, that has not computed before."""
    return replace(run, probe=run.probe.beside("reproducers"))


def _last(said: str) -> str:
    return one_line(said.strip().splitlines()[-1]) if said.strip() else "it showed nothing"


def _relations(subject: AttentionSubject, checks: Sequence[str]) -> Iterator[Relation]:
    seen: list[Relation] = []
    for check in checks:
        for relation in RELATIONS.get(check.removeprefix(_AREA), ()):
            if relation not in seen and relation.applies(subject):
                seen.append(relation)
                yield relation


def _tried(run: Run, scripts: Sequence[Script], file: str) -> Reproducer | str:
    try:
        reply = run.probe.call(
            "attention_reproduce",
            scripts=[script.text for script in scripts],
            root=str(run.target.root),
            seconds=SECONDS,
        )
    except (ProbeFailure, TargetRaised) as failure:
        return str(failure)
    index, error, bound = reply.get("index"), reply.get("error"), reply.get("bound")
    if isinstance(index, int) and 0 <= index < len(scripts) and isinstance(error, float) and isinstance(bound, float):
        script = scripts[index]
        return Reproducer(
            file=file, script=script.text, case=script.case, measured=error, bound=bound, must_exceed=script.must_exceed
        )
    return str(reply.get("said", ""))
