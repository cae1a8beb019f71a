"""`# noqa` comments: which findings they silence, and which of them silence nothing."""

import io
import re
import tokenize
from collections.abc import Iterable, Iterator

from audit.static.findings import NoqaComment

_NOQA = re.compile(
    r"#\s*noqa(?P<colon>\s*:\s*(?P<ids>[A-Z][A-Z0-9]*[0-9]+(?:[\s,]+[A-Z][A-Z0-9]*[0-9]+)*)?)?", re.IGNORECASE
)
_WORD = re.compile("noqa", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z]+\d+")


def noqa_comments(text: str) -> list[NoqaComment]:
    """Return the `# noqa` comments of a file; text in a string is none."""
    if not _WORD.search(text):
        return []
    return list(_comments(text))


def _comments(text: str) -> Iterator[NoqaComment]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            found = _NOQA.search(token.string) if token.type == tokenize.COMMENT else None
            if found:
                line, column = token.start
                ids = tuple(each.upper() for each in _ID.findall(found["ids"] or ""))
                if found["colon"] and not ids:
                    continue  # a colon with words behind it names no rule; silencing all of them is not what it says
                start = column + found.start()
                yield NoqaComment(line=line, column=start + 1, end_column=column + found.end() + 1, ids=ids)
    except (tokenize.TokenError, SyntaxError):  # the parser took the file; where the tokenizer does not, no comment
        return


def silencing(
    comments: Iterable[NoqaComment], names: tuple[str, ...], *, first: int, last: int
) -> list[tuple[NoqaComment, str]]:
    """Return the comments on the lines `first` to `last` that silence a rule which goes by `names`, each with the name.

    A comment without ids silences by every name.
    """
    return [
        (each, name)
        for each in comments
        if first <= each.line <= last
        for name in names
        if not each.ids or name in each.ids
    ]
