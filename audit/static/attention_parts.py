"""Attention that a class or function leaves to others: to a part of its own, or to one out of a table of functions.

A block that merely holds an attention leaves all of it to that. A class that projects queries and keys itself and hands
them to a part is an attention of which the part computes the middle.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from audit.static.full_names import FullNames
from audit.static.scopes import alternatives, dotted

Function = ast.FunctionDef | ast.AsyncFunctionDef

TABLE = "[]"  # ends the name that stands for what a table holds: to name a table is not yet to call what is in it
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_QUERY_ASSIGNED = re.compile(r"self\.\w*[qQ]\w* *(?::[^=\n]*)?= ")
_QUERIES = frozenset({"q", "query", "queries", "wq", "qkv", "wqkv"})
_KEYS = frozenset({"k", "key", "keys", "wk", "kv", "wkv", "qkv", "wqkv"})
_VALUES = frozenset({"v", "value", "values"})
# What is made of these is no projection, whatever it is called.
_NO_PROJECTION = re.compile(r"norm|embed|rearrange|parameter|dropout|identity|rope|rotary|cache|config", re.IGNORECASE)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign)
_ENTRIES = (ast.Subscript, ast.Call)
_MAY_TAKE = frozenset({*_ENTRIES, ast.IfExp, ast.BoolOp, ast.NamedExpr})  # or be one of several that do
_REGISTERS = re.compile(r"(^|_)register", re.IGNORECASE)


def may_project(text: str) -> bool:
    """Return whether the text of a class assigns an attribute that may be called after queries; walking is slow."""
    return _QUERY_ASSIGNED.search(text) is not None


def parts_in(methods: Mapping[str, Sequence[ast.AST]], nodes: Sequence[ast.AST], names: FullNames) -> set[str]:
    """Return the full names of the classes to which a class with these methods may hand its queries and keys.

    `methods` are the nodes below each method, `nodes` those of the whole body. A part is built by
    `self.part = Part(...)` and called with queries, keys and values; or it is called with `self`, and then it can be
    any class that the body names. Empty for a class that projects no queries or no keys.
    """
    built = _built(nodes)
    if not _project(built, _QUERIES) or not _project(built, _KEYS):
        return set()
    parts: set[str] = set()
    for method, below in methods.items():
        for call in (node for node in below if isinstance(node, ast.Call)):
            match call.func:
                case ast.Attribute(value=ast.Name(id="self"), attr=name) if method != "__init__":
                    if any(isinstance(given, ast.Name) and given.id == "self" for given in call.args):
                        parts |= {names.of(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
                    elif _takes_projections(call):
                        parts |= {names.of(value.func) for value in built.get(name, ())}
    return {full for full in parts if is_class(full) and not full.startswith("torch.")}


def _built(nodes: Sequence[ast.AST]) -> dict[str, list[ast.Call]]:
    """Return the calls of which `self.name` is the result, by name."""
    found: dict[str, list[ast.Call]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Attribute) and dotted(target.value) == "self":
                    calls = [each for each in alternatives(node.value) if isinstance(each, ast.Call)]
                    found.setdefault(target.attr, []).extend(calls)
    return found


def _project(built: Mapping[str, Sequence[ast.Call]], of: frozenset[str]) -> bool:
    return any(
        not of.isdisjoint(_words(name))
        and not _NO_PROJECTION.search(name)
        and any(not _NO_PROJECTION.search(dotted(call.func)) for call in calls)
        for name, calls in built.items()
    )


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name)}


def _takes_projections(call: ast.Call) -> bool:
    """Return whether a call is given a query, a key and a value, by place or by name."""
    given = [dotted(part) for part in call.args] + [word.arg or "" for word in call.keywords]
    words = set[str]().union(*map(_words, given))
    return not any(words.isdisjoint(of) for of in (_QUERIES, _KEYS, _VALUES))


def is_class(full: str) -> bool:
    """Return whether a name is written as classes are."""
    return full.rpartition(".")[2].lstrip("_")[:1].isupper()


def tables_in(tree: ast.Module, names: FullNames) -> dict[str, tuple[int, frozenset[str]]]:
    """Return the tables of functions that a module has, with their lines and the full names of what they hold.

    A table is a dictionary of a module or class; a class or object by whose decorator functions are registered; or an
    object of a class that is a table, here or elsewhere.
    """
    found: dict[str, tuple[int, frozenset[str]]] = {}

    def add(name: str, line: int, held: set[str]) -> None:
        before = found.get(name, (line, frozenset[str]()))
        found[name] = (before[0], before[1] | held)

    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for _, held in _dictionaries(node.body, names):
                add(node.name, node.lineno, held)
        elif isinstance(node, Function):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _REGISTERS.search(dotted(decorator.func).rpartition(".")[2]):
                    owner = dotted(decorator.func).partition(".")[0]
                    add(owner, node.lineno, {f".{node.name}"})
    for target, held in _dictionaries(tree.body, names):
        add(target.id, target.lineno, held)
    for target, value in _assigned(tree.body):
        if isinstance(value, ast.Call) and is_class(full := names.of(value.func)):
            add(target.id, target.lineno, {full + TABLE})
    return found


def _assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.Name, ast.expr]]:
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name() as target], value=value):
                yield target, value
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                yield target, value


def _dictionaries(body: Sequence[ast.stmt], names: FullNames) -> Iterator[tuple[ast.Name, set[str]]]:
    """Yield the dictionaries that a body binds, with the full names of the functions that they hold."""
    for target, value in _assigned(body):
        if isinstance(value, ast.Dict):
            held = {full for each in value.values if (full := names.of(each)) and not is_class(full)}
            if held:
                yield target, held


def called_from_tables(nodes: Sequence[ast.AST], names: FullNames) -> set[str]:
    """Return the full names of the tables out of which a function with these nodes takes something that it calls."""
    taken: dict[str, set[str]] = {}
    calls: list[ast.Call] = []
    for node in nodes:
        if isinstance(node, ast.Call):
            calls.append(node)
        elif isinstance(node, _ASSIGNMENTS) and node.value and (full := _table(node.value, names)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for part in (part for target in targets for part in ast.walk(target)):
                if isinstance(part, ast.Name):
                    taken.setdefault(part.id, set()).add(full)
    found: set[str] = set()
    for call in calls:
        function = call.func
        if isinstance(function, ast.Name):
            found |= taken.get(function.id, set())
        elif isinstance(function, _ENTRIES):
            found |= {_table(function, names)} - {""}
    owners = {full.rpartition(".")[0] for full in found} - {""}  # of `Registry.functions[key]` the class is the table
    return {full + TABLE for full in found | owners}


def _table(expression: ast.expr, names: FullNames) -> str:
    """Return the full name of the table of which an expression takes an entry: `TABLE[key]`, `TABLE.get(key)`."""
    if expression.__class__ not in _MAY_TAKE:
        return ""
    for part in alternatives(expression):
        match part:
            case ast.Subscript(value=table):
                return names.of(table) or _table(table, names)
            case ast.Call(func=ast.Attribute(value=table)):
                return names.of(table) or _table(table, names)
    return ""
