"""What rules about calls share."""

import ast
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot


class CallRule(Rule):
    """A rule that judges calls; where `called` names functions or methods, calls of other names are not looked at."""

    nodes = (ast.Call,)
    called: ClassVar[tuple[str, ...]] = ()

    def candidates(self, context: FileContext) -> Iterable[ast.AST]:
        """Yield the calls of the names in `called`, as written or as imported; all calls where there is none."""
        if not self.called:
            return super().candidates(context)
        return [call for name in self.called for call in context.calls_by_name.get(name, ())]

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield what is wrong with the call `node`."""
        assert isinstance(node, ast.Call)
        return self.judge_call(node, context)

    @abstractmethod
    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield what is wrong with `call`."""
