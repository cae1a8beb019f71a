"""Judges a documented command of the target's own by its sources alone: nothing of the target is run."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from validation.readiness.project import Project

_OPTION = re.compile(r"^--([A-Za-z][\w-]*)(?:=.*)?$")
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_-]*")
_HAS_COMMANDS = re.compile(
    r"add_subparsers\(|add_parser\(|\.command\(|\.add_command\(|add_typer\(|\.group\(|fire\.Fire\("
)
_PLUG_INS = re.compile(r"\bentry_points\(|load_setuptools_entrypoints|stevedore")
_TESTS = re.compile(r"(?:^|/)(?:tests?|testing|docs?|examples?)/")
# Words that a parser knows by itself.
_BUILT_IN = frozenset({"help", "h", "version", "install-completion", "show-completion", "no"})
_MAX_BYTES = 2 * 1024 * 1024


class OwnScripts:
    """The commands that a project declares, and the words of its sources."""

    def __init__(self, project: Project) -> None:
        """Read nothing yet."""
        self._project = project
        self.started: Mapping[str, str] = project.scripts

    @cached_property
    def _words(self) -> frozenset[str]:
        """Every word of the package's files, with `-` in place of `_`."""
        found: set[str] = set()
        for content in self._sources.values():
            found.update(word.replace("_", "-").strip("-") for word in set(_WORD.findall(content)))
        return frozenset(found)

    @cached_property
    def _has_commands(self) -> bool:
        own = (content for path, content in self._sources.items() if not _TESTS.search(path))
        return any(map(_HAS_COMMANDS.search, own))

    @cached_property
    def _takes_plug_ins(self) -> bool:
        return any(_PLUG_INS.search(content) for content in self._sources.values())

    @cached_property
    def _sources(self) -> dict[str, str]:
        found = {}
        beside = (path for path in self._project.files if path.endswith(".py"))
        for path in dict.fromkeys((*self._project.modules.values(), *beside)):
            place = self._project.root / path
            try:
                if place.is_file() and place.stat().st_size <= _MAX_BYTES:
                    found[path] = place.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # a file that cannot be read fails `static.parses`
        return found

    def problem_of(self, words: Sequence[str]) -> str | None:
        """Return what is wrong with a command whose first word is a declared one; None where nothing is seen.

        An option or a command that the sources name nowhere does not exist. One that they name may.
        """
        if self._takes_plug_ins:  # which may bring options and commands of their own
            return None
        program, *others = words
        positional = next((word for word in others if not word.startswith("-")), None)
        for word in others:
            option = _OPTION.match(word)
            if option and not self._is_named(option[1]):
                return f"`{program}`: no source of {self._project.package} names the option {word.partition('=')[0]}"
        is_first = bool(others) and others[0] == positional
        may_be_command = positional and is_first and _IDENTIFIER.fullmatch(positional) and self._has_commands
        if may_be_command and not self._is_named(positional or ""):
            return f"`{program}`: no source of {self._project.package} names the command {positional!r}"
        return None

    def _is_named(self, word: str) -> bool:
        name = word.replace("_", "-").lower()
        plain = name.removeprefix("no-")
        known = self._lower
        return name in known or plain in known or name in _BUILT_IN

    @cached_property
    def _lower(self) -> frozenset[str]:
        return frozenset(word.lower() for word in self._words)
