"""Runs reproducer scripts in the target's process, one after another, until one shows its defect."""

import contextlib
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_MOST_SAID = 2_000


def reproduce(scripts: list[str], root: str, seconds: float) -> dict[str, object]:
    """Run the scripts in order until one exits 1, or the time is over.

    Args:
        scripts: texts, as they would be run in the folder `root`; the simplest comes first.
        root: the target's root.
        seconds: of the processor, after which no further one is begun; of time, five times as many.

    Returns:
        `index` of the one that exited 1, else None; its `error` and `bound`; `said`: what the last one printed.
    """
    begun, worked = time.monotonic(), time.process_time()
    said = ""
    for index, text in enumerate(scripts):
        names: dict[str, object] = {"__name__": "__main__"}
        printed = io.StringIO()
        code: object = None
        with _as_before(root), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            sys.argv = ["reproducer.py", root]
            try:
                exec(compile(text, "<reproducer>", "exec", dont_inherit=True), names)
            except SystemExit as ended:
                code = ended.code
        said = printed.getvalue()[-_MOST_SAID:]
        measured = names.get("MEASURED")
        if code == 1 and isinstance(measured, dict):
            return {"index": index, "said": said, "error": float(measured["error"]), "bound": float(measured["bound"])}
        if time.process_time() - worked > seconds or time.monotonic() - begun > 5 * seconds:
            break
    return {"index": None, "said": said, "error": None, "bound": None}


@contextlib.contextmanager
def _as_before(root: str) -> Iterator[None]:
    """Take back what a script changes of the process; modules of the target that it has loaded are loaded anew."""
    argv, path, loaded = list(sys.argv), list(sys.path), set(sys.modules)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
        for name in set(sys.modules) - loaded:
            file = getattr(sys.modules[name], "__file__", None)
            if isinstance(file, str) and Path(file).is_relative_to(root):
                del sys.modules[name]
