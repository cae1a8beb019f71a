import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import UsageError
from audit.judgement import skipped
from audit.plan import Group, Plan, PlannedCheck, select
from audit.results import Check, Severity, Subject, SubjectKind

MakeCheck = Callable[..., Check]
CHAIN = ("smoke.build", "smoke.forward", "smoke.backward", "smoke.step")


def planned(check: str, subject: Subject, requires: tuple[str, ...] = ()) -> PlannedCheck:
    described = Check(id=check, title=check, proves="p", defect="d", severity=Severity.MAJOR)
    return PlannedCheck(check=described, subject=subject, judge=lambda run: skipped("never run"), requires=requires)


def chain(name: str) -> Group:
    """Four checks of one model, each of which needs the one before it."""
    subject = Subject(kind=SubjectKind.MODEL, spec=name)
    requires = ((), *((each,) for each in CHAIN[:-1]))
    checks = tuple(planned(check, subject, needs) for check, needs in zip(CHAIN, requires, strict=True))
    return Group(subject=subject, planned=checks)


PACKAGE = Subject(kind=SubjectKind.PACKAGE, module="zoo")
PLAN: Plan = (
    Group(subject=PACKAGE, planned=(planned("static.parses", PACKAGE), planned("static.models", PACKAGE))),
    chain("first"),
    chain("second"),
)


def keys(plan: Plan) -> list[tuple[str, str]]:
    return [(each.subject.name, each.check.id) for group in plan for each in group.planned]


def test_without_filters_the_plan_is_unchanged() -> None:
    assert select(PLAN) == PLAN


def test_an_area_selects_its_checks() -> None:
    assert keys(select(PLAN, only=["static"])) == [("zoo", "static.parses"), ("zoo", "static.models")]


def test_a_check_brings_along_what_it_needs_and_nothing_else() -> None:
    expected = [("first", "smoke.build"), ("first", "smoke.forward"), ("first", "smoke.backward")]
    assert keys(select(PLAN, only=["smoke.backward"], subjects=["first"])) == expected


def test_a_subject_selects_its_checks() -> None:
    assert keys(select(PLAN, subjects=["second"])) == [("second", check) for check in CHAIN]


def test_filters_of_one_kind_add_up() -> None:
    assert select(PLAN, subjects=["second", "first", "zoo"]) == PLAN
    assert select(PLAN, only=["static", "smoke"]) == PLAN


def test_every_selected_group_has_something_to_do() -> None:
    assert [group.subject.name for group in select(PLAN, only=["smoke.build"])] == ["first", "second"]


@pytest.mark.parametrize("wanted", ["", "*", "xyzzy"])
def test_a_name_that_is_not_a_check_or_area_is_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match=r"no such check or area; there are: smoke\.backward, smoke\.build"):
        select(PLAN, only=[wanted])


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        ("smok", "smoke"),
        ("smoke.", "smoke"),
        ("smoke.buil", "smoke.build"),
        ("smoke.build.more", "smoke.build"),
        ("SMOKE", "smoke"),
        ("smoke*", "smoke"),
        ("bakward", "smoke.backward"),
        ("modles", "static.models"),
    ],
)
def test_a_name_that_is_nearly_one_is_refused_with_the_nearest(wanted: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=rf"no such check or area; did you mean {re.escape(nearest)}\b"):
        select(PLAN, only=[wanted])


def test_a_check_may_be_named_without_its_area() -> None:
    assert select(PLAN, only=["parses"]) == select(PLAN, only=["static.parses"])
    assert select(PLAN, only=["backward", "static"]) == select(PLAN, only=["smoke.backward", "static"])


def test_a_name_without_an_area_means_the_checks_of_every_area_that_are_called_so() -> None:
    other = planned("attention.build", PACKAGE)
    plan = (*PLAN, Group(subject=PACKAGE, planned=(other,)))
    assert keys(select(plan, only=["build"])) == [
        ("first", "smoke.build"), ("second", "smoke.build"), ("zoo", "attention.build"),
    ]  # fmt: skip


@pytest.mark.parametrize("wanted", ["firs", "", "FIRST", "zoo.first"])
def test_a_subject_that_does_not_exist_is_refused_with_those_that_do(wanted: str) -> None:
    with pytest.raises(UsageError, match=r"no such subject; there are: first, second, zoo"):
        select(PLAN, subjects=[wanted])


def test_where_the_specs_are_not_known_a_refused_subject_comes_with_the_reason() -> None:
    with pytest.raises(UsageError) as refused:
        select(PLAN, subjects=["third"], undeclared="specs zoo.specs: import raised\n  SystemExit: 3")
    said = str(refused.value)
    assert "no such subject; there are: first, second, zoo; what the specs declare is not known: specs zoo" in said
    assert said.endswith("import raised SystemExit: 3")
    assert select(PLAN, subjects=["first"], undeclared="unread")


def test_one_unknown_name_among_known_ones_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--only smoke\.bild"):
        select(PLAN, only=["static", "smoke.bild"])
    with pytest.raises(UsageError, match="--subject third"):
        select(PLAN, subjects=["first", "third"])


def test_filters_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="--only and --subject together select no check"):
        select(PLAN, only=["static"], subjects=["first"])


@pytest.mark.parametrize("plan", [(), (Group(subject=PACKAGE, planned=()),)])
def test_an_empty_plan_is_refused(plan: Plan) -> None:
    with pytest.raises(UsageError, match=r"nothing to check|select no check"):
        select(plan)


def test_a_long_list_of_names_is_shortened() -> None:
    many = tuple(chain(f"model{index:02}") for index in range(20))
    with pytest.raises(UsageError, match=r"model11 and 8 more$"):
        select(many, subjects=["model99"])


FILTERS = st.lists(st.sampled_from(["static", "smoke", "static.parses", *CHAIN]), max_size=3)
SUBJECTS = st.lists(st.sampled_from(["zoo", "first", "second"]), max_size=2)


@given(FILTERS, SUBJECTS)
@settings(deadline=None)
def test_a_selection_is_a_part_of_the_plan_in_its_order_and_complete_in_itself(
    only: list[str], subjects: list[str]
) -> None:
    try:
        selected = select(PLAN, only=only, subjects=subjects)
    except UsageError:
        assert only
        assert subjects
        return
    chosen = keys(selected)
    assert chosen
    assert chosen == [key for key in keys(PLAN) if key in chosen]
    assert not subjects or {name for name, _ in chosen} <= set(subjects)
    for group in selected:
        have = {each.check.id for each in group.planned}
        assert all(need in have for each in group.planned for need in each.requires)
    named = {(name, check) for name, check in chosen if not only or any(_named(check, each) for each in only)}
    assert named == {
        (name, check)
        for name, check in keys(PLAN)
        if (not subjects or name in subjects) and (not only or any(_named(check, each) for each in only))
    }


def _named(check: str, wanted: str) -> bool:
    return check == wanted or check.partition(".")[0] == wanted


def test_the_key_tells_subjects_of_different_kinds_apart() -> None:
    model, attention = (Subject(kind=kind, spec="same") for kind in (SubjectKind.MODEL, SubjectKind.ATTENTION))
    assert planned("area.first", model).key != planned("area.first", attention).key
