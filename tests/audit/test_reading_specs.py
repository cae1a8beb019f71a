"""Reading the specs: what the probe answers, and which entries cannot be used."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from audit.catalog import Catalog, Undeclared, judge_section
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.gateway.outcomes import RaisedAt
from audit.reading_specs import read_catalog
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


DOTTED = """
import torch

MODELS: dict[str, dict[str, object]] = {
    "full": {"loss": lambda output, inputs: output[..., :2].sum() + output[(..., 0)].sum()},
    "begun": {
        "build": lambda: Net(width=...),
    },
}
TRAINING = {"begun": {"batches": lambda seed, start: lambda step: ...}}
DATA = dict(other={"build": lambda: Points(...)})
DATA["shaped"] = {"build": lambda: torch.randint(9, (3, ...)), "item": lambda x: Pattern((..., 1))[0]}
DATA |= {"patterned": {"build": lambda: Pattern((..., 1), torch.einsum(x, [..., 0])), "item": stub}}
ENTRY = {"build": lambda: Points(...)}
if torch:
    DATA.update({"constant": ENTRY}, named={"build": make})
def stub(x: tuple[int, ...], *, y: object = None): ...
def make(size=...): return Points(size)
"""


def test_an_entry_with_dots_left_in_is_an_error_that_names_the_line(target: Target) -> None:
    (target.source / "zoo" / "specs.py").write_text(DOTTED)
    reply = {
        "models": {"full": ENTRY, "begun": ENTRY},
        "training": {"begun": {"problem": None, "class": "zoo.model:Model"}},
        "data": dict.fromkeys(("other", "shaped", "patterned", "constant", "named"), ENTRY),
    }
    catalog = read(target, reply)
    assert catalog.models
    assert catalog.training
    assert catalog.data
    assert catalog.models["full"].problem is None
    assert catalog.models["begun"].problem == "fill in the dots (`...`) at line 7 of the specs"
    assert catalog.training["begun"].problem == "fill in the dots (`...`) at line 10 of the specs"
    lines = {name: (entry.problem or "").rpartition(" at line ")[2] for name, entry in catalog.data.items()}
    of_data = ("11", "12", "", "14", "18")
    assert list(lines) == ["other", "shaped", "patterned", "constant", "named"]
    assert [each.removesuffix(" of the specs") for each in lines.values()] == list(of_data)


def test_a_problem_that_the_probe_tells_comes_before_dots(target: Target) -> None:
    (target.source / "zoo" / "specs.py").write_text(DOTTED)
    catalog = read(target, {"models": {"begun": {"problem": "the entry lacks 'class'"}}})
    assert catalog.models
    assert catalog.models["begun"].problem == "the entry lacks 'class' (line 6)"


def test_specs_that_are_a_package_are_read_too(target: Target) -> None:
    (target.source / "zoo" / "specs.py").unlink()
    (target.source / "zoo" / "specs").mkdir()
    (target.source / "zoo" / "specs" / "__init__.py").write_text(DOTTED)
    catalog = read(target, {"models": {"begun": ENTRY}})
    assert catalog.models
    assert "line 7" in (catalog.models["begun"].problem or "")


def test_a_section_that_is_no_dict_is_an_error_at_its_line(target: Target) -> None:
    (target.root / "zoo" / "specs.py").write_text("import torch\n\nMODELS = 3\n")
    said = "MODELS must be a dict of entries by name, not int"
    raised = TargetRaised(phase="call", type_name="TypeError", message=said, frames=(), traceback="")
    judgement = undeclared(target, raised).judgement
    assert judgement.outcome is Outcome.ERROR
    assert judgement.location is not None
    assert (judgement.location.path, judgement.location.line) == ("zoo/specs.py", 3)


def test_an_entry_that_cannot_be_used_names_its_line(target: Target) -> None:
    specs = 'import torch\n\nMODELS = {\n    "one": {},\n}\nMODELS["two"] = {}\n'
    (target.root / "zoo" / "specs.py").write_text(specs)
    broken = {"problem": "'build' is missing", "class": "zoo.model:Model", "decodes": False}
    models = read(target, {"models": {"one": broken, "two": broken, "three": broken}}).models
    assert models is not None
    assert {name: entry.problem for name, entry in models.items()} == {
        "one": "'build' is missing (line 4)",
        "two": "'build' is missing (line 6)",
        "three": "'build' is missing",
    }
