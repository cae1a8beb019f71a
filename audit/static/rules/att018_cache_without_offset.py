"""ATT018: positions that start at 0 in every step of a decoding with a cache."""

import ast
import math
import re
from collections.abc import Iterator, Sequence

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import Function, argument, last_name, method, number, receiver, unpacks

_CACHE = re.compile(r"(?:^|_)(?:past|cache|prev|kv_?cache)")
_JOINS = frozenset({"torch.cat", "torch.concat", "torch.concatenate"})
_POSITIONAL = re.compile(r"(?:^|_)(?:pos|position|positions|positional|rope|rotary|rot|wpe|freqs?|cos|sin)(?:_|\d|$)")
_ROTATES = re.compile(r"rotat|rotary|rope(?:_|$)|(?:^|_)rot(?:_|$)")
_START = re.compile(
    r"^(?:start|offset|(?:start|begin)_?(?:pos|position|idx|index|at)|(?:pos|position|seq|past)_?offset)$"
)
_OFFSET = re.compile(
    r"offset|start_?pos|start_?idx|past_\w*len|cache_?len|cached_len|cache_position|get_seq_length|kv_seq|kv_len|"
    r"total_len|full_len|input_pos|position_ids|seen_tokens|(?:past|cache|prev)[\w.\[\]-]*\.(?:shape|size)|cur_?len|step"
)

_ZERO_START = re.compile(r"\b(?:start|offset)\w*=0\b")


class CacheWithoutOffset(Rule):
    """Judged where one function both joins the keys to a cache and computes the positions."""

    id = "ATT018"
    title = "Positions restart at 0 although keys are joined to a cache"
    severity = Severity.MAJOR
    what = (
        "Reports `arange(length)`, `table[:length]` and `rotary(length)` for positions, where `length` is that of "
        "the new tokens, and keys that are rotated with `start=0` or a `start` left at its 0, in a function that "
        "concatenates a cache with the new keys afterwards and mentions no offset."
    )
    why = "With a cache of n tokens the next one stands at position n; here it is encoded as if it stood at 0."
    fix = "add the length of the cache to the positions: torch.arange(past, past + length)"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://github.com/pytorch/executorch/issues/2010",
        "https://github.com/skyzh/tiny-llm/issues/46",
    )
    nodes = (ast.FunctionDef, ast.AsyncFunctionDef)
    words = ("torch.cat", "torch.concat", "import cat")
    VALID = (
        """
        import torch


        def forward(self, x, cache=None):
            n = x.shape[1]
            past = 0 if cache is None else cache[0].shape[1]
            q, k = self.rotary(self.q(x), self.k(x), torch.arange(past, past + n))
            if cache is not None:
                k = torch.cat([cache[0], k], dim=1)
            return q @ k.mT
        """,
        """
        import torch


        def forward(self, x, memory):
            n = x.shape[1]
            positions = torch.arange(n)
            return self.attend(self.embed(positions), torch.cat([memory, x], dim=1))
        """,
        """
        import torch


        def forward(self, x, cache_position, cache):
            k = torch.cat([cache[0], self.k(x)], dim=1)
            return self.rope(x.shape[1], cache_position) @ k.mT
        """,
        """
        import torch


        def forward(self, x, cache=None):
            past = 0 if cache is None else cache[0].shape[2]
            q, k = rotate(self.q(x), start=past), rotate(self.k(x), start=past)
            if cache is not None:
                k = torch.cat([cache[0], k], dim=2)
            return q @ k.mT
        """,
        """
        import torch


        def forward(self, x, cache=None):
            k = self.k(x)
            if cache is not None:
                k = torch.cat([cache[0], k], dim=2)
            cache = [k]
            k = rotate(k, start=0)
            return self.q(x) @ k.mT
        """,
        """
        import torch


        def forward(self, x, cache=None):
            k = rotate(self.k(x), start=0)
            if cache is not None:
                k = rotate(self.k(x), start=cache[0].numel())
                k = torch.cat([cache[0], k], dim=2)
            return self.q(x) @ k.mT
        """,
    )
    INVALID = (
        """
        import torch


        def forward(self, x, cache=None):
            n = x.shape[1]
            positions = torch.arange(n)
            q, k = self.rotary(self.q(x), self.k(x), positions)
            if cache is not None:
                k = torch.cat([cache[0], k], dim=1)
            return q @ k.mT
        """,
        """
        import torch


        def forward(self, x, past_kv=None):
            b, n, d = x.shape
            cos, sin = self.cos[:n], self.sin[:n]
            q, k = turn(self.q(x), cos, sin), turn(self.k(x), cos, sin)
            if past_kv is not None:
                past_key, past_value = past_kv
                k = torch.cat((past_key, k), dim=1)
            return q @ k.mT
        """,
        """
        import torch


        def forward(self, x, layer_cache=None):
            cos, sin = self.rotary_emb(x.size(1))
            q, k = turn(self.q(x), cos, sin), turn(self.k(x), cos, sin)
            if layer_cache is not None:
                k = torch.cat((layer_cache['k'], k), dim=1)
            return q @ k.mT
        """,
        """
        import torch


        def forward(self, x, cache=None):
            q, k = self.q(x), self.k(x)
            q = rotate(q, start=0)
            k = rotate(k, start=0)
            if cache is not None:
                k = torch.cat([cache[0], k], dim=2)
            return q @ k.mT
        """,
        """
        import torch


        def apply_rope(x, offset=0):
            return x * (torch.arange(x.shape[-2]) + offset)[:, None]


        def forward(self, x, kv_cache=None):
            q, k = apply_rope(self.q(x)), apply_rope(self.k(x))
            if kv_cache is not None:
                k = torch.cat((kv_cache[0], k), dim=2)
            return q @ k.mT
        """,
    )

    def candidates(self, context: FileContext) -> list[ast.AST]:
        """Return the functions that concatenate something."""
        calls = (call for name in _JOINS for call in context.calls_by_name.get(name.rpartition(".")[2], ()))
        return [scope for scope in dict.fromkeys(map(context.index.scope, calls)) if isinstance(scope, Function)]

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield where a function that joins keys to a cache computes positions of the new tokens alone."""
        assert isinstance(node, Function)
        nodes = context.index.own(node)
        joins = [(each, name) for each in nodes if isinstance(each, ast.Assign) for name in _joined_keys(each, context)]
        joined = {name for _, name in joins}
        text = ast.unparse(node) if joined else ""
        if spot := _rotated_from_zero(text, joins, context):
            yield spot
            return
        if not joined or _OFFSET.search(text):
            return
        for each in nodes:
            length = _length_for_positions(each, context)
            if length is not None and _of_new_tokens(length, context) and not _mentions(length, joined):
                yield Spot(each, f"positions end at `{ast.unparse(length)}`, whatever the cache holds already")
                return


def _rotated_from_zero(text: str, joins: Sequence[tuple[ast.Assign, str]], context: FileContext) -> Spot | None:
    """Return where keys are rotated as if they began at 0, and are joined to a cache after that.

    Args:
        text: of the function.
        joins: statements that join keys to a cache, with the names that they bind.
        context: the file.
    """
    if not joins or _OFFSET.search(_ZERO_START.sub("", text)):
        return None
    rotations = [
        each
        for each in context.index.own(context.index.scope(joins[0][0]))
        if isinstance(each, ast.Call) and _ROTATES.search(last_name(each.func)) and not unpacks(each)
    ]
    starts = {each: _start(each, context) for each in rotations}
    if any(start != 0 for start in starts.values() if start is not None):
        return None
    for call in (each for each in rotations if starts[each] is not None):
        statement = context.statement_of(call)
        bound = {
            last_name(name)
            for target in (statement.targets if isinstance(statement, ast.Assign) else ())
            for name in (target.elts if isinstance(target, ast.Tuple) else [target])
        }
        if any(name in bound and statement.lineno < join.lineno for join, name in joins):
            shown = ast.unparse(call)
            return Spot(call, f"`{shown}` begins at position 0, whatever the cache that the keys are joined to holds")
    return None


def _start(call: ast.Call, context: FileContext) -> float | None:
    """Return the position from which a rotation counts, NaN where it is no literal; None where it has no such one."""
    for keyword in call.keywords:
        if keyword.arg and _START.match(keyword.arg):
            written = number(keyword.value)
            return math.nan if written is None else written
    defined = context.functions_by_name.get(last_name(call.func), ())
    if len(defined) != 1:
        return None
    arguments = defined[0].args
    by_position = [each.arg for each in (*arguments.posonlyargs, *arguments.args) if each.arg != "self"]
    defaults = dict(zip(reversed(by_position), reversed(arguments.defaults), strict=False))
    defaults |= {
        each.arg: value
        for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if value is not None
    }
    for name, default in defaults.items():
        if _START.match(name):
            position = by_position.index(name) if name in by_position else len(call.args)
            found = number(call.args[position] if position < len(call.args) else default)
            return math.nan if found is None else found
    return None


def _joined_keys(node: ast.AST, context: FileContext) -> Iterator[str]:
    """Yield the name that a concatenation with a cache binds, where it is one of keys."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[ast.List() | ast.Tuple() as parts, *_]) as c):
            names = [last_name(_root(each)) for each in parts.elts]
            if context.resolve(c) in _JOINS and names and _CACHE.search(names[0]) and name in names[1:]:
                yield name


def _root(expression: ast.expr) -> ast.expr:
    while isinstance(expression, ast.Subscript):
        expression = expression.value
    return expression


def _length_for_positions(node: ast.AST, context: FileContext) -> ast.expr | None:
    """Return the length up to which `node` counts positions, or cuts a table of them."""
    match node:
        case ast.Call() as call if context.resolve(call) == "torch.arange":
            counted = call.args[0] if len(call.args) == 1 else argument(call, "end", 1)
            from_zero = len(call.args) == 1 or (len(call.args) == 2 and number(call.args[0]) == 0)
            return counted if from_zero and _is_positional(call, context) else None
        case ast.Call(func=function, args=[only], keywords=[]) if _POSITIONAL.search(last_name(function)):
            return only
        case ast.Subscript(value=table, slice=cut) if _POSITIONAL.search(last_name(table)):
            cuts = cut.elts if isinstance(cut, ast.Tuple) else [cut]
            ends = [each.upper for each in cuts if isinstance(each, ast.Slice) and each.lower is None and each.upper]
            return ends[0] if len(ends) == 1 else None
    return None


def _is_positional(call: ast.Call, context: FileContext) -> bool:
    """Return whether the numbers become positions, by the name they are bound to or the function that gets them."""
    statement = context.statement_of(call)
    if isinstance(statement, ast.Assign) and _POSITIONAL.search(last_name(statement.targets[0])):
        return True
    around = (each for each in context.ancestors(call) if isinstance(each, ast.Call))
    return any(_POSITIONAL.search(last_name(each.func)) for each in around)


def _of_new_tokens(length: ast.expr, context: FileContext) -> bool:
    """Return whether an expression is a size of a tensor: `x.shape[1]`, `x.size(1)`, a name unpacked from a shape."""
    value = context.value_of(length)
    match value:
        case ast.Subscript(value=ast.Attribute(attr="shape")):
            return True
        case ast.Call() if method(value) == "size":
            return True
        case ast.Name(id=name):
            for node in context.index.own(context.index.scope(length)):
                match node:
                    case ast.Assign(targets=[ast.Tuple(elts=names)], value=shape) if _is_shape(shape):
                        if name in [last_name(each) for each in names]:
                            return True
    return False


def _is_shape(expression: ast.expr) -> bool:
    if isinstance(expression, ast.Attribute):
        return expression.attr == "shape"
    return isinstance(expression, ast.Call) and method(expression) == "size" and receiver(expression) is not None


def _mentions(expression: ast.expr, names: set[str]) -> bool:
    return any(isinstance(each, ast.Name) and each.id in names for each in ast.walk(expression))
