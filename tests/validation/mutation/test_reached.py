"""A statement that is run raises; what is written is still a program, or nothing is written."""

from textwrap import dedent

import pytest

from validation.mutation.reached import refusing

TEXT = dedent('''
    """A module."""
    SIZE = 3

    def choose(x):
        if x > 1: y = 2; z = 3
        elif x > 0:
            y = (x +
                 1)
        else:
            y = 0
        return y

    class Holder:
        @property
        def size(self):
            return SIZE
''').lstrip()
LINES = {text.strip(): number for number, text in enumerate(TEXT.splitlines(), start=1)}


def run(text: str, x: float) -> str | float:
    names: dict[str, object] = {}
    try:
        exec(compile(text, "module", "exec"), names)
        return names["choose"](x)  # type: ignore[operator,no-any-return]
    except BaseException as raised:
        return str(raised)


@pytest.mark.parametrize(
    ("line", "reached", "missed"),
    [("y = (x +", 0.5, 2.0), ("1)", 0.5, -1.0), ("y = 0", -1.0, 0.5)],
)
def test_a_statement_raises_where_it_is_run_and_nowhere_else(line: str, reached: float, missed: float) -> None:
    text = refusing(TEXT, LINES[line])
    assert text is not None
    assert run(text, reached) == "this statement is run"
    assert run(text, missed) == run(TEXT, missed)


@pytest.mark.parametrize("line", ["return y", "if x > 1: y = 2; z = 3"])
def test_what_every_call_runs_raises_in_every_call(line: str) -> None:
    text = refusing(TEXT, LINES[line])
    assert text is not None
    assert {run(text, x) for x in (-1.0, 0.5, 2.0)} == {"this statement is run"}


@pytest.mark.parametrize("line", ["SIZE = 3", "elif x > 0:", "class Holder:"])
def test_where_nothing_can_stand_in_front_nothing_is_said(line: str) -> None:
    assert refusing(TEXT, LINES[line]) is None


def test_a_statement_of_a_method_is_found_below_its_decorator() -> None:
    text = refusing(TEXT, LINES["return SIZE"])
    assert text is not None
    assert "        raise BaseException('this statement is run')\n        return SIZE" in text
