"""Which words a file holds: asked of the names and strings of its tree, which are an eighth of its text."""

import keyword
import re
from functools import cache

from audit.static.tree import TreeIndex

_IDENTIFIER = re.compile(r"\w+")


class Words:
    """The words of one file, each looked for once."""

    def __init__(self, text: str, index: TreeIndex) -> None:
        """Look for none yet."""
        self._text = text
        self._names = index.vocabulary
        self._known: dict[str, bool] = {}

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
        names = self._names
        if word in names:  # then its parts are there as well
            return True
        for part in _identifiers(word):
            if part == word or part not in names:
                return False
        return word in self._text


@cache
def _identifiers(word: str) -> tuple[str, ...]:
    """Return the parts of a word that are in the tree of whatever code holds it."""
    return tuple(part for part in _IDENTIFIER.findall(word) if not keyword.iskeyword(part) and not part.isdigit())
