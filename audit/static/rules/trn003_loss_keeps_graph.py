"""TRN003: a running total that keeps the graph of every step."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import calls_in, last_name, method, receiver
from audit.static.rules.training_forms import backward_calls, differentiated

_DETACHES = frozenset({"item", "detach", "detach_", "tolist", "cpu", "numpy"})


class LossKeepsGraph(Rule):
    """The sum of losses is a tensor with a history."""

    id = "TRN003"
    title = "A running total of losses keeps every step's graph"
    severity = Severity.MAJOR
    what = (
        "Reports `total += loss` in a loop that has called `loss.backward()`, where `total` itself is not "
        "differentiated."
    )
    why = "Each term holds its graph: memory grows by one step's graph with every step, until there is none left."
    fix = "write total += loss.item(), or loss.detach()"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/notes/faq.html",)
    nodes = (ast.AugAssign,)
    words = ("backward",)
    VALID = (
        """
        for x in loader:
            loss = f(x)
            loss.backward()
            total += loss.item()
        """,
        """
        for x in loader:
            loss = f(x)
            total += loss
        total.backward()
        """,
        """
        for x in loader:
            loss = f(x)
            loss.backward()
            loss = loss.detach()
            total += loss
        """,
    )
    INVALID = (
        """
        for x in loader:
            loss = f(x)
            loss.backward()
            total += loss
        """,
        """
        def train(loader):
            total = 0
            for x in loader:
                loss = f(x)
                loss.backward()
                total += loss * len(x)
            return total / 3
        """,
        """
        for x in loader:
            loss = f(x)
            scaler.scale(loss).backward()
            total += loss
        """,
    )
    FIXED = (
        (
            """
            for x in loader:
                loss = f(x)
                loss.backward()
                total += loss
            """,
            """
            for x in loader:
                loss = f(x)
                loss.backward()
                total += loss.detach()
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a sum of losses that were differentiated."""
        match node:
            case ast.AugAssign(op=ast.Add(), target=ast.Name() | ast.Attribute() as target, value=value):
                names = _terms(value)
            case _:
                return
        loop = context.loop_of(node)
        if loop is None or not names:
            return
        calls = [call for call in context.index.own(loop) if isinstance(call, ast.Call)]
        losses = {name for call in backward_calls(calls) if (name := differentiated(call))}
        if not names & losses or _differentiates(target, context):
            return
        detached = {
            of.id
            for call in calls
            if method(call) in _DETACHES
            and isinstance(of := receiver(call), ast.Name)
            and _rebinds(call, of.id, context)
        }
        if not names & detached:
            edits = _edits(value, names & losses)
            yield Spot(node, f"`{ast.unparse(node)}` keeps the graph of every step", edits=edits)


def _edits(value: ast.expr, names: set[str]) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        found = [node for node in ast.walk(value) if isinstance(node, ast.Name) and node.id in names]
        return fix([Edit(source.end(node), source.end(node), ".detach()") for node in found], FixSafety.UNSAFE)

    return edits


def _terms(value: ast.expr) -> set[str]:
    """Return the names of a sum, product or quotient of names."""
    match value:
        case ast.Name(id=name):
            return {name}
        case ast.BinOp(op=ast.Mult() | ast.Div() | ast.Add(), left=left, right=right):
            return _terms(left) | _terms(right)
    return set()


def _rebinds(call: ast.Call, name: str, context: FileContext) -> bool:
    statement = context.statement_of(call)
    return isinstance(statement, ast.Assign) and any(last_name(each) == name for each in statement.targets)


def _differentiates(target: ast.expr, context: FileContext) -> bool:
    text = ast.unparse(target)
    scope = context.index.scope(target)
    return any(text in ast.unparse(call) for call in backward_calls(calls_in(scope)))
