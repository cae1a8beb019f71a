"""Expressions in the words of a program; nested as deeply as only generated code is, they have none."""

import ast

import pytest

from audit.static.imports.expressions import expression
from audit.static.imports.program import Group, Opaque


def _expression(text: str) -> object:
    return expression(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize(
    "text", ["not " * 101 + "x", "x" + ".a" * 101, "(x\n" + ".a" * 101 + ")", "[" * 101 + "]" * 101, "x" + "()" * 101]
)
def test_what_is_nested_more_deeply_than_conditions_are_is_opaque(text: str) -> None:
    assert _expression(text) == Opaque()


@pytest.mark.parametrize(
    "text", ["not " * 90 + "x", "x" + ".a" * 90, "(x\n" + ".a" * 90 + ")", "[" * 90 + "]" * 90, "x" + "()" * 90]
)
def test_what_is_nested_less_deeply_has_a_word_of_its_own(text: str) -> None:
    assert not isinstance(_expression(text), Opaque)


def test_a_long_list_is_kept_and_a_dictionary_is_not() -> None:
    listed = _expression(f"[{', '.join(['1'] * 300)}]")
    assert isinstance(listed, Group)
    assert len(listed.parts) == 300
    assert _expression("{1: 2}") == Opaque()
