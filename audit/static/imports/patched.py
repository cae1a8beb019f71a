"""What the target's own code puts into modules of others: names that it sets, modules that it puts into `sys.modules`.

`collections.Mapping = collections.abc.Mapping` makes an import work that fails without it. Whether the line has run by
then is not followed: where the target sets such a name anywhere, nothing is claimed of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


class Patched:
    """Looks into the target's files, and reads them at the first question only: most forecasts ask none."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Read nothing yet."""
        self._paths = tuple(paths)
        self._texts: list[str] | None = None
        self._answers: dict[tuple[str, str], bool] = {}

    def sets(self, name: str) -> bool:
        """Whether the target sets an attribute of this name on anything."""
        return self._answer("sets", name)

    def stands_in(self, module: str) -> bool:
        """Whether the target may put something into `sys.modules` under this name."""
        return self._answer("stands in", module)

    @property
    def answers(self) -> tuple[tuple[str, str, bool], ...]:
        """The questions that have been asked, with the answers."""
        return tuple(sorted((question, name, answer) for (question, name), answer in self._answers.items()))

    def still_answers(self, earlier: Iterable[tuple[str, str, bool]], *, changed: Iterable[Path]) -> bool:
        """Whether the answers of an earlier run hold, since which the files `changed` may have another content."""
        texts = [_text(path) for path in changed]
        for question, name, answer in earlier:
            now = self._answer(question, name) if answer else any(_ASKED[question](name, text) for text in texts)
            if now != answer:
                return False
            self._answers[question, name] = answer
        return True

    def _answer(self, question: str, name: str) -> bool:
        if (question, name) not in self._answers:
            if self._texts is None:
                self._texts = [_text(path) for path in self._paths]
            self._answers[question, name] = any(_ASKED[question](name, text) for text in self._texts)
        return self._answers[question, name]


def _sets(name: str, text: str) -> bool:
    if name not in text:
        return False
    setting = rf"\.{re.escape(name)}\b\s*(?::[^=\n]+)?=(?!=)"
    return re.search(setting, text) is not None or ("setattr(" in text and _is_quoted(name, text))


def _stands_in(module: str, text: str) -> bool:
    last = module.rpartition(".")[2]
    return last in text and "sys.modules" in text and (_is_quoted(module, text) or _is_quoted(last, text))


_ASKED: Mapping[str, Callable[[str, str], bool]] = {"sets": _sets, "stands in": _stands_in}


def _is_quoted(name: str, text: str) -> bool:
    return re.search(rf"""['".]{re.escape(name)}['"]""", text) is not None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
