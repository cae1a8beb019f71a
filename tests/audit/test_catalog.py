from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from audit.catalog import Catalog, SpecEntry, Undeclared, judge_section, read_catalog
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.gateway.outcomes import RaisedAt
from audit.judgement import error
from audit.results import Outcome
from audit.target import Target

MakeTarget = Callable[..., Target]
ENTRY = {"problem": None, "class": "zoo.model:Model", "decodes": False}


class Answering:
    """A probe that gives one answer."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.calls: list[tuple[str, Mapping[str, object]]] = []

    def call(self, procedure: str, /, **arguments: object) -> object:
        self.calls.append((procedure, arguments))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def read(target: Target, answer: object) -> Catalog:
    return read_catalog(target, cast(Probe, Answering(answer)))


def undeclared(target: Target, answer: object) -> Undeclared:
    with pytest.raises(Undeclared) as raised:
        read(target, answer)
    return raised.value


@pytest.fixture
def target(make_target: MakeTarget, tmp_path: Path) -> Target:
    package = tmp_path / "project" / "zoo"
    package.mkdir(parents=True)
    (package / "specs.py").touch()
    return make_target('specs = "zoo.specs"')


def test_the_sections_are_read(target: Target) -> None:
    catalog = read(target, {"models": {"one": ENTRY}, "attention": {}, "path": "/x/specs.py"})
    assert catalog.models is not None
    assert catalog.models["one"].declared == "zoo.model:Model"
    assert catalog.attention == {}


def test_the_probe_is_asked_for_the_configured_module(target: Target) -> None:
    probe = Answering({})
    read_catalog(target, cast(Probe, probe))
    assert probe.calls == [("describe_specs", {"module": "zoo.specs"})]


def test_without_specs_the_probe_is_not_started_and_nothing_passes(make_target: MakeTarget) -> None:
    probe = Answering({"models": {"one": ENTRY}})
    with pytest.raises(Undeclared) as raised:
        read_catalog(make_target(), cast(Probe, probe))
    assert probe.calls == []
    assert raised.value.judgement.outcome is Outcome.ERROR
    assert "specs" in (raised.value.judgement.fix or "")


def test_a_probe_that_falls_silent_says_nothing_about_the_target(target: Target) -> None:
    judgement = undeclared(target, ProbeFailure("timed out", output_tail="loading")).judgement
    assert judgement.outcome is Outcome.ERROR
    assert judgement.reason == "specs zoo.specs: timed out; last output:\nloading"


def test_specs_that_raise_are_a_failure_at_their_line(target: Target) -> None:
    frames = (
        RaisedAt(path=str(target.root / "zoo" / "specs.py"), line=4),
        RaisedAt(path="/usr/lib/python3/json.py", line=9),
    )
    raised = TargetRaised(phase="import", type_name="NameError", message="no x", frames=frames, traceback="")
    judgement = undeclared(target, raised).judgement
    assert judgement.outcome is Outcome.FAILED
    assert judgement.reason == "specs zoo.specs: import raised NameError: no x"
    assert judgement.location is not None
    assert (judgement.location.path, judgement.location.line) == ("zoo/specs.py", 4)


def test_a_refused_allocation_is_no_failure_of_the_target(target: Target) -> None:
    raised = TargetRaised(phase="import", type_name="MemoryError", message="", frames=(), traceback="")
    assert undeclared(target, raised).judgement.outcome is Outcome.ERROR


@pytest.mark.parametrize(
    "reply",
    [
        {"models": []},
        {"models": {"one": None}},
        {"models": {"one": {}}},
        {"models": {"one": ENTRY | {"verdict": "passed"}}},
        {"models": {"one": ENTRY | {"decodes": "perhaps"}}},
        {"results": []},
        {"attention": {"one": ENTRY | {"contract": 3}}},
    ],
)
def test_a_reply_of_another_form_is_an_error(target: Target, reply: object) -> None:
    judgement = undeclared(target, reply).judgement
    assert judgement.outcome is Outcome.ERROR
    assert "unreadable reply" in (judgement.reason or "")


CATALOG = Catalog.model_validate({"models": {"one": ENTRY, "two": ENTRY}, "attention": {}})


def test_a_section_with_entries_passes_with_their_number() -> None:
    judgement = judge_section(CATALOG, "models", may_be_empty=False)
    assert judgement.outcome is Outcome.PASSED
    assert judgement.measured is not None
    assert judgement.measured.value == 2


@pytest.mark.parametrize(("may_be_empty", "outcome"), [(True, Outcome.NOT_APPLICABLE), (False, Outcome.FAILED)])
def test_an_empty_section_is_never_a_pass(may_be_empty: bool, outcome: Outcome) -> None:
    judgement = judge_section(CATALOG, "attention", may_be_empty=may_be_empty)
    assert judgement.outcome is outcome
    assert "ATTENTION is empty" in (judgement.reason or "")


@pytest.mark.parametrize("may_be_empty", [True, False])
def test_a_section_that_is_not_defined_is_an_error_even_where_it_may_be_empty(may_be_empty: bool) -> None:
    judgement = judge_section(Catalog(models={}), "attention", may_be_empty=may_be_empty)
    assert judgement.outcome is Outcome.ERROR
    assert judgement.reason == "the specs do not define ATTENTION"


def test_a_section_that_is_nearly_defined_is_told_with_its_name() -> None:
    judgement = judge_section(Catalog(models={}, misnamed={"attention": "ATENTION"}), "attention", may_be_empty=True)
    assert judgement.outcome is Outcome.ERROR
    assert judgement.reason == "the specs do not define ATTENTION; ATENTION is no section, did you mean ATTENTION?"


def test_a_section_with_an_entry_that_cannot_be_used_does_not_pass(target: Target) -> None:
    contract = {"num_hedas": 4, "num_kv_heads": 4, "head_dim": 8, "is_causal": True, "embed_dim": 32}
    good = {"num_heads": 4, "num_kv_heads": 4, "head_dim": 8, "is_causal": True, "embed_dim": 32}
    entries = {"good": ENTRY | {"contract": good}, "misspelt": ENTRY | {"contract": contract}}
    catalog = read(target, {"attention": entries, "models": {"one": ENTRY}})
    judgement = judge_section(catalog, "attention", may_be_empty=True)
    assert judgement.outcome is Outcome.ERROR
    said = "ATTENTION['misspelt']: contract: unknown key num_hedas (did you mean num_heads?)"
    assert judgement.reason == said
    assert judge_section(catalog, "models", may_be_empty=False).outcome is Outcome.PASSED
    right = read(target, {"attention": {"good": entries["good"]}})
    assert judge_section(right, "attention", may_be_empty=True).outcome is Outcome.PASSED


def test_of_many_unusable_entries_a_few_are_named_and_the_others_counted() -> None:
    bad = {"problem": "the entry lacks 'build'"}
    catalog = Catalog.model_validate({"models": {f"m{index}": bad for index in range(5)}})
    judgement = judge_section(catalog, "models", may_be_empty=False)
    assert (judgement.reason or "").endswith("MODELS['m2']: the entry lacks 'build'; 2 more")


@pytest.mark.parametrize("missing", ["zoo", "zoo.specs"])
def test_specs_that_are_not_there_are_an_error_and_no_failure_of_the_package(target: Target, missing: str) -> None:
    said = f"No module named {missing!r}"
    raised = TargetRaised(phase="import", type_name="ModuleNotFoundError", message=said, frames=(), traceback="")
    assert undeclared(target, raised).judgement.outcome is Outcome.ERROR


def test_specs_whose_file_is_there_and_is_not_found_are_hidden_by_another_package(target: Target) -> None:
    said = "No module named 'zoo.specs'"
    raised = TargetRaised(phase="import", type_name="ModuleNotFoundError", message=said, frames=(), traceback="")
    (target.source / "zoo").mkdir(exist_ok=True)
    (target.source / "zoo" / "specs.py").unlink(missing_ok=True)
    assert undeclared(target, raised).judgement.fix is None
    (target.source / "zoo" / "specs.py").touch()
    assert (undeclared(target, raised).judgement.fix or "").startswith("rename zoo: another module of its name, in the")


def test_a_module_that_the_specs_need_and_that_is_not_there_is_their_failure(target: Target) -> None:
    said = "No module named 'zoo.specs_of_others'"
    raised = TargetRaised(phase="import", type_name="ModuleNotFoundError", message=said, frames=(), traceback="")
    assert undeclared(target, raised).judgement.outcome is Outcome.FAILED


@pytest.mark.parametrize("may_be_empty", [True, False])
def test_an_unknown_catalogue_is_judged_by_why_it_is_unknown(may_be_empty: bool) -> None:
    why = error("crashed")
    assert judge_section(Undeclared(why), "models", may_be_empty=may_be_empty) is why


def test_an_entry_is_declared_by_class_or_function() -> None:
    by_class = SpecEntry.model_validate({"problem": None, "class": "a:B"})
    by_function = SpecEntry.model_validate({"problem": None, "function": "a:b"})
    neither = SpecEntry.model_validate({"problem": "neither class nor function"})
    assert (by_class.declared, by_function.declared, neither.declared) == ("a:B", "a:b", None)
