"""SUP001: a `# noqa` that names a rule which finds nothing on its line."""

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.static.rules.rule import FixSafety, Rule, Spot

if TYPE_CHECKING:
    from audit.static.rules.context import FileContext


class UnusedNoqa(Rule):
    """The engine judges this rule, after all others: only it knows which comments were needed."""

    id = "SUP001"
    title = "A `# noqa` names a rule that finds nothing on its line"
    what = (
        "Reports `# noqa: ID` where ID is a rule of this tool that was run and found nothing on that line. Ids of "
        "other tools and a `# noqa` without ids are left alone."
    )
    why = "The comment hides the next finding of that rule on the line, which nobody has looked at."
    fix = "remove the id, or the comment"
    fix_safety = FixSafety.SAFE
    references = ("https://docs.astral.sh/ruff/rules/unused-noqa/",)
    nodes = ()
    words = ("noqa", "NOQA")
    VALID = (
        """
        import pickle


        def read(file):
            return pickle.load(file)  # noqa: SEC003
        """,
        "import os  # noqa: F401\n",
        "text = '# noqa: SEC003'\n",
        "value = 1  # noqa\n",
    )
    INVALID = (
        "value = 1  # noqa: SEC003\n",
        "value = 1  # noqa: E501, ATT001 the reason\n",
    )
    FIXED = (
        (
            """
            value = 1  # noqa: SEC003
            """,
            """
            value = 1
            """,
        ),
        (
            """
            value = 1  # noqa: E501, ATT001 the reason
            """,
            """
            value = 1  # noqa: E501 the reason
            """,
        ),
        (
            """
            value = 1  # noqa: SEC003 - a reason
            """,
            """
            value = 1  # a reason
            """,
        ),
        (
            """
            value = 1  # a reason # noqa: SEC003
            """,
            """
            value = 1  # a reason
            """,
        ),
    )

    @staticmethod
    def message(name: str) -> str:
        """Return what the user reads of an unused `name`."""
        return f"`# noqa: {name}` silences nothing: {name} finds nothing on this line"

    def judge(self, node: ast.AST, context: "FileContext") -> Iterator[Spot]:
        """Yield nothing: comments are not in the tree."""
        return iter(())
