"""A file's text with the places of its syntax tree in it, counted in characters."""

import ast
import re
from bisect import bisect_right
from functools import cached_property

_LINE_END = re.compile(r"\r\n|\r|\n")
# What may stand between two parts of an expression and means nothing.
_BLANK = re.compile(r"(?:[ \t\f\r\n]|\\(?:\r\n|\r|\n)|#[^\r\n]*)*")
_INDENT = re.compile(r"[ \t\f]*")


class SourceText:
    """The text of one file. `ast` gives lines from 1 and columns in UTF-8 bytes; everything here is in characters."""

    def __init__(self, text: str) -> None:
        """Find the lines as Python counts them."""
        self.text = text
        self._starts = [0, *(found.end() for found in _LINE_END.finditer(text))]

    def offset(self, line: int, column: int) -> int:
        """Return the place of a line and a column as `ast` gives them."""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        content = self.text[start:end]
        return start + (column if content.isascii() else len(content.encode()[:column].decode(errors="ignore")))

    def start(self, node: ast.AST) -> int:
        """Return where `node` begins; parentheses around it are not part of it."""
        return self.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """Return where `node` ends."""
        return self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def of(self, node: ast.AST) -> str:
        """Return the text of `node`."""
        return self.text[self.start(node) : self.end(node)]

    def line_of(self, offset: int) -> int:
        """Return the line, from 1, of a place."""
        return bisect_right(self._starts, offset)

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line and the column, both from 1, of a place."""
        line = self.line_of(offset)
        return line, offset - self._starts[line - 1] + 1

    def line_start_of(self, line: int) -> int:
        """Return where a line begins."""
        return self._starts[line - 1]

    def line_start(self, offset: int) -> int:
        """Return where the line of a place begins."""
        return self._starts[self.line_of(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Return where the line of a place ends, without its line break."""
        found = _LINE_END.search(self.text, offset)
        return found.start() if found else len(self.text)

    def next_line(self, offset: int) -> int:
        """Return where the line after that of a place begins."""
        found = _LINE_END.search(self.text, offset)
        return found.end() if found else len(self.text)

    def indent(self, offset: int) -> str:
        """Return the white space at the begin of the line of a place."""
        found = _INDENT.match(self.text, self.line_start(offset))
        assert found is not None
        return found.group()

    def after_blank(self, offset: int) -> int:
        """Return the first place from `offset` on that is neither white space, comment nor line continuation."""
        found = _BLANK.match(self.text, offset)
        assert found is not None
        return found.end()

    def stands_alone(self, node: ast.stmt) -> bool:
        """Return whether nothing but a comment shares the lines of a statement with it."""
        start, end = self.start(node), self.end(node)
        before = self.text[self.line_start(start) : start]
        behind = self.text[end : self.line_end(end)].strip()
        return not before.strip() and (not behind or behind.startswith("#"))

    @cached_property
    def line_break(self) -> str:
        """The first line break of the file, which new lines get too."""
        found = _LINE_END.search(self.text)
        return found.group() if found else "\n"

    @cached_property
    def quote(self) -> str:
        """The quotation mark that the file uses more often."""
        return "'" if self.text.count("'") > self.text.count('"') else '"'

    def quoted(self, text: str) -> str:
        """Return a plain word as a string literal in the file's manner."""
        return f"{self.quote}{text}{self.quote}"
