"""A read that is reported as unbound raises whenever it runs, in whatever program."""

import ast
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.static.rules.bindings import reads_before_binding, stored_names
from audit.static.tree import TreeIndex

NAMES = st.sampled_from(["a", "b", "c"])
CONDITIONS = st.sampled_from(["next(bits)", "a", "(b := next(bits))", "not c"])


def joined(blocks: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(blocks))


def indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def compound(blocks: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    """Statements that hold others: every form in which a binding may or may not have run."""
    return st.one_of(
        st.builds(lambda test, one: [f"if {test}:", *indented(one)], CONDITIONS, blocks),
        st.builds(
            lambda test, one, two: [f"if {test}:", *indented(one), "else:", *indented(two)], CONDITIONS, blocks, blocks
        ),
        st.builds(lambda name, one: [f"for {name} in range(3):", *indented(one)], NAMES, blocks),
        st.builds(
            lambda one, name, two: ["try:", *indented(one), f"except ZeroDivisionError as {name}:", *indented(two)],
            blocks,
            NAMES,
            blocks,
        ),
        st.builds(
            lambda one, two, three: [
                "try:",
                *indented(one),
                "except ZeroDivisionError:",
                *indented(two),
                "else:",
                *indented(three),
            ],
            blocks,
            blocks,
            blocks,
        ),
        st.builds(lambda one, two: ["try:", *indented(one), "finally:", *indented(two)], blocks, blocks),
        st.builds(lambda name, one: [f"with held() as {name}:", *indented(one)], NAMES, blocks),
    )


SIMPLE = st.one_of(
    st.builds(
        lambda name, value: [f"{name} = {value}"], NAMES, st.one_of(NAMES, st.sampled_from(["1", "1 / next(bits)"]))
    ),
    st.builds(lambda name: [f"{name} += 1"], NAMES),
    st.builds(lambda name: ["if next(bits):", f"    print({name})"], NAMES),
    st.builds(lambda name: [f"if next(bits): {name} = 1"], NAMES),
    st.builds(lambda name: [f"print([{name} for _ in (1, 2) if ({name} := next(bits)) or 1])"], NAMES),
    st.builds(lambda name, other: [f"print([{name} for {other} in (1, 2)])"], NAMES, NAMES),
    st.builds(lambda name, other: [f"print({name} if ({other} := next(bits)) else 0)"], NAMES, NAMES),
)
BLOCKS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(inner, compound(inner), st.lists(inner, min_size=1, max_size=3).map(joined)),
    max_leaves=8,
)


class Held:
    """A context manager that lets exceptions out."""

    def __enter__(self) -> int:
        return 1

    def __exit__(self, *raised: object) -> None:
        return None


class Guarded(ast.NodeTransformer):
    """Puts every reported read into a call, which takes place only if the name is bound."""

    def __init__(self, reads: set[ast.Name]) -> None:
        self.places = {(read.lineno, read.col_offset) for read in reads}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if (node.lineno, node.col_offset) not in self.places or not isinstance(node.ctx, ast.Load):
            return node
        return ast.Call(ast.Name("was_bound", ast.Load()), [node], [])


@settings(max_examples=150, deadline=None)
@given(blocks=st.lists(BLOCKS, min_size=1, max_size=4), bits=st.integers(0, 2**40 - 1))
def test_no_reported_read_ever_finds_its_name_bound(blocks: list[list[str]], bits: int) -> None:
    source = "\n".join(["def f(bits, held):", *indented(chain.from_iterable(blocks))])
    tree = ast.parse(source)
    reads = {read for read, _ in reads_before_binding(TreeIndex(tree)) if isinstance(read.ctx, ast.Load)}
    changed = ast.fix_missing_locations(Guarded(reads).visit(tree))
    found: list[object] = []
    names: dict[str, object] = {"print": lambda *shown: None, "was_bound": found.append, "range": range}
    names["ZeroDivisionError"] = ZeroDivisionError
    exec(compile(changed, "generated", "exec"), names)
    function = names["f"]
    assert callable(function)
    with suppress(NameError, ZeroDivisionError, StopIteration, TypeError):
        function((bits >> n & 1 for n in range(40)), Held)
    assert found == [], source


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b as c, d.e\nfor f in g: pass", {"c", "d", "f"}),
        ("with a as (b, *c): d = [e for e in f]", {"b", "c", "d"}),
        ("def g(h):\n    i = 1\nclass J:\n    k = 1", {"g", "J"}),
        ("try: pass\nexcept E as e: pass", {"e"}),
        ("match a:\n    case [b, *c] | D(b, c): pass", {"b", "c"}),
        ("x[0] = y.z = 1\n(n := 2)", {"n"}),
    ],
)
def test_the_names_that_statements_bind(source: str, names: set[str]) -> None:
    assert stored_names(ast.parse(source).body) == names


def test_a_chain_of_a_thousand_branches_is_followed() -> None:
    branches = "\n".join(f"    elif n == {n}:\n        pass" for n in range(1000))
    source = f"def f(n):\n    if n:\n        x = 1\n{branches}\n    else:\n        print(x)\n"
    assert [read.id for read, _ in reads_before_binding(TreeIndex(ast.parse(source)))] == ["x"]
