"""A causal rule that is not there."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, enclosed, method, operand, text_of
from audit.mutation.operator import Around, Operator

_OF_CAUSALITY = frozenset({"is_causal", "causal"})


class DropCausal(Operator):
    """`is_causal` is False, a lower triangle keeps all, and an upper triangle that blocks is empty."""

    name = "drop_causal"
    title = "the causal rule is dropped"
    why = "every token sees the future: the loss is wonderful and the model cannot write"
    equivalent = "where there is one query, as in decoding"
    nodes = (cst.Call, cst.Arg)
    EXAMPLES = (
        ("y = attend(q, is_causal=True)\n", ("y = attend(q, is_causal=False)\n",)),
        ("y = attend(q, causal=self.causal)\n", ("y = attend(q, causal=False)\n",)),
        ("m = torch.ones(n, n).tril()\n", ("m = torch.ones(n, n)\n",)),
        ("m = torch.triu(ones, diagonal=1)\n", ("m = ones.new_zeros(ones.shape)\n",)),
    )
    UNCHANGED = ("y = attend(q, is_causal=False)\n", "def f(is_causal=True):\n    pass\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the argument as False, or the matrix without its triangle."""
        if isinstance(node, cst.Arg):
            if node.keyword and node.keyword.value in _OF_CAUSALITY and text_of(node.value) != "False":
                yield node.with_changes(value=cst.Name("False"))
        elif isinstance(node, cst.Call) and (of := operand(node)) is not None:
            if called(node) == "tril":
                yield of
            elif called(node) == "triu":
                yield method(of, "new_zeros", f"{text_of(enclosed(of))}.shape")
