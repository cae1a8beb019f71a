"""Arguments are added and removed so that comments, layout and trailing commas stay."""

import ast

import pytest

from audit.static.fixes.arguments import arguments_of, find, with_first, with_keyword, without
from audit.static.fixes.edits import applied
from audit.static.fixes.source import SourceText


def call_in(text: str) -> tuple[ast.Call, SourceText]:
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    return statement.value, SourceText(text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f()", "f(k=1)"),
        ("f(a)", "f(a, k=1)"),
        ("f(a,)", "f(a, k=1,)"),
        ("f((a))", "f((a), k=1)"),
        ("(f)(a)", "(f)(a, k=1)"),
        ("f( # why\n)", "f(k=1 # why\n)"),
        ("f(a  # the first\n)", "f(a, k=1  # the first\n)"),
        ("f(\n    a,  # the first\n)", "f(\n    a,  # the first\n    k=1,\n)"),
        ("f(\r\n\ta,\r\n)", "f(\r\n\ta,\r\n\tk=1,\r\n)"),
        ("f(*a, **b)", "f(*a, **b, k=1)"),
        ("f(a, b=(yield_),)", "f(a, b=(yield_), k=1,)"),
        ("f((x for x in y))", None),
        ("f(x for x in y)", None),
        ("f('é', \"ü\")", "f('é', \"ü\", k=1)"),
        ("f(a, b\\\n)", "f(a, b, k=1\\\n)"),
    ],
)
def test_a_keyword_is_added_last(before: str, after: str | None) -> None:
    call, source = call_in(before)
    edits = with_keyword(call, "k", "1", source)
    if before == "f((x for x in y))":  # its own parentheses: the generator is one argument of several now
        after = "f((x for x in y), k=1)"
    assert (applied(before, edits) if edits is not None else None) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f()", "f(k)"),
        ("f(a, b)", "f(k, a, b)"),
        ("f((a), b)", "f(k, (a), b)"),
        ("f(\n    a,\n    b,\n)", "f(\n    k,\n    a,\n    b,\n)"),
        ("f(\n    a, b\n)", "f(\n    k, a, b\n)"),
        ("f(x=1)", "f(k, x=1)"),
    ],
)
def test_an_argument_is_added_first(before: str, after: str) -> None:
    call, source = call_in(before)
    edits = with_first(call, "k", source)
    assert edits is not None
    assert applied(before, edits) == after


@pytest.mark.parametrize(
    ("before", "names", "after"),
    [
        ("f(k=1)", "k", "f()"),
        ("f(k=1,)", "k", "f()"),
        ("f(a, k=1)", "k", "f(a)"),
        ("f(k=1, a=2)", "k", "f(a=2)"),
        ("f(a, k=1, b=2)", "k", "f(a, b=2)"),
        ("f(a, k=(1), j=2)", "kj", "f(a)"),
        ("f(k=1, j=2, b=3)", "kj", "f(b=3)"),
        ("f(j=2, b=3, k=1,)", "kj", "f(b=3,)"),
        ("f(\n    a,\n    k=1,\n)", "k", "f(\n    a,\n)"),
        ("f(\n    a,  # first\n    k=1,\n)", "k", None),
    ],
)
def test_arguments_are_removed_unless_a_comment_would_go_too(before: str, names: str, after: str | None) -> None:
    call, source = call_in(before)
    arguments = arguments_of(call, source)
    assert arguments is not None
    edits = without(call, [each for each in arguments if each.name in tuple(names)], source)
    assert (applied(before, edits) if edits is not None else None) == after


def test_arguments_are_told_with_their_parentheses_and_commas() -> None:
    text = "f(*a, ( b ) , k = ((c)) # why\n)"
    call, source = call_in(text)
    arguments = arguments_of(call, source)
    assert arguments is not None
    assert [(each.name, each.text(source), each.comma is not None) for each in arguments] == [
        (None, "*a", True),
        (None, "( b )", True),
        ("k", "((c))", False),
    ]
    assert find(arguments, "b", 1) is None  # `*a` may be any number of them
    assert find(arguments, "k", 0) is arguments[2]
