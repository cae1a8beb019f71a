"""The index holds what `ast.walk` yields, apart from contexts and operators, and knows what is below and around."""

import ast
from pathlib import Path

import pytest

from audit.static.tree import TreeIndex, children, walk

NO_NODES = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)
# The standard library's own tests hold every form of syntax.
FILES = sorted(Path(ast.__file__).parent.glob("*.py"))[::8]
EVERY_FORM = """
import os as o
from .. import x as y


@decorated(1, *a, **{"k": 1, **b})
class A(B, metaclass=C):
    field: int = 3

    async def f(self, a: int, /, b=1, *c, d=lambda z: (yield z), g, **e) -> None:
        global G
        async with a as b, c:
            await d
        async for i in [j async for j in k if j]:
            del i[1:2, ...], i.attr
        return f"{a!r:>{b}} {c}"


def g():
    nonlocal_ = 1

    def inner():
        nonlocal nonlocal_
        nonlocal_ += not -1 if a < b <= c else (d := 3)

    match subject:
        case True | None | 1 | "text":
            pass
        case [first, *rest] if first:
            pass
        case {"key": value, **others}:
            pass
        case Point(x=0, y=other) as name:
            pass
        case _:
            raise ValueError from None
    while a and b or c:
        try:
            assert x, "message"
        except (A, B) as error:
            continue
        else:
            break
        finally:
            yield from z
    return {a, b}, {a: b for a in b}, (a for a in b), {*a}, x[a:b:c]
"""


def all_nodes(tree: ast.AST) -> set[ast.AST]:
    return {node for node in ast.walk(tree) if not isinstance(node, NO_NODES)}


def test_the_index_holds_every_node_of_every_form_of_syntax_once() -> None:
    tree = ast.parse(EVERY_FORM)
    index = TreeIndex(tree)
    assert set(index.nodes) == all_nodes(tree)
    assert len(index.nodes) == len(all_nodes(tree))
    assert {kind: set(nodes) for kind, nodes in index.by_type.items()} == {
        kind: {node for node in all_nodes(tree) if type(node) is kind} for kind in map(type, all_nodes(tree))
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_below_and_around_a_node_is_what_the_tree_says(path: Path) -> None:
    tree = ast.parse(path.read_bytes())
    index = TreeIndex(tree)
    assert set(index.nodes) == all_nodes(tree)
    for node in index.nodes[::97]:
        assert set(index.below(node)) == all_nodes(node)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, NO_NODES):
                assert index.parent(child) is node
    assert index.parent(tree) is None


def test_nodes_come_in_the_order_of_the_source() -> None:
    index = TreeIndex(ast.parse(EVERY_FORM))
    names = [node.name for node in index.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert names == ["f", "g", "inner"]
    statements = [node.lineno for node in index.nodes if isinstance(node, ast.stmt)]
    assert statements == sorted(statements)


def test_own_nodes_leave_out_what_functions_and_classes_in_it_hold() -> None:
    index = TreeIndex(ast.parse("def f(a):\n    b\n    def g():\n        c\n    class D:\n        e\n    lambda: h\n"))
    (function,) = index.by_type[ast.FunctionDef][:1]
    assert {node.id for node in index.own(function) if isinstance(node, ast.Name)} == {"b"}
    assert {node.id for node in index.in_functions(function) if isinstance(node, ast.Name)} == {"b", "c", "h"}


def test_a_scope_is_the_innermost_function_class_or_module() -> None:
    index = TreeIndex(ast.parse("class A:\n    def f(self):\n        return lambda: x\n"))
    (name,) = index.by_type[ast.Name]
    scopes = [name]
    while not isinstance(scopes[-1], ast.Module):
        scopes.append(index.scope(scopes[-1]))
    assert [type(each) for each in scopes[1:]] == [ast.Lambda, ast.FunctionDef, ast.ClassDef, ast.Module]
    assert index.scope(index.tree) is index.tree


def nested(depth: int) -> str:
    return "lambda: " * depth + "x"


@pytest.mark.parametrize(
    "text", [EVERY_FORM, "lambda *, a, b=1: {**a, b: 2}", nested(30), *(path.read_text() for path in FILES)]
)
def test_scopes_and_own_nodes_are_those_that_the_parents_tell(text: str) -> None:
    index = TreeIndex(ast.parse(text))
    ends = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    own: dict[ast.AST, list[ast.AST]] = {}
    for node in index.nodes:
        around = index.parent(node) or node
        while not isinstance(around, (*ends, ast.Module)):
            around = index.parent(around) or index.tree
        assert index.scope(node) is around
        if node is not around:
            own.setdefault(around, []).append(node)
    for scope, nodes in own.items():
        assert index.own(scope) == nodes
        for node in nodes[::20]:
            found = index.around(node, scope)
            assert all(index.is_below(node, each) for each in found)
            assert (index.parent(found[-1]) if found else index.parent(node)) is scope


@pytest.mark.parametrize("text", [EVERY_FORM, "lambda *, a, b=1: {**a, b: 2}", *(path.read_text() for path in FILES)])
def test_walking_meets_what_the_library_of_python_meets_in_the_same_order(text: str) -> None:
    tree = ast.parse(text)
    assert walk(tree) == [node for node in ast.walk(tree) if not isinstance(node, NO_NODES)]
    for node in walk(tree):
        assert children(node) == [each for each in ast.iter_child_nodes(node) if not isinstance(each, NO_NODES)]


@pytest.mark.parametrize("text", [EVERY_FORM, "", *(path.read_text() for path in FILES)])
def test_names_attributes_and_constants_are_listed_as_they_stand_in_the_tree(text: str) -> None:
    index = TreeIndex(ast.parse(text))
    names = [(node.id, place) for place, node in enumerate(index.nodes) if isinstance(node, ast.Name)]
    attributes = [node for node in index.nodes if isinstance(node, ast.Attribute)]
    assert sorted((name, place) for name, places in index.name_places.items() for place in places) == sorted(names)
    assert all(places == sorted(places) for places in index.name_places.values())
    assert {
        name: [each for each in attributes if each.attr == name] for name in {each.attr for each in attributes}
    } == (index.attributes_by_name)
    assert index.stored_attributes == [each for each in attributes if not isinstance(each.ctx, ast.Load)]
    assert index.constant_values == [node.value for node in index.nodes if isinstance(node, ast.Constant)]


def test_the_nodes_of_a_body_are_those_below_each_of_its_statements() -> None:
    index = TreeIndex(ast.parse(EVERY_FORM))
    for function in index.by_type[ast.FunctionDef]:
        assert isinstance(function, ast.FunctionDef)
        assert index.span_of(function.body) == [node for each in function.body for node in index.below(each)]
    assert index.span_of([]) == []


def test_scopes_that_import_are_told_from_those_around_them() -> None:
    inner = "def f():\n    if x:\n        import a\n    def g():\n        pass\n"
    index = TreeIndex(ast.parse(f"{inner}def h():\n    def i():\n        from a import b\n"))
    assert {getattr(scope, "name", "") for scope in index.importing} == {"f", "i"}
