"""The probe's sources, as they are sent into the child."""

import functools
from collections.abc import Sequence
from pathlib import Path

from audit import probe
from audit.gateway import supervisor

_FOLDER = Path(probe.__file__).parent
_PROGRAMS = ("bootstrap", "template")  # executed, not imported


@functools.cache
def sources() -> dict[str, str]:
    """Return the text of every module of the probe by its name, such as `server` or `guess.loading`."""
    return {
        _name(path): path.read_text(encoding="utf-8")
        for path in sorted(_FOLDER.rglob("*.py"))
        if path.stem not in _PROGRAMS
    }


def _name(path: Path) -> str:
    """Return a module's name below the probe's; a package of it is named as its folder is."""
    parts = path.relative_to(_FOLDER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@functools.cache
def bootstrap_source() -> str:
    """Return the text that execnet executes in the child."""
    return (_FOLDER / "bootstrap.py").read_text(encoding="utf-8")


def template_line(said: int, ahead: Sequence[str] = ()) -> bytes:
    """Return the line that makes a Python that waits for execnet's first line a template of such.

    Args:
        said: descriptor, in that process, from which what it prints can be read.
        ahead: modules that it imports beside torch.
    """
    program = f"""
def _template():
    def executed(text):
        namespace = {{"__name__": "_template"}}
        exec(text, namespace)
        return namespace
    from types import SimpleNamespace
    serve = executed({(_FOLDER / "template.py").read_text(encoding="utf-8")!r})["serve"]
    supervisor = SimpleNamespace(**executed({Path(supervisor.__file__).read_text(encoding="utf-8")!r}))
    serve(supervisor, executed({bootstrap_source()!r}), {sources()!r}, {said}, {tuple(ahead)!r})
_template()
del _template
globals().pop("__warningregistry__", None)
exec(eval(sys.stdin.readline()))
"""
    return f"{program!a}\n".encode()
