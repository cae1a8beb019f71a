"""API011: `import torchvision.models as models`."""

import ast
from collections.abc import Callable, Iterator

from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Rule, Spot


class SingletonImport(Rule):
    """A matter of style."""

    id = "API011"
    title = "`import torchvision.models as models`"
    what = "Reports `import torchvision.X as X` for `datasets`, `models` and `transforms`."
    why = "`from torchvision import X` says the same once."
    fix = "write `from torchvision import ...`"
    fix_safety = FixSafety.SAFE
    references = ("https://github.com/pytorch-labs/torchfix",)
    default_on = False
    off_because = "a matter of style; nothing computes something else"
    precision = Precision(findings=3, sampled=3, false=0)
    nodes = (ast.Import,)
    words = ("torchvision",)
    also_silenced_by = ("TOR203",)
    VALID = (
        "from torchvision import models\n",
        "import torchvision.models\n",
        "import torchvision.models as tm\n",
    )
    INVALID = (
        "import torchvision.models as models\n",
        "import torchvision.transforms as transforms\n",
    )
    FIXED = (
        (
            """
            import torchvision.models as models  # the zoo
            """,
            """
            from torchvision import models  # the zoo
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield an import of a submodule under its own name."""
        assert isinstance(node, ast.Import)
        for alias in node.names:
            if alias.asname in ("datasets", "models", "transforms") and alias.name == f"torchvision.{alias.asname}":
                message = f"`import {alias.name} as {alias.asname}` says the name twice"
                yield Spot(alias, message, edits=_edits(node) if len(node.names) == 1 else None)


def _edits(node: ast.Import) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        statement = f"from torchvision import {node.names[0].asname}"
        lost = "#" in source.of(node)
        return None if lost else fix([Edit(source.start(node), source.end(node), statement)], FixSafety.SAFE)

    return edits
