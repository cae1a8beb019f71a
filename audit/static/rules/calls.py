"""What rules about calls share."""

import ast
from abc import abstractmethod
from collections.abc import Iterator

from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot


class CallRule(Rule):
    """A rule that judges calls."""

    nodes = (ast.Call,)

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield what is wrong with the call `node`."""
        assert isinstance(node, ast.Call)
        return self.judge_call(node, context)

    @abstractmethod
    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield what is wrong with `call`."""
