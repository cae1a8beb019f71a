"""Plain data, phases and the reading of specs."""

import enum
import sys
import types
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
from execnet.gateway_base import dumps_internal, loads_internal
from hypothesis import given
from hypothesis import strategies as st

from audit.probe import phases, specs
from audit.probe.phases import phase
from audit.probe.plain import NotPlain, plain, said_by

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**31), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS | st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(TEXTS, inner), max_leaves=20
)


class Number(int):
    pass


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Colour(enum.StrEnum):
    RED = "red"


Pair = namedtuple("Pair", "first second")


@given(VALUES)
def test_plain_data_is_copied_as_it_is_and_can_be_sent(value: object) -> None:
    copied = plain(value)
    assert copied == value
    assert loads_internal(dumps_internal(copied)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Number(7), 7),
        (Text("text"), "text"),
        (Colour.RED, "red"),
        (Pair(1, [Number(2)]), (1, [2])),
        (OrderedDict(a=Number(1)), {"a": 1}),
        ({1: 2}, {"1": 2}),
        ([True, None], [True, None]),
    ],
    ids=repr,
)
def test_subclasses_become_the_builtin_types(value: object, expected: object) -> None:
    copied = plain(value)
    assert copied == expected
    assert type(copied) is type(expected)
    assert loads_internal(dumps_internal(copied)) == expected


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, print, int, 1j, range(3), iter([])], ids=lambda v: type(v).__name__
)
def test_what_has_no_plain_form_is_named(value: object) -> None:
    with pytest.raises(NotPlain, match=rf"^reply\['deep'\]\[1\] must be plain data, not {type(value).__name__}$"):
        plain({"deep": [1, value]}, "reply")


@pytest.mark.parametrize("value", [-(2**31) - 1, 2**63, 10**5000], ids=["small", "large", "huge"])
def test_a_number_that_cannot_be_sent_is_refused(value: int) -> None:
    with pytest.raises(NotPlain, match=r"^reply\[0\] must be a whole number from -2\*\*31 to 2\*\*63 - 1$"):
        plain([value], "reply")


def test_text_that_is_no_unicode_can_still_be_sent() -> None:
    """File names that are not UTF-8 reach Python as lone surrogates, and exceptions quote them."""
    sent = loads_internal(dumps_internal(plain({"bad \udcff key": ["bad \udcff value"]})))
    key = next(iter(sent))
    assert key.startswith("bad ")
    assert sent[key][0].endswith(" value")


def test_an_exception_keeps_the_phase_it_left_and_a_phase_that_ends_gives_it_back() -> None:
    phases.reset()
    assert phases.current() == "call"
    with phase("build"):
        with phase("import"):
            assert phases.current() == "import"
        assert phases.current() == "build"
    assert phases.current() == "call"
    with pytest.raises(KeyError), phase("build"), phase("forward"):
        raise KeyError
    assert phases.current() == "forward"
    phases.reset()
    assert phases.current() == "call"


@pytest.fixture
def specs_module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("specs_of_this_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def usable(**changes: Any) -> dict[str, Any]:
    entry = {"class": "a:B", "build": object, "inputs": dict, "loss": sum}
    return {key: value for key, value in (entry | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (7, "the entry must be a dict, not int"),
        ([], "the entry must be a dict, not list"),
        ({}, "the entry lacks 'class', 'build', 'inputs', 'loss'"),
        (usable(loss=...), "the entry lacks 'loss'"),
        (usable(build=3, loss="x"), "'build', 'loss' must be callable"),
        (usable(), None),
    ],
)
def test_an_entry_that_cannot_be_used_says_why(specs_module: Any, entry: object, problem: str | None) -> None:
    specs_module.MODELS = {"model": entry}
    described: Any = specs.describe(specs_module.__name__)
    assert described["models"]["model"]["problem"] == problem
    assert described["attention"] is None


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({}, "the entry lacks 'forward', 'contract', 'class', 'build'"),
        ({"function": "a:f"}, "the entry lacks 'forward', 'contract'"),
        ({"function": "a:f", "forward": print, "contract": {"x": {1, 2}}}, "contract['x'] must be plain data, not set"),
        ({"function": "a:f", "forward": print, "contract": {"x": (1, 2)}}, None),
        ({"function": "a:f", "forward": print, "contract": {}, "decode": 1}, "'decode' must be callable"),
    ],
)
def test_an_attention_entry_that_cannot_be_used_says_why(specs_module: Any, entry: object, problem: str | None) -> None:
    specs_module.ATTENTION = {"attention": entry}
    described: Any = specs.describe(specs_module.__name__)
    assert described["attention"]["attention"]["problem"] == problem


@pytest.mark.parametrize("section", ["MODELS", "ATTENTION"])
@pytest.mark.parametrize("value", [7, [], "text"], ids=repr)
def test_a_section_of_another_type_is_an_error(specs_module: Any, section: str, value: object) -> None:
    setattr(specs_module, section, value)
    with pytest.raises(TypeError, match=rf"^{section} must be a dict of entries by name, not {type(value).__name__}$"):
        specs.describe(specs_module.__name__)


def test_what_is_not_there_is_an_error_and_no_silence(specs_module: Any) -> None:
    specs_module.MODELS = {}
    with pytest.raises(KeyError, match="absent"):
        specs.entry(specs_module.__name__, "MODELS", "absent")
    with pytest.raises(AttributeError, match="ATTENTION"):
        specs.entry(specs_module.__name__, "ATTENTION", "absent")
    with pytest.raises(ModuleNotFoundError):
        specs.describe("specs_that_nobody_wrote")


def test_what_an_exception_says_is_cut_and_may_raise_itself() -> None:
    class Unsayable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert said_by(ValueError("a" * 400)) == "ValueError: " + "a" * 300
    assert said_by(Unsayable()) == "Unsayable: (its message could not be read: RuntimeError)"
