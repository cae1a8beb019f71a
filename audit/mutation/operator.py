"""What a mutation operator is: a mistake that people make, as an edit of one node of the concrete syntax."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import libcst as cst

# What an operator makes of `before`: exactly these texts, in this order.
Example = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Around:
    """What a node stands in: its ancestors, the module first."""

    ancestors: tuple[cst.CSTNode, ...]

    @property
    def parent(self) -> cst.CSTNode:
        """The node just above; of the module there is none, and nobody asks."""
        return self.ancestors[-1]

    @property
    def module(self) -> cst.Module:
        """The whole file."""
        module = self.ancestors[0]
        assert isinstance(module, cst.Module)
        return module

    @property
    def function(self) -> cst.FunctionDef | None:
        """The innermost function around the node."""
        return next((each for each in reversed(self.ancestors) if isinstance(each, cst.FunctionDef)), None)

    @property
    def class_(self) -> cst.ClassDef | None:
        """The innermost class around the node."""
        return next((each for each in reversed(self.ancestors) if isinstance(each, cst.ClassDef)), None)

    @property
    def is_condition(self) -> bool:
        """Whether the node is part of what a statement or a conditional expression asks.

        A comparison there decides which way the program takes; elsewhere it is a tensor of answers.
        """
        chain = (*self.ancestors,)
        for above in reversed(chain):
            if isinstance(above, cst.If | cst.While | cst.Assert | cst.IfExp | cst.CompIf | cst.BooleanOperation):
                return True
            if isinstance(above, cst.BaseSmallStatement | cst.BaseCompoundStatement | cst.IndentedBlock):
                return False
        return False


class Operator(ABC):
    """One mistake. `edits` proposes it wherever a node has the form; what does not parse or changes nothing is dropped.

    `equivalent` says when a mutant computes the same as the original, so that no test can tell them apart; it is empty
    where the form alone excludes that.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    why: ClassVar[str]
    equivalent: ClassVar[str] = ""
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]]
    EXAMPLES: ClassVar[tuple[Example, ...]]
    UNCHANGED: ClassVar[tuple[str, ...]]

    @abstractmethod
    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield what may stand in the place of `node`, which is one of `nodes`."""


class Skipping(Operator):
    """An operator that leaves out a statement of its own, such as a call; `is_skipped` says which."""

    nodes = (cst.Expr,)

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield `pass`."""
        assert isinstance(node, cst.Expr)
        if isinstance(node.value, cst.Call) and self.is_skipped(node.value, around):
            yield cst.Pass(semicolon=node.semicolon)

    @abstractmethod
    def is_skipped(self, call: cst.Call, around: Around) -> bool:
        """Return whether the call is one that people forget."""
