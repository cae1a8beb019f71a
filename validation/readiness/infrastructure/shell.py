"""Which files, make targets and modules of a project a piece of shell calls; nothing is run."""

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePosixPath

from validation.readiness.documents.command_lines import PLACEHOLDER, words_of

_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_EXPRESSION = re.compile(r"\$\{\{.{0,300}?\}\}")
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*\+?=")
_OWN_FOLDER = re.compile(r"\$\(\s*(?:cd\s+[^)]*)?dirname[^)]*\)|\$\{?(?:0|BASH_SOURCE(?:\[0\])?)%/\*\}?")
_UNKNOWN = re.compile(rf"[$`*?~{{}}]|{PLACEHOLDER}")
_PREFIXES = frozenset({
    "if", "then", "else", "elif", "do", "while", "until", "!", "{", "exec", "time", "sudo", "env", "command", "nohup",
    "xvfb-run", "eval", "-", "@",
})  # fmt: skip
_SHELLS = frozenset({"bash", "sh", "source", ".", "zsh", "dash"})
_PYTHON = re.compile(r"^(?:\S*/)?python[\d.]*$|^\$\{?\(?(?:PYTHON|python)\)?\}?$")
INSTALLED = re.compile(r"(?:^|/)(?:bin|Scripts)/[^/]+$")
_PIP = re.compile(r"^(?:\S*/)?pip[\d.]*$")
MADE = ("venv/", ".venv/", "env/", "build/", "dist/", "target/", "node_modules/", "_build/", "out/", "bin/", "/", "~")
_MAX_LINES, _MAX_LINE, _MAX_CHARACTERS = 5000, 4000, 256 * 1024  # of a piece; people write less


class Uses:
    """Kinds of what a command calls."""

    FILE = "file"
    TARGET = "make target"
    MODULE = "module"


@dataclass(frozen=True, slots=True)
class Call:
    """What a command calls, on a line of the piece; of a file or a Makefile the path relative to the root."""

    line: int
    kind: str
    name: str
    folder: str = "."


def calls_of(text: str, *, folder: str, own_folder: str) -> Iterator[Call]:
    """Yield what a piece of shell calls, each once, as far as the text tells it.

    Args:
        text: the shell.
        folder: where it is started, relative to the project's root.
        own_folder: where its file lies, for `cd "$(dirname "$0")"`.
    """
    here: str | None = folder
    seen: set[tuple[str, str, str]] = set()
    ends_with = ""
    joined, begun = "", 0
    text = text[:_MAX_CHARACTERS]
    for number, line in enumerate(text.split("\n")[:_MAX_LINES], start=1):
        if len(line) > _MAX_LINE:
            continue
        if ends_with:
            ends_with = "" if line.strip() == ends_with else ends_with
            continue
        begun = begun if joined else number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        whole, joined = joined, ""
        if heredoc := _HEREDOC.search(whole):
            ends_with = heredoc[1]
        moved = _moved(whole, here, own_folder)
        if moved is not _STAYS:
            here = moved
            continue
        if here is None:
            continue
        for words in words_of(_EXPRESSION.sub(PLACEHOLDER, whole)) or ():
            for call in _called(words, here):
                key = (call.kind, call.name, call.folder)
                if key not in seen and not _is_made(call, text, begun):
                    yield replace(call, line=begun)
                seen.add(key)


_STAYS = "\0"


def _moved(line: str, here: str | None, own_folder: str) -> str | None:
    """Return the folder after a line that changes it; None where it is not known then."""
    words = line.strip()
    if not re.match(r"(?:cd|pushd|popd)\b", words):
        return None if here is not None and re.search(r"[;&(]\s*(?:cd|pushd)\s", words) else _STAYS
    rest = words.partition(" ")[2].split("&&")[0].split("||")[0].split(";")[0].strip().strip("\"'")
    rest = rest.removeprefix("--").strip().strip("\"'")
    if own := _OWN_FOLDER.search(rest):
        left = rest[own.end() :].replace('"', "").replace(")", "").strip("/")
        return None if _UNKNOWN.search(left) else _joined(own_folder, left)
    if not rest or _UNKNOWN.search(rest) or rest.startswith(("/", "-")) or here is None:
        return None
    return _joined(here, rest)


def from_program(words: list[str]) -> list[str]:
    """Return the words of a command from its program on, without what stands before it."""
    while words and (words[0] in _PREFIXES or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    return words


def _called(words: list[str], here: str) -> Iterator[Call]:
    words = from_program(words)
    if not words:
        return
    program, arguments = words[0].lstrip("@-"), words[1:]
    if INSTALLED.search(program):
        program = program.rpartition("/")[2]
    plain = [word for word in arguments if not word.startswith("-")]
    if program in _SHELLS:
        if plain and not any(word.startswith("-") and "c" in word for word in arguments[:1]):
            yield from _file(plain[0], here)
    elif _PYTHON.match(program):
        yield from _python(arguments, here)
    elif _PIP.match(program) or (program == "uv" and "pip" in plain[:1]):
        yield from _requirements(arguments, here)
    elif program == "make":
        yield from _made(arguments, here)
    elif program == "pytest":
        yield from (
            call
            for word in plain
            if "/" in word or word.endswith(".py")
            for call in _file(word.partition("::")[0], here)
        )
    elif "/" in program:
        yield from _file(program, here)


def _python(arguments: list[str], here: str) -> Iterator[Call]:
    for index, word in enumerate(arguments):
        if word == "-m" and index + 1 < len(arguments):
            module = arguments[index + 1]
            if module == "pip":
                yield from _requirements(arguments[index + 2 :], here)
            elif module == "pytest":
                yield from _called(["pytest", *arguments[index + 2 :]], here)
            elif not _UNKNOWN.search(module):
                yield Call(0, Uses.MODULE, module, here)
            return
        if word == "-c" or word == "-":
            return
        if not word.startswith("-"):
            if word.endswith(".py"):
                yield from _file(word, here)
            return


def _requirements(arguments: list[str], here: str) -> Iterator[Call]:
    if not {"install", "download", "wheel", "sync"} & {*arguments}:
        return
    for option, value in pairwise(arguments):
        if option in ("-r", "-c", "--requirement", "--constraint", "--constraints"):
            yield from _file(value, here)
        elif option in ("-e", "--editable") and value.startswith("./"):
            yield from _file(value.partition("[")[0], here)


def _made(arguments: list[str], here: str) -> Iterator[Call]:
    folder, targets, skips = here, [], False
    for index, word in enumerate(arguments):
        if skips:
            skips = False
        elif word in ("-C", "--directory") and index + 1 < len(arguments):
            folder, skips = _joined(here, arguments[index + 1]), True
        elif word in ("-f", "--file", "--makefile"):
            return  # another file than the usual one
        elif word in ("-j", "-l", "-o", "-W") and arguments[index + 1 : index + 2] and arguments[index + 1].isdigit():
            skips = True
        elif not word.startswith("-") and "=" not in word:
            targets.append(word)
    for target in targets:
        if not _UNKNOWN.search(target) and not _UNKNOWN.search(folder):
            yield Call(0, Uses.TARGET, target, folder)


def _file(word: str, here: str) -> Iterator[Call]:
    if not _UNKNOWN.search(word) and not word.startswith(MADE) and ":" not in word:
        yield Call(0, Uses.FILE, _joined(here, word), here)


def _is_made(call: Call, text: str, line: int) -> bool:
    """Return whether a file is fetched, written or asked for before it is called."""
    if call.kind != Uses.FILE:
        return False
    name = PurePosixPath(call.name).name
    before = "\n".join(text.split("\n")[: line - 1])
    tested = re.search(rf"(?:\[|\btest)\s+(?:!\s+)?-\w\s+[\"']?\S*{re.escape(name)}", text)
    return bool(tested) or name in before or f"> {name}" in text or f"-o {name}" in text or f"-O {name}" in text


def _joined(folder: str, path: str) -> str:
    parts: list[str] = []
    for part in (*folder.split("/"), *path.split("/")):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


def make_targets(text: str) -> tuple[frozenset[str], tuple[str, ...], bool]:
    """Return the targets of a Makefile, its patterns, and whether more may come from files that it includes."""
    found: set[str] = set()
    for line in text.split("\n"):
        rule = re.match(r"^([^\s#:=][^#:=]{0,500}?)\s*::?(?!=)", line)
        if rule:
            found.update(rule[1].split())
    patterns = tuple(name for name in found if "%" in name or "$" in name)
    return frozenset(found), patterns, bool(re.search(r"^-?s?include\s", text, re.MULTILINE))


def is_target(name: str, targets: frozenset[str], patterns: tuple[str, ...]) -> bool:
    """Return whether a Makefile has a target, by its name or by a pattern."""
    return name in targets or any("$" in each or fnmatch.fnmatch(name, each.replace("%", "*")) for each in patterns)
