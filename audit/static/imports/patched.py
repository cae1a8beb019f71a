"""What the target's own code puts into modules of others: names that it sets, modules that it puts into `sys.modules`.

`collections.Mapping = collections.abc.Mapping` makes an import work that fails without it. Whether the line has run by
then is not followed: where the target sets such a name anywhere, nothing is claimed of it.
"""

import re
from collections.abc import Iterable
from pathlib import Path


class Patched:
    """Looks into the target's files, and reads them at the first question only: most forecasts ask none."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Read nothing yet."""
        self._paths = tuple(paths)
        self._texts: list[str] | None = None
        self._sets: dict[str, bool] = {}
        self._stands_in: dict[str, bool] = {}

    def sets(self, name: str) -> bool:
        """Whether the target sets an attribute of this name on anything."""
        if name not in self._sets:
            setting = re.compile(rf"\.{re.escape(name)}\b\s*(?::[^=\n]+)?=(?!=)")
            self._sets[name] = any(
                setting.search(text) or ("setattr(" in text and _is_quoted(name, text)) for text in self._with(name)
            )
        return self._sets[name]

    def stands_in(self, module: str) -> bool:
        """Whether the target may put something into `sys.modules` under this name."""
        if module not in self._stands_in:
            last = module.rpartition(".")[2]
            self._stands_in[module] = any(
                "sys.modules" in text and (_is_quoted(module, text) or _is_quoted(last, text))
                for text in self._with(last)
            )
        return self._stands_in[module]

    def _with(self, word: str) -> Iterable[str]:
        if self._texts is None:
            self._texts = [_text(path) for path in self._paths]
        return (text for text in self._texts if word in text)


def _is_quoted(name: str, text: str) -> bool:
    return re.search(rf"""['".]{re.escape(name)}['"]""", text) is not None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
