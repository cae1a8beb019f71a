"""Executed in the child by execnet with `channel` in its globals: makes the probe's modules importable and serves.

The modules exist in memory only. Their sources are entered in `linecache`, so that a traceback through the probe shows
its lines.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import types
from collections.abc import Sequence

NAME = "_astrobio_audit_probe"


class ProbeModules(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the probe's modules from the sources that the parent sent."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = {NAME if key == "__init__" else f"{NAME}.{key}": text for key, text in sources.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find one of the probe's modules; everything else is left to the finders that follow."""
        if fullname not in self._sources:
            return None
        filename = f"<{fullname}>"
        is_package = any(name.startswith(f"{fullname}.") for name in self._sources)
        spec = importlib.util.spec_from_loader(fullname, self, origin=filename, is_package=is_package)
        text = self._sources[fullname]
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        return spec

    def get_source(self, fullname: str) -> str:
        """Return a module's text."""
        return self._sources[fullname]

    def get_code(self, fullname: str) -> types.CodeType:
        """Compile a module."""
        return compile(self._sources[fullname], f"<{fullname}>", "exec", dont_inherit=True)


def boot(channel: object) -> None:
    """Join standard output to the collected output, install the modules and answer calls until the channel closes."""
    os.dup2(2, 1)
    sys.dont_write_bytecode = True  # the target's tree is read, never written
    call_id, sources, settings = channel.receive()  # type: ignore[attr-defined]
    if NAME not in sys.modules:  # they are there in a fork of the template
        sys.meta_path.insert(0, ProbeModules(sources))
    importlib.import_module(f"{NAME}.server").serve(channel, call_id, settings)


if "channel" in globals():
    boot(globals()["channel"])
