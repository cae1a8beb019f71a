"""Which words a file holds: asked of the names and strings of its tree, which are an eighth of its text."""

import ast
import keyword
import re
from functools import cache
from operator import attrgetter

from audit.static.tree import TreeIndex

# Where the tree holds identifiers: these fields are a name or None.
_FIELDS: dict[str, str] = {
    "Name": "id",
    "Attribute": "attr",
    "arg": "arg",
    "keyword": "arg",
    "ImportFrom": "module",
    "FunctionDef": "name",
    "AsyncFunctionDef": "name",
    "ClassDef": "name",
    "ExceptHandler": "name",
    "MatchAs": "name",
    "MatchStar": "name",
    "MatchMapping": "rest",
    "TypeVar": "name",  # these three since Python 3.12
    "ParamSpec": "name",
    "TypeVarTuple": "name",
}
_LISTS: dict[str, str] = {"Global": "names", "Nonlocal": "names", "MatchClass": "kwd_attrs"}
_IDENTIFIER = re.compile(r"\w+")


class Words:
    """The words of one file, each looked for once."""

    def __init__(self, text: str, index: TreeIndex) -> None:
        """Look for none yet."""
        self._text = text
        self._index = index
        self._known: dict[str, bool] = {}
        self._names: str | None = None

    def __contains__(self, word: object) -> bool:
        """Return whether the file's code holds a word, which may be part of a longer one.

        False where the text holds it and the code does not: in comments and docstrings only.
        """
        assert isinstance(word, str)
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = self._holds(word)
        return found

    def _holds(self, word: str) -> bool:
        if self._names is None:
            self._names = _names(self._index)
        parts = _identifiers(word)
        return all(part in self._names for part in parts) and (parts == (word,) or word in self._text)


@cache
def _identifiers(word: str) -> tuple[str, ...]:
    """Return the parts of a word that are in the tree of whatever code holds it."""
    return tuple(part for part in _IDENTIFIER.findall(word) if not keyword.iskeyword(part) and not part.isdigit())


def _names(index: TreeIndex) -> str:
    """Return every identifier of a tree, and every string but those that stand alone as a statement."""
    by_name = {kind.__name__: nodes for kind, nodes in index.by_type.items()}
    found: set[str | None] = set()
    for kind, field in _FIELDS.items():
        found.update(map(attrgetter(field), by_name.get(kind, ())))
    for kind, field in _LISTS.items():
        found.update(name for node in by_name.get(kind, ()) for name in getattr(node, field))
    for alias in by_name.get("alias", ()):
        assert isinstance(alias, ast.alias)
        found |= {alias.name, alias.asname}
    alone = {statement.value for statement in by_name.get("Expr", ()) if isinstance(statement, ast.Expr)}
    constants: list[ast.Constant] = by_name.get("Constant", [])  # type: ignore[assignment]
    found.update(each.value for each in constants if isinstance(each.value, str) and each not in alone)
    return "\n".join(filter(None, found))
