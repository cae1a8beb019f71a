"""`# noqa` comments: which findings they silence, and which of them silence nothing."""

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

NOQA = re.compile(
    r"#\s*noqa(?P<colon>\s*:\s*(?P<ids>[A-Z][A-Z0-9]*[0-9]+(?:[\s,]+[A-Z][A-Z0-9]*[0-9]+)*)?)?", re.IGNORECASE
)
_ID = re.compile(r"[A-Za-z]+\d+")


@dataclass(slots=True)
class Noqa:
    """One comment. `ids` is empty where it names none, and then it silences every rule."""

    line: int
    column: int
    end_column: int
    ids: tuple[str, ...]
    used: set[str] = field(default_factory=set)

    def silences(self, names: tuple[str, ...]) -> bool:
        """Return whether the comment is about a rule that goes by `names`, and note that it was needed."""
        named = set(names) if not self.ids else set(names) & set(self.ids)
        self.used |= named
        return bool(named)


def noqa_comments(text: str) -> list[Noqa]:
    """Return the `# noqa` comments of a file; text in a string is none."""
    if "noqa" not in text.lower():
        return []
    return list(_comments(text))


def _comments(text: str) -> Iterator[Noqa]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            found = NOQA.search(token.string) if token.type == tokenize.COMMENT else None
            if found:
                line, column = token.start
                ids = tuple(each.upper() for each in _ID.findall(found["ids"] or ""))
                if found["colon"] and not ids:
                    continue  # a colon with words behind it names no rule; silencing all of them is not what it says
                start = column + found.start()
                yield Noqa(line=line, column=start + 1, end_column=column + found.end() + 1, ids=ids)
    except (tokenize.TokenError, SyntaxError):  # the parser took the file; where the tokenizer does not, no comment
        return


def is_silenced(comments: Iterable[Noqa], names: tuple[str, ...], *, first: int, last: int) -> bool:
    """Return whether a comment on the lines `first` to `last` silences a rule; all that do are noted as used."""
    used = [each for each in comments if first <= each.line <= last and each.silences(names)]
    return bool(used)
