"""A model in the wrong mode."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, receiver, text_of
from audit.mutation.operator import Around, Operator


class SwapTrainEval(Operator):
    """`train()` becomes `eval()`, and the other way round."""

    name = "swap_train_eval"
    title = "train() and eval() are exchanged"
    why = "dropout and batch statistics act where they must not: figures are wrong, or nothing is regularised"
    equivalent = "where no layer knows the two modes"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("model.train()\n", ("model.eval()\n",)),
        ("self.model.eval()\n", ("self.model.train()\n",)),
        ("model.train(False)\n", ("model.train()\n",)),
    )
    UNCHANGED = ("train()\n", "x = trainer.train(data)\n", "eval('1')\n", "df.eval('a')\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the call of the other method."""
        assert isinstance(node, cst.Call)
        if receiver(node) is None or called(node) not in ("train", "eval") or not isinstance(node.func, cst.Attribute):
            return
        if not node.args and text_of(node.func.value) != "torch":
            other = "eval" if called(node) == "train" else "train"
            yield node.with_changes(func=node.func.with_changes(attr=cst.Name(other)))
        elif len(node.args) == 1 and text_of(node.args[0].value) == "False" and called(node) == "train":
            yield node.with_changes(args=[])
