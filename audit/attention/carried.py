"""Which definitions the target's declared attention and models carry out, as traces of their forwards show."""

import ast
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audit.gateway import ProbeFailure, TargetRaised
from audit.plan import Run
from audit.static.reading import tree_of

if TYPE_CHECKING:
    from audit.attention.traced import Frames, Trace

_MOST_NAMED = 4


@dataclass(frozen=True)
class Span:
    """The lines of a class or function in a file."""

    path: Path
    first: int
    last: int

    def holds(self, frames: "Frames") -> bool:
        """Whether one of the frames lies in it."""
        return any(self.first <= line <= self.last and Path(path) == self.path for path, line in frames)


def span_of(path: Path, qualname: str, line: int) -> Span:
    """Return the lines of a definition; where its file cannot be read again, the one where it begins."""
    tree = tree_of(path)
    if tree is None:
        return Span(path, line, line)
    body: Sequence[ast.AST] = tree.body
    found: ast.AST | None = None
    for name in qualname.split("."):
        named = [each for each in _definitions(body) if each.name == name]
        if not named:
            return Span(path, line, line)
        found = next((each for each in named if each.lineno == line), named[-1])
        body = found.body
    return Span(path, getattr(found, "lineno", line), getattr(found, "end_lineno", None) or line)


def _definitions(body: Sequence[ast.AST]) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the classes and functions of a body, in any of its branches."""
    found: list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = []
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            found += _definitions(list(ast.iter_child_nodes(node)))
    return found


@dataclass
class Carried:
    """Traces of all that is declared, made by the first who asks.

    `traces` names each declared entry with what traces its forward; what cannot be traced carries out nothing that is
    known, and its own checks say why.
    """

    traces: Sequence[tuple[str, Callable[[Run], "Trace"]]]
    _known: list[tuple[str, "Frames"]] | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def by(self, span: Span, run: Run) -> str | None:
        """Return the names of the entries that carry out attention in these lines; None where none does."""
        with self._lock:
            if self._known is None:
                self._known = list(self._traced(run))
        names = list(dict.fromkeys(name for name, frames in self._known if span.holds(frames)))
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        return ", ".join(names[:_MOST_NAMED]) + more if names else None

    def _traced(self, run: Run) -> list[tuple[str, "Frames"]]:
        from audit.attention.answers import Settled

        found: list[tuple[str, Frames]] = []
        for name, trace in self.traces:
            try:
                found += [(name, core.frames) for core in trace(run).cores]
            except (Settled, TargetRaised, ProbeFailure):
                continue
        return found
