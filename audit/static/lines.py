"""The physical lines of a file's text, numbered as the parser numbers them."""

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate

from audit.static.reading import sha256

_LINE_END = re.compile(r"\r\n|\r|\n")
_WITH_END = (1).__add__
_CLASS = re.compile(r"class\b")


class SourceLines:
    """Lines of a text, counted from 1; only `\\n`, `\\r\\n` and `\\r` end one."""

    def __init__(self, text: str) -> None:
        """Find the line starts of `text`."""
        self._text = text
        self._starts = _line_starts(text)

    @cached_property
    def _class_lines(self) -> list[int]:
        return [line for found in _CLASS.finditer(self._text) for line in self._indented(found.start())]

    def _indented(self, offset: int) -> Iterator[int]:
        """Yield the line of `offset` where it is the first thing on an indented line."""
        line = bisect_right(self._starts, offset)
        if self._text[self._starts[line - 1] : offset].isspace():
            yield line

    def line_at(self, offset: int) -> int:
        """Return the line of the character at `offset`."""
        return bisect_right(self._starts, offset, hi=len(self._starts) - 1) or 1

    def end_of(self, line: int) -> int:
        """Return the offset behind a line and its end."""
        return self._starts[min(line, len(self._starts) - 1)]

    def text(self, first: int, last: int) -> str:
        """Return the lines `first` to `last` with their ends."""
        last = min(last, len(self._starts) - 1)
        return self._text[self._starts[first - 1] : self._starts[last]]

    def source(self, node: ast.expr) -> str:
        """Return the text of an expression; one over several lines is put on one, without its comments."""
        if node.lineno != node.end_lineno:
            return ast.unparse(node)
        line = self._text[self._starts[node.lineno - 1] : self._starts[node.lineno]]
        if line.isascii():  # the parser counts bytes of UTF-8
            return line[node.col_offset : node.end_col_offset]
        return line.encode()[node.col_offset : node.end_col_offset].decode()

    def digest(self, first: int, last: int) -> str:
        """Return the SHA-256 of the lines `first` to `last` with their ends, in UTF-8."""
        return sha256(self.text(first, last).encode())

    def may_define_class(self, first: int, last: int) -> bool:
        """Return whether a line in the range begins with spaces and the word `class`; text in a string counts too."""
        position = bisect_left(self._class_lines, first)
        return position < len(self._class_lines) and self._class_lines[position] <= last


def lines_of(text: str) -> list[str]:
    """Return the lines without their ends."""
    return _LINE_END.split(text) if "\r" in text else text.split("\n")  # the pattern takes three times as long


def _line_starts(text: str) -> list[int]:
    """Return the offset of every line, and the end of the text twice where its last line has an end."""
    if "\r" in text:
        return [0, *(found.end() for found in _LINE_END.finditer(text)), len(text)]
    return [0, *accumulate(map(_WITH_END, map(len, text.split("\n")[:-1]))), len(text)]  # no step of it in Python
