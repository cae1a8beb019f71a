import json
from collections.abc import Callable
from typing import Any

import pytest

from audit.parts.document import PlanDocument
from audit.parts.replies import MAX_REPLY_BYTES, BadReply, GroupReply, read_group
from audit.results import Subject

MakePlan = Callable[..., PlanDocument]
GROUP = "model:model_0"


def result(check: str = "area.check_0", model: str = "model_0", **changes: Any) -> dict[str, Any]:
    evidence = {"measured": 0, "bound": 0, "comparison": "==", "bound_origin": "counted"}
    subject = {"kind": "model", "spec": model}
    return {
        "check": check,
        "outcome": "passed",
        "severity": "critical",
        "subject": subject,
        "evidence": evidence,
    } | changes


def reply() -> dict[str, Any]:
    return {"group": GROUP, "results": [result(), result("area.check_1")], "defects": []}


def read(content: object, make_plan: MakePlan) -> GroupReply:
    return read_group(content, make_plan([(2, 0), (1, 0)]), GROUP)


def test_an_honest_reply_is_read(make_plan: MakePlan) -> None:
    assert len(read(json.dumps(reply()), make_plan).results) == 2


def test_a_digest_that_is_known_when_it_is_judged_alone_is_taken(make_plan: MakePlan) -> None:
    plan = make_plan([(2, 0), (1, 0)])
    weights = {"kind": "file", "path": "weights/a.pt"}
    unread = Subject.model_validate(weights)
    of_files = tuple(
        each.model_copy(update={"subject": unread}) if each.group == GROUP else each for each in plan.instances
    )
    plan = plan.model_copy(update={"instances": of_files})
    seen = weights | {"digest": "sha256:" + 64 * "0"}
    content = reply() | {"results": [result(subject=seen), result("area.check_1", subject=seen)]}
    found = read_group(json.dumps(content), plan, GROUP)
    assert {each.subject.digest for each in found.results} == {seen["digest"]}


def test_a_failure_in_a_file_stands_for_the_subject_of_the_check(make_plan: MakePlan) -> None:
    found = result(outcome="failed", reason="r", evidence={}, subject={"kind": "file", "path": "zoo/model.py"})
    content = reply() | {"results": [found, found, result("area.check_1")]}
    assert len(read(json.dumps(content), make_plan).results) == 3


LIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a group that was not asked for": (lambda d: d.update(group="model:model_1"), "was not asked for"),
    "a check that was not asked for": (lambda d: d["results"].append(result("area.check_9")), "not asked for"),
    "a subject of another group": (lambda d: d["results"].append(result(model="model_1")), "not asked for"),
    "a check left out": (lambda d: d["results"].pop(), "no result for area.check_1 on model_0"),
    "nothing": (lambda d: d.update(results=[]), "no result for area.check_0"),
    "a milder severity": (lambda d: d["results"][0].update(severity="minor"), "another severity"),
    "a toy in the model's place": (lambda d: d["results"][0]["subject"].update(digest="sha256:0"), "source is not"),
    "a failure set apart": (
        lambda d: d["results"][0].update(outcome="failed", reason="r", evidence={}, set_apart="was there"),
        "set apart",
    ),
    "a pass without evidence": (lambda d: d["results"][0].update(evidence={}), "a pass needs evidence"),
    "a pass that its numbers contradict": (lambda d: d["results"][0]["evidence"].update(measured=1), "contradicts"),
    "a machine of its own": (lambda d: d["results"][0]["evidence"].update(machine="m"), "machine of its own"),
    "a defect that is not listed": (
        lambda d: d["results"][0].update(outcome="failed", reason="r", evidence={}, defect={"id": "x", "how": "y"}),
        "other defects",
    ),
    "a key that there is not": (lambda d: d.update(verdict="ready"), "verdict"),
    "a control character in a key": (lambda d: d.update({"\x1b[2J": 1}), ""),
}


@pytest.mark.parametrize(("lie", "told"), LIES.values(), ids=LIES.keys())
def test_a_reply_that_deceives_is_refused_in_one_plain_line(
    lie: Callable[[dict[str, Any]], object], told: str, make_plan: MakePlan
) -> None:
    content = reply()
    lie(content)
    with pytest.raises(BadReply) as refused:
        read(json.dumps(content), make_plan)
    assert told in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("content", [None, b"{}", 3, {}, "", "nonsense", "[" * 100_000, " " * (MAX_REPLY_BYTES + 1)])
def test_what_is_no_reply_is_refused(content: object, make_plan: MakePlan) -> None:
    with pytest.raises(BadReply):
        read(content, make_plan)
