"""Follows products and softmaxes through one function, to tell attention by what is computed and not by names.

Each value carries flags: it comes from a product of two tensors, from a softmax of such a product, from a feature map,
or from a product with a feature map. Attention is a product with a softmax of a product; linear attention is a product
of a feature map with a product of one.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from audit.static.facts import Mechanism
from audit.static.full_names import FullNames
from audit.static.tree import children


class Flags:
    """What a value was computed from, as bits of an `int`: an `IntFlag` takes ten times as long to join."""

    NONE = 0
    PRODUCT = 1
    WEIGHTS = 2  # a softmax of a product
    FEATURES = 4  # a softmax, elu or relu of what is no product
    CONTEXT = 8  # a product with features
    SOFT = 16  # the features are a softmax


PRODUCTS = frozenset({"matmul", "bmm", "baddbmm", "einsum", "mm"})
SOFTMAXES = frozenset({"softmax"})
FEATURE_MAPS = frozenset({"softmax", "elu", "relu"})
_TENSOR_NAMESPACES = ("torch", "torch.nn.functional", "torch.special", "torch.nn")
_LAYERS = {"torch.nn.Softmax": "softmax", "torch.nn.ELU": "elu", "torch.nn.ReLU": "relu"}
# What these layers return is a mix of their inputs' channels: no longer the product that went in.
_MIXING = frozenset(f"torch.nn.{name}" for name in ("Linear", "Conv1d", "Conv2d", "Conv3d", "Sequential", "Embedding"))
_NOTHING = frozenset({ast.Constant, ast.Lambda, ast.Compare})
_VIEWS = frozenset({"T", "mT", "H", "mH", "data"})


@dataclass(frozen=True, slots=True)
class Returns:
    """What a function of the file returns: for plain arguments, and for arguments that are products."""

    plain: int = Flags.NONE
    of_products: int = Flags.NONE


class Flows:
    """The walks over the functions of a file; one whose questions would have the same answers is not done again."""

    def __init__(self, names: FullNames) -> None:
        """Walk nothing yet; `names` are those of the module."""
        self._names = names
        self._done: dict[tuple[ast.AST, int], FunctionFlow] = {}

    def through(
        self,
        function: ast.FunctionDef | ast.AsyncFunctionDef,
        returns_of: Mapping[str, Returns],
        *,
        layers: Mapping[str, str],
        given: int = Flags.NONE,
    ) -> "FunctionFlow":
        """Return the walk over `function`, whose `layers` are the same each time, with arguments that are `given`."""
        done = self._done.get((function, given))
        if done is None or any(returns_of.get(name) != answer for name, answer in done.asked.items()):
            done = FunctionFlow(names=self._names.within(function), layers=layers, returns_of=returns_of, given=given)
            done.run(function)
            self._done[function, given] = done
        return done


@dataclass(slots=True)
class FunctionFlow:
    """The walk over one function. `layers` are what the class's attributes were built from, by attribute.

    `asked` are the functions of the file about which the walk asked, with what they return as far as it is known.
    """

    names: FullNames
    layers: Mapping[str, str]
    returns_of: Mapping[str, Returns]
    given: int = Flags.NONE
    asked: dict[str, Returns | None] = field(default_factory=dict)
    found: set[Mechanism] = field(default_factory=set)
    returned: int = Flags.NONE
    _values: dict[str, int] = field(default_factory=dict)

    def run(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Walk the body; afterwards `found` and `returned` hold what it computes."""
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.arg not in ("self", "cls"):
                self._values[argument.arg] = self.given
        self._block(function.body)

    def _block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=targets, value=assigned):
                for target in targets:
                    self._assign(target, assigned)
            case ast.AnnAssign(target=target, value=ast.expr() as assigned):
                self._assign(target, assigned)
            case ast.AugAssign(target=target, op=operator, value=added):
                self._bind(target, self._of(ast.BinOp(left=target, op=operator, right=added)))
            case ast.Return(value=ast.expr() as returned):
                self.returned |= self._of(returned)
            case ast.If(test=test, body=body, orelse=orelse):
                self._of(test)
                self._branches([body, orelse])
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
                self._branches([[*body, *orelse], *(handler.body for handler in handlers)])
                self._block(finalbody)
            case ast.For(target=target, iter=iterated, body=body, orelse=orelse):
                self._bind(target, self._of(iterated))
                self._branches([body, []])
                self._block([*body, *orelse])  # a second time: what one round computes, the next one uses
            case ast.While(body=body, orelse=orelse):
                self._branches([body, []])
                self._block([*body, *orelse])
            case ast.With(body=body):
                self._block(body)
            case ast.Match(cases=cases):
                self._branches([case.body for case in cases])
            case ast.FunctionDef(body=body):
                self._block(body)
            case ast.Expr(value=expression):
                self._of(expression)

    def _branches(self, bodies: list[list[ast.stmt]]) -> None:
        before = self._values
        joined: dict[str, int] = {}
        for body in bodies:
            self._values = dict(before)
            self._block(body)
            for name, flags in self._values.items():
                joined[name] = joined.get(name, Flags.NONE) | flags
        self._values = joined

    def _assign(self, target: ast.expr, assigned: ast.expr) -> None:
        match target, assigned:
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                for part, flags in zip(targets, [self._of(value) for value in values], strict=True):
                    self._bind(part, flags)
            case _:
                self._bind(target, self._of(assigned))

    def _bind(self, target: ast.expr, flags: int) -> None:
        match target:
            case ast.Name(id=name):
                self._values[name] = flags
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._bind(part, flags)
            case ast.Starred(value=part):
                self._bind(part, flags)
            case ast.Subscript(value=ast.Name(id=name)):
                self._values[name] = self._values.get(name, Flags.NONE) | flags

    def _of(self, expression: ast.expr) -> int:
        kind = expression.__class__  # the commonest first, before the patterns that are tried one by one
        if kind is ast.Name:
            return self._values.get(expression.id, Flags.NONE)  # type: ignore[attr-defined]
        if kind in _NOTHING:
            return Flags.NONE
        if isinstance(expression, ast.Attribute):
            return self._of(expression.value) if expression.attr in _VIEWS else Flags.NONE
        if isinstance(expression, ast.Call):
            return self._call(expression)
        match expression:
            case ast.BinOp(left=left, op=operator, right=right):
                operands = [self._of(left), self._of(right)]
                return self._product(operands, einsum=False) if isinstance(operator, ast.MatMult) else _joined(operands)
            case ast.Subscript(value=owner):
                return self._of(owner)
            case ast.NamedExpr(target=target, value=named):
                flags = self._of(named)
                self._bind(target, flags)
                return flags
            case (
                ast.ListComp(elt=element, generators=generators) | ast.GeneratorExp(elt=element, generators=generators)
            ):
                for generator in generators:
                    self._bind(generator.target, self._of(generator.iter))
                return self._of(element)
        return _joined([self._of(part) for part in children(expression) if isinstance(part, ast.expr)])

    def _call(self, call: ast.Call) -> int:
        given = [self._of(argument) for argument in call.args] + [self._of(word.value) for word in call.keywords]
        function = call.func
        receiver = self._of(function.value) if isinstance(function, ast.Attribute) else Flags.NONE
        layer = self._layer(function)
        operation = self._operation(function, layer)
        if operation in PRODUCTS:
            return self._product([*given, receiver], einsum=operation == "einsum")
        everything = _joined(given) | receiver
        if operation in FEATURE_MAPS:
            return _mapped(everything, softmax=operation in SOFTMAXES)
        own = self._own_name(function)
        returns = self.asked[own] = self.returns_of.get(own)
        if returns is not None:
            return returns.plain | (returns.of_products if everything & Flags.PRODUCT else Flags.NONE)
        return Flags.NONE if layer in _MIXING else everything

    def _operation(self, function: ast.expr, layer: str) -> str:
        """Return the name of the tensor operation that is called; empty for what is no such operation."""
        full = self.names.of(function)
        namespace, _, name = full.rpartition(".")
        if full:
            return name if namespace in _TENSOR_NAMESPACES else ""
        if isinstance(function, ast.Call):  # nn.Softmax(dim=-1)(scores)
            return _LAYERS.get(self.names.of(function.func), "")
        if layer or not isinstance(function, ast.Attribute):
            return _LAYERS.get(layer, "")
        return "" if _of_own(function, "self", "cls") else function.attr  # a method of a tensor

    def _layer(self, function: ast.expr) -> str:
        return self.layers.get(function.attr, "") if _of_own(function, "self") else ""

    def _own_name(self, function: ast.expr) -> str:
        if isinstance(function, ast.Name):
            return function.id
        return f"self.{function.attr}" if _of_own(function, "self", "cls") else ""

    def _product(self, operands: list[int], *, einsum: bool) -> int:
        together = _joined(operands)
        if together & Flags.WEIGHTS:
            self.found.add(Mechanism.SOFTMAX)
        featured = [flags for flags in operands if flags & Flags.FEATURES]
        contexts = [flags for flags in operands if flags & Flags.CONTEXT]
        # Only the keys may be features: then an einsum contracts the softmax of the keys, and another one the context.
        if contexts and (featured or (einsum and any(flags & Flags.SOFT for flags in contexts))):
            self.found.add(Mechanism.LINEAR)
        return Flags.PRODUCT | (Flags.CONTEXT | _joined(featured) & Flags.SOFT if featured else Flags.NONE)


def _of_own(function: ast.expr, *owners: str) -> TypeGuard[ast.Attribute]:
    """Return whether a function is an attribute of one of these names."""
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in owners


def _mapped(flags: int, *, softmax: bool) -> int:
    if flags & Flags.PRODUCT:
        return Flags.WEIGHTS if softmax else flags
    return Flags.FEATURES | Flags.SOFT if softmax else Flags.FEATURES


def _joined(parts: list[int]) -> int:
    joined = Flags.NONE
    for part in parts:
        joined |= part
    return joined
