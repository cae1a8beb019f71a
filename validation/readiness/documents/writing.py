"""A document in parts: its blocks of code, its code within sentences, and its prose."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from audit.static.rules.project_texts import Text

_FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<info>[^`]*)$")
# What stands above a block of code in reStructuredText: a directive, or any words that end with two colons.
_CODE = re.compile(r"^\.\. (?:code-block|code|sourcecode|prompt)::\s*(\S*)|^(?!\.\. ).*::$")
_INLINE_RST = re.compile(r"(?<!`)(``)(?!`)(.{1,500}?)(?<!`)``(?!`)", re.DOTALL)  # a single mark is a role or a link
_INLINE = re.compile(r"(?<!`)(`+)(?!`)(.{1,500}?)(?<!`)\1(?!`)", re.DOTALL)
_COMMENT = re.compile(r"<!--(?:(?!<!--|-->).){0,2000}-->", re.DOTALL)
_MAX_FENCE = 200
_BLANK = re.compile(r"[^\n]")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: the word behind its fence, the number of its first line, its lines, the line above it."""

    language: str
    line: int
    lines: tuple[str, ...]
    above: str


@dataclass(frozen=True)
class Document:
    """A document with what is code in it taken apart from what is not."""

    text: Text

    @property
    def path(self) -> str:
        """Relative to the project's root."""
        return self.text.path

    @property
    def is_markdown(self) -> bool:
        """Whether it is read as Markdown; a README without a suffix is, too."""
        return not self.path.lower().endswith((".rst", ".txt"))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The fenced blocks, and those that reStructuredText says are code."""
        return tuple(_fenced(self.text.lines)) if self.is_markdown else tuple(_indented(self.text.lines))

    @cached_property
    def outside(self) -> str:
        """The whole text, with blocks of code and comments as blanks: every place keeps its line."""
        lines = list(self.text.lines)
        for block in self.blocks:
            for number in range(block.line - 1, block.line - 1 + len(block.lines)):
                lines[number] = ""
        return _COMMENT.sub(_blanked, "\n".join(lines))

    @cached_property
    def prose(self) -> str:
        """The same without the code within sentences."""
        return (_INLINE if self.is_markdown else _INLINE_RST).sub(_blanked, self.outside)

    def inline(self) -> Iterator[tuple[int, str]]:
        """Yield the code within sentences, each with its line."""
        line = end = 0
        for found in _INLINE.finditer(self.outside):
            line += self.outside.count("\n", end, found.start())
            end = found.start()
            if "\n\n" not in found[2]:
                yield line + 1, " ".join(found[2].split())


def _blanked(found: re.Match[str]) -> str:
    return _BLANK.sub(" ", found.group())


def _fenced(lines: tuple[str, ...]) -> Iterator[Block]:
    opened: tuple[int, str, str, str] | None = None
    above = ""
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line) if len(line) <= _MAX_FENCE else None
        if opened is None:
            if fence:
                info = fence["info"].strip().split(" ")[0].strip("{}").lower()
                opened = (number, fence["fence"], info, above)
            elif line.strip():
                above = line.strip()
        elif fence and fence["fence"].startswith(opened[1]) and not fence["info"].strip():
            yield Block(opened[2], opened[0] + 1, lines[opened[0] : number - 1], opened[3])
            opened, above = None, ""


def _indented(lines: tuple[str, ...]) -> Iterator[Block]:
    begin: int | None = None
    above = ""
    for number, line in enumerate((*lines, "end"), start=1):
        if line.startswith(("   ", "\t")):
            begin = begin or number
        elif line.strip():
            if begin is not None and (code := _CODE.search(above)):
                yield Block((code[1] or "").lower(), begin, lines[begin - 1 : number - 1], above)
            begin, above = None, line.strip()
