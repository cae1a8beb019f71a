"""The command lines in a document, in words."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from validation.readiness.documents.writing import Block, Document

PLACEHOLDER = "PLACEHOLDER"
_SHELLS = frozenset(
    ("", "bash", "sh", "shell", "zsh", "console", "shell-session", "shellsession", "text", "txt", "none", "yaml", "yml")
)
_PROMPT = re.compile(r"^\s*[$%>]\s+")
_OF_YAML = re.compile(r"^\s*(?:-\s+)?(?:run|entry|script|command):\s+")
_STANDS_FOR = re.compile(
    r"<[A-Za-z][\w .:/-]{0,60}>|\$\{\{[^}]{0,200}\}\}|\$\([^)]{0,200}\)|\$\{[^}]{0,100}\}|\{[a-z_]{1,40}\}"
)
_BRACKETS = re.compile(r"[\[\]]|\.\.\.|…")
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
_OPERATORS = "|&;<>()"
_REDIRECTIONS = frozenset({">", ">>", "<", "<<", "2>", "&>", ">&"})
_FOLDER = re.compile(r"^(?:\S*/)?(?:bin|Scripts)/")
_MAX_LINE = 4000


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command in words, the first one the program. `is_whole` says that it stands in a block of code.

    `source` is the whole line, and `block` the block of code that it stands in.
    """

    line: int
    words: tuple[str, ...]
    is_whole: bool
    source: str
    block: Block | None = None


def command_lines(document: Document, programs: Iterable[str]) -> Iterator[CommandLine]:
    """Yield the commands of a document that start one of the programs."""
    wanted = frozenset(programs)
    for block in document.blocks:
        if block.language in _SHELLS or block.language.startswith(("bash", "console")):
            yield from _in_block(block, wanted)
    for line, code in document.inline():
        yield from _commands(code, line, wanted, is_whole=False)


def _in_block(block: Block, wanted: frozenset[str]) -> Iterator[CommandLine]:
    prompted = any(_PROMPT.match(line) for line in block.lines)
    joined, begun = "", 0
    for number, line in enumerate(block.lines, start=block.line):
        if not joined:
            if prompted and not _PROMPT.match(line):
                continue
            begun = number
        joined += line
        if joined.endswith("\\") and number < block.line + len(block.lines) - 1:
            joined = joined[:-1] + " "
            continue
        text = _OF_YAML.sub("", _PROMPT.sub("", joined))
        for command in _commands(text, begun, wanted, is_whole=True):
            yield CommandLine(command.line, command.words, is_whole=True, source=text, block=block)
        joined = ""


def _commands(text: str, line: int, wanted: frozenset[str], *, is_whole: bool) -> Iterator[CommandLine]:
    if len(text) > _MAX_LINE or not any(program in text for program in wanted):
        return
    for words in words_of(_BRACKETS.sub(" ", text)) or ():
        while words and _ASSIGNMENT.match(words[0]):
            words = words[1:]
        if words and (program := _FOLDER.sub("", words[0])) in wanted:
            yield CommandLine(line, (program, *words[1:]), is_whole, text)


def words_of(text: str) -> list[list[str]] | None:
    """Return the commands of a line, each in words; what stands for something else is one word.

    None where a quotation mark is missing. Files that output is led to are no words of a command.
    """
    lexer = shlex.shlex(_STANDS_FOR.sub(PLACEHOLDER, text), posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    skips = False
    try:
        for word in lexer:
            if word.startswith("#"):
                break
            if skips:
                skips = False
            elif set(word) <= set(_OPERATORS):
                skips = word in _REDIRECTIONS
                if skips:
                    _drop_descriptor(commands[-1])
                else:
                    commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:
        return None
    return [command for command in commands if command]


def _drop_descriptor(words: list[str]) -> None:
    if words and words[-1] in ("1", "2"):
        words.pop()
