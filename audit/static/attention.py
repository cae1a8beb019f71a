"""The attention that the functions and classes of one file compute, decided by calls and data flow."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from audit.static.attention_flow import Flags, Flows, Returns
from audit.static.attention_parts import TABLE, called_from_tables, is_class, may_project, parts_in, tables_in
from audit.static.attention_words import FLOW, FLOW_NAMES, NAMES, any_within, first_line, lines_of_products, lines_with
from audit.static.facts import AttentionFact, Mechanism
from audit.static.full_names import FullNames
from audit.static.lines import SourceLines
from audit.static.parameters import parameters_of
from audit.static.reading import sha256
from audit.static.scopes import dotted
from audit.static.tree import TreeIndex

Function = ast.FunctionDef | ast.AsyncFunctionDef

_CALLS = {
    "torch.nn.functional.scaled_dot_product_attention": Mechanism.SDPA,
    "torch._C._nn.scaled_dot_product_attention": Mechanism.SDPA,
    "torch.nn.MultiheadAttention": Mechanism.MULTIHEAD,
    "torch.nn.modules.activation.MultiheadAttention": Mechanism.MULTIHEAD,
    "torch.nn.functional.multi_head_attention_forward": Mechanism.MULTIHEAD,
    "torch.nn.attention.flex_attention.flex_attention": Mechanism.FLEX,
    "xformers.ops.memory_efficient_attention": Mechanism.XFORMERS,
    "xformers.ops.memory_efficient_attention_forward": Mechanism.XFORMERS,
    "xformers.ops.fmha.memory_efficient_attention": Mechanism.XFORMERS,
}
_PACKAGES = {  # every function of these packages whose name begins so computes attention
    "flash_attn": ("flash_attn_", Mechanism.FLASH),
    "flash_attn_interface": ("flash_attn_", Mechanism.FLASH),
    "flash_attn_2_cuda": ("fwd", Mechanism.FLASH),
    "sageattention": ("sageattn", Mechanism.SAGE),
}
_MASK = re.compile(r"mask|attn_bias|attention_bias|cu_seqlens")
_CACHE = re.compile(r"cache|past_key|layer_past|\bpast\b|incremental_state")
# Only which functions of other files are worth a look: whether one computes attention is decided where it is defined.
_MAY_ATTEND = re.compile(r"((?<!fl)atten|attn|sdpa|flash)[^.]*$", re.IGNORECASE)
_LINKS = (ast.Attribute, ast.Subscript)  # between a name and the attributes that are taken of it
_ASKED = frozenset({ast.Name, ast.Call, ast.Assign, ast.AnnAssign})  # the nodes that tell of a function's references
_CAUSAL_KEYWORDS = frozenset({"is_causal", "causal"})


@dataclass(frozen=True, slots=True)
class _Unit:
    """A function of the module, or a class with its methods."""

    node: Function | ast.ClassDef
    qualname: str
    functions: Sequence[Function]

    @property
    def place(self) -> tuple[int, str]:
        """The line and the name."""
        return self.node.lineno, self.qualname

    def holds(self, lines: Sequence[int]) -> bool:
        """Return whether one of the sorted `lines` is among its own."""
        return any_within(first_line(self.node), self.node.end_lineno or self.node.lineno, lines)


def mechanism_of(full_name: str) -> Mechanism | None:
    """Return the attention that a function or class of this full name computes; None for any other."""
    if full_name in _CALLS:
        return _CALLS[full_name]
    prefix, mechanism = _PACKAGES.get(full_name.partition(".")[0], ("", None))
    return mechanism if mechanism and full_name.rpartition(".")[2].startswith(prefix) else None


def attention_in(index: TreeIndex, text: str, *, names: FullNames, lines: SourceLines) -> tuple[AttentionFact, ...]:
    """Return what the functions and classes of a file compute, and which functions they use, in order of lines."""
    flow = lines_with(FLOW, text, lines) if any(word in index.vocabulary for word in FLOW_NAMES) else []
    named = lines_with(NAMES, text, lines)
    if not flow and not named and not (_sets_queries(index) and may_project(text)):
        return ()
    names = names.with_local(_compiled(index.tree, names))
    products = lines_of_products(index, text, names, lines) if flow else []
    flow = flow if products else []
    units = list(_units(index.tree.body, ""))
    functions = [unit for unit in units if isinstance(unit.node, Function)]
    nodes = [node for unit in functions for node in unit.functions if unit.holds(flow)]
    flows = Flows(names)
    returns = _returns(nodes, flows, {}, {}, prefix="")
    reader = _Reader(names, lines, returns, flows=flows, index=index, flow=flow, products=products, named=named)
    reader.words = frozenset(name for name, full in names.every().items() if mechanism_of(full))
    found = {unit.place: fact for unit in functions if (fact := reader.fact(unit))}
    reader.own = {f".{fact.qualname}" for fact in found.values() if fact.mechanisms}
    with_uses = {f".{fact.qualname}" for fact in found.values() if _with_uses(fact, reader.own).through}
    tables = _tables(index.tree, names, reader.own | with_uses)
    reader.own |= {f".{fact.qualname}" for fact in tables}
    reader.words |= {fact.qualname.removesuffix(TABLE) for fact in tables}
    reader.words |= {fact.qualname for fact in found.values() if fact.mechanisms}
    for unit in units:
        if (isinstance(unit.node, ast.ClassDef) or reader.own) and (fact := reader.fact(unit)):
            found[unit.place] = fact
    own = reader.own | {f".{unit.qualname}" for unit in units if isinstance(unit.node, ast.ClassDef)}
    found |= {(fact.line, fact.qualname): fact for fact in tables}
    own |= with_uses if tables else frozenset()
    facts = [_with_uses(found[place], own) for place in sorted(found)]
    by_place = {unit.place: unit for unit in units}
    for table in tables:
        by_place.pop((table.line, table.qualname), None)
    return tuple(
        reader.detailed(fact, by_place.get((fact.line, fact.qualname)))
        for fact in facts
        if fact.mechanisms or fact.through
    )


def _sets_queries(index: TreeIndex) -> bool:
    """Return whether an attribute is set that has a q in its name: a quick look, for the text is long."""
    return any("q" in node.attr or "Q" in node.attr for node in index.stored_attributes)


def _with_uses(fact: AttentionFact, own: Set[str]) -> AttentionFact:
    """Keep of the functions used those of this file that compute attention, and those of others that may."""
    uses = [name for name in fact.through if (name in own if name.startswith(".") else _MAY_ATTEND.search(name))]
    return fact if len(uses) == len(fact.through) else replace(fact, through=tuple(uses))


def _tables(tree: ast.Module, names: FullNames, own: Set[str]) -> list[AttentionFact]:
    """Return the tables that hold functions that compute attention, or may: they stand for these, and are no items."""
    found: list[AttentionFact] = []
    known = set(own)
    for name, (line, held) in tables_in(tree, names).items():
        mechanisms = {mechanism for full in held if (mechanism := mechanism_of(full))}
        through = {full for full in held if (full in known if full.startswith(".") else _MAY_ATTEND.search(full))}
        if mechanisms or through:
            known.add(f".{name}{TABLE}")
            found.append(
                AttentionFact(
                    qualname=name + TABLE,
                    line=line,
                    is_class=False,
                    digest="",
                    mechanisms=tuple(sorted(mechanisms)),
                    through=tuple(sorted(through)),
                )
            )
    return found


def _compiled(tree: ast.Module, names: FullNames) -> dict[str, str]:
    """Return the names that a module gives to a compiled or otherwise wrapped attention: `f = torch.compile(f)`."""
    found: dict[str, str] = {}
    imported: dict[str, str] = {}  # as they were before a later statement took the name
    for node in _statements(tree.body):
        match node:
            case ast.ImportFrom(module=str(module), level=0, names=aliases):
                imported |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in aliases}
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[wrapped, *_])):
                full = imported.get(dotted(wrapped)) or names.of(wrapped)
                if full and mechanism_of(full):
                    found[name] = full
    return found


def _units(body: Sequence[ast.stmt], prefix: str) -> Iterator[_Unit]:
    """Yield the functions and classes of a body, also those in its branches; classes of classes on their own."""
    for node in body:
        match node:
            case ast.ClassDef():
                functions = [each for each in _statements(node.body) if isinstance(each, Function)]
                yield _Unit(node, prefix + node.name, functions)
                yield from _units([n for n in node.body if isinstance(n, ast.ClassDef)], f"{prefix}{node.name}.")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield _Unit(node, prefix + node.name, [node])
                classes = [each for each in _statements(node.body) if isinstance(each, ast.ClassDef)]
                yield from _units(classes, f"{prefix}{node.name}.<locals>.")
            case ast.If() | ast.Try() | ast.With():
                inner = [each for each in _statements([node]) if isinstance(each, ast.ClassDef | Function)]
                yield from _units(inner, prefix)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body and of its branches, not those of functions and classes in it."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            yield from _statements(inner)
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def _layers(nodes: Sequence[ast.AST], names: FullNames) -> dict[str, str]:
    """Return what `self.name = Layer(...)` builds, by attribute."""
    found: dict[str, str] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                found[name] = _layer(value, names)
    return found


def _layer(value: ast.expr, names: FullNames) -> str:
    """Return the full name of what is called; for a softmax that is wrapped or one of two, `torch.nn.Softmax`."""
    full = names.of(value.func) if isinstance(value, ast.Call) else ""
    if full and full != "functools.partial":
        return full
    parts = (node for node in ast.walk(value) if isinstance(node, ast.Name | ast.Attribute))
    if any(names.of(part).rpartition(".")[2] == "softmax" for part in parts):
        return "torch.nn.Softmax"
    return "."


def _returns(
    functions: Sequence[Function],
    flows: Flows,
    layers: Mapping[str, str],
    known: Mapping[str, Returns],
    *,
    prefix: str,
) -> dict[str, Returns]:
    """Return what each function returns, by the name it is called by; two rounds, for those that call each other."""
    found = dict(known)
    for _ in range(2):
        for function in functions:
            flags = []
            for given in (Flags.NONE, Flags.PRODUCT):
                flags.append(flows.through(function, found, layers=layers, given=given).returned)
            found[prefix + function.name] = Returns(plain=flags[0], of_products=flags[1])
        if not any(Flags.WEIGHTS & (each.plain | each.of_products) for each in found.values()):
            break  # then a second round finds nothing that the first did not
    return found


class _Reader:
    """Makes facts of units, once it is known what the module's functions return and which compute attention."""

    def __init__(
        self,
        names: FullNames,
        lines: SourceLines,
        returns: Mapping[str, Returns],
        *,
        flows: Flows,
        index: TreeIndex,
        flow: Sequence[int],
        products: Sequence[int],
        named: Sequence[int],
    ) -> None:
        self.own: Set[str] = frozenset()
        self.words: Set[str] = frozenset()  # names in this file of what computes attention, whatever they sound like
        self._names = names
        self._lines = lines
        self._returns = returns
        self._flows = flows
        self._index = index
        self._flow = flow
        self._products = products
        self._named = named
        self._referred: dict[Function, tuple[set[Mechanism], set[str]]] = {}
        self._mechanisms: dict[ast.AST, set[Mechanism]] = {}
        self._weights = any(each.plain & Flags.WEIGHTS or each.of_products & Flags.WEIGHTS for each in returns.values())

    def fact(self, unit: _Unit) -> AttentionFact | None:
        """Return what the unit computes and uses, without the details; None for nothing, as of most units."""
        mechanisms, through = set[Mechanism](), set[str]()
        if unit.holds(self._products) and (self._weights or unit.holds(self._flow)):
            if unit.node not in self._mechanisms:
                self._mechanisms[unit.node] = self._computed(unit)
            mechanisms |= self._mechanisms[unit.node]
        if unit.holds(self._named) or self._has_a_word(unit):
            for function in unit.functions:
                if function not in self._referred:
                    self._referred[function] = self._references(function)
                fused, used = self._referred[function]
                mechanisms |= fused
                through |= used
        if isinstance(unit.node, ast.ClassDef) and may_project(self._text(unit)):
            body = self._index.span_of(unit.node.body)
            methods = {each.name: self._index.below(each) for each in unit.functions}
            through |= parts_in(methods, body, self._names)
        if not mechanisms and not through:
            return None
        return AttentionFact(
            qualname=unit.qualname,
            line=unit.node.lineno,
            is_class=isinstance(unit.node, ast.ClassDef),
            digest="",
            mechanisms=tuple(sorted(mechanisms)),
            through=tuple(sorted(through)),
        )

    def detailed(self, fact: AttentionFact, unit: _Unit | None) -> AttentionFact:
        """Return the fact of a unit with all that is kept of it; that of a table, which is no unit, as it is."""
        if unit is None:
            return fact
        causal, parameters = set[str](), list[str]()
        for function in unit.functions:
            causal |= set(_causal(self._index.below(function)))
            arguments = self._index.below(function.args)
            parameters += [each.arg for each in arguments if isinstance(each, ast.arg)]
        return replace(
            fact,
            digest=sha256(self._text(unit).encode()),
            masks=tuple(sorted({name for name in parameters if _MASK.search(name)})),
            caches=tuple(sorted({name for name in parameters if _CACHE.search(name)})),
            causal=tuple(sorted(causal)),
            parameters=() if isinstance(unit.node, ast.ClassDef) else parameters_of(unit.node, self._lines),
        )

    def _has_a_word(self, unit: _Unit) -> bool:
        text = self._text(unit) if self.words else ""
        return any(word in text for word in self.words)

    def _text(self, unit: _Unit) -> str:
        return self._lines.text(first_line(unit.node), unit.node.end_lineno or unit.node.lineno)

    def _references(self, function: Function) -> tuple[set[Mechanism], set[str]]:
        """Return the fused attention that a body names, and the other functions it names, which may compute it."""
        mechanisms: set[Mechanism] = set()
        through: set[str] = set()
        names = self._names.within(function)
        nodes = [node for node in self._index.span_of(function.body) if node.__class__ in _ASKED]
        through |= called_from_tables(nodes, names)
        for full in self._named_in(nodes, names):
            mechanism = mechanism_of(full) if full else None
            if mechanism:
                mechanisms.add(mechanism)
            elif full and not is_class(full) and not full.startswith("torch."):
                through.add(full)
        return mechanisms, through

    def _named_in(self, nodes: Sequence[ast.AST], names: FullNames) -> Iterator[str]:
        """Yield the full names that nodes read: names that stand for something, and what is taken of them."""
        known = names.of_name
        for node in nodes:
            if isinstance(node, ast.Name):
                full = known(node.id)
                if not full or not isinstance(node.ctx, ast.Load):  # most are local names
                    continue
                yield full
                inner: ast.AST = node
                around = self._index.parent(node)
                while isinstance(around, _LINKS) and around.value is inner:
                    if isinstance(around, ast.Attribute) and isinstance(around.ctx, ast.Load):
                        yield names.of(around)
                    inner = around
                    around = self._index.parent(inner)
            elif isinstance(node, ast.Call):
                yield _got_by(node, names)

    def _computed(self, unit: _Unit) -> set[Mechanism]:
        returns = self._returns
        layers: dict[str, str] = {}
        if isinstance(unit.node, ast.ClassDef):
            layers = _layers([node for each in unit.functions for node in self._index.below(each)], self._names)
            returns = _returns(unit.functions, self._flows, layers, returns, prefix="self.")
        found: set[Mechanism] = set()
        for function in unit.functions:
            found |= self._flows.through(function, returns, layers=layers).found
        return found


def _got_by(call: ast.Call, names: FullNames) -> str:
    """Return the full name that `getattr(owner, "name")` reads; empty for any other call."""
    match call:
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str(name)), *_]):
            owner_name = names.of(owner)
            return f"{owner_name}.{name}" if owner_name else ""
    return ""


def _causal(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.keyword) and node.arg in _CAUSAL_KEYWORDS:
            value = node.value
            yield str(value.value).lower() if isinstance(value, ast.Constant) else "dynamic"
