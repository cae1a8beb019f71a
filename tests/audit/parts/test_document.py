import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import audit.parts
from audit.errors import UsageError
from audit.parts import document
from audit.parts.document import PLAN_VERSION, PlanDocument, digest_of, plan_json, plan_schema_json, read_plan
from audit.parts.making import plan_of, refuse_another
from audit.target import Target

MakePlan = Callable[..., PlanDocument]
PUBLISHED = Path(audit.parts.__file__).with_name("schema.json")


def test_the_published_schema_is_the_one_that_the_model_gives(make_plan: MakePlan) -> None:
    assert PUBLISHED.read_text() == plan_schema_json()
    schema = json.loads(PUBLISHED.read_text())
    assert schema["title"] == f"astrobio-audit plan {PLAN_VERSION}"
    jsonschema.Draft202012Validator(schema).validate(json.loads(plan_json(make_plan())))


def test_a_plan_comes_back_as_it_was_written(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan([(2, 0), (1, 1), (1, 4)])
    (tmp_path / "plan.json").write_text(plan_json(plan))
    assert read_plan(tmp_path / "plan.json") == plan
    assert [plan.gpus(group) for group in plan.groups] == [0, 1, 4]


def signed(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"digest": digest_of({key: value for key, value in content.items() if key != "digest"})}


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another commit": (lambda d: d["planned_from"].update(commit="1" * 40), "digest is not that of the content"),
    "one check less": (lambda d: d["instances"].pop(), ""),
    "no check": (lambda d: d.update(instances=[]), "instances"),
    "an unknown key": (lambda d: d.update(approved=True), "approved"),
    "another version": (lambda d: d.update(schema_version="9"), "schema_version"),
    "words that are no need": (lambda d: d["instances"][0].update(needs="tpu"), "needs"),
}


@pytest.mark.parametrize(("edit", "told"), EDITS.values(), ids=EDITS.keys())
def test_an_edited_plan_is_refused_in_one_line(
    edit: Callable[[dict[str, Any]], object], told: str, make_plan: MakePlan, tmp_path: Path
) -> None:
    content = json.loads(plan_json(make_plan()))
    edit(content)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as refused:
        read_plan(path)
    assert str(refused.value).startswith(f"{path}: not a valid plan: ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


SIGNED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a check that no instance has": (
        lambda d: d["checks"].append(d["checks"][0] | {"id": "area.other"}),
        "are not those of the instances",
    ),
    "one instance twice": (lambda d: d["instances"].append(d["instances"][-1]), "one check and one subject"),
    "a group that is torn apart": (
        lambda d: d["instances"].insert(0, d["instances"].pop(1) | {"group": d["instances"][1]["group"]}),
        "do not follow one another",
    ),
}


@pytest.mark.parametrize(("edit", "told"), SIGNED.values(), ids=SIGNED.keys())
def test_a_plan_that_contradicts_itself_is_refused_whoever_signed_it(
    edit: Callable[[dict[str, Any]], object], told: str, make_plan: MakePlan
) -> None:
    content = json.loads(plan_json(make_plan([(2, 0), (2, 0)])))
    edit(content)
    with pytest.raises(ValueError, match=told):
        PlanDocument.model_validate(signed(content))


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_what_is_no_plan_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "no_plan.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a valid plan"):
        read_plan(path)


def test_a_plan_that_is_too_large_to_be_read_is_not_written_either(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, path = make_plan([(2, 0)]), tmp_path / "plan.json"
    path.write_text(plan_json(plan))
    monkeypatch.setattr(document, "_MAX_BYTES", path.stat().st_size)
    assert read_plan(path) == plan
    monkeypatch.setattr(document, "_MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(UsageError, match="the most that is read of a plan"):
        read_plan(path)
    with pytest.raises(UsageError, match=r"the plan has 2 checks, more than .* that are read of one"):
        plan_json(plan)


def test_a_plan_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json", Path("a\0b")):
        with pytest.raises(UsageError, match="cannot be read"):
            read_plan(path)


def test_the_same_target_has_the_same_plan_and_a_changed_one_another(
    committed: Callable[..., Target], cheap: ModuleType
) -> None:
    target = committed()

    def plan() -> PlanDocument:
        return plan_of(target, [cheap.plan], command="smoke", release=True)

    written = plan()
    refuse_another(written, plan())
    (target.source / "zoo" / "more.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="whether files differ from the commit was no and is yes"):
        refuse_another(written, plan())
    git = ["git", "-C", str(target.root), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "second"], check=True)
    commit = written.planned_from.commit
    with pytest.raises(UsageError, match=rf"the commit was {commit} and is .*make the plan again"):
        refuse_another(written, plan())


def test_other_checks_are_named(committed: Callable[..., Target], cheap: ModuleType) -> None:
    target = committed()
    written = plan_of(target, [cheap.plan], command="smoke", release=True)
    fewer = plan_of(target, [lambda collected: cheap.plan(collected)[1:]], command="smoke", release=True)
    with pytest.raises(UsageError, match=r"no longer planned: smoke\.first on model_0 and 1 more"):
        refuse_another(written, fewer)
