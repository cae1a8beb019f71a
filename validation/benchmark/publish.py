"""Writes a finished benchmark to where the target publishes it, named after its device."""

import re
from pathlib import Path

from audit.errors import UsageError
from audit.report.files import prepare_own_folder, write_atomically
from validation.benchmark.document import BenchmarkDocument
from validation.benchmark.markdown import render

FOLDER = Path("reports/benchmarks")


def refuse_unpublishable(commit: str | None, dirty: bool | None) -> None:
    """Refuse, before anything is measured, what could not be traced to a commit afterwards.

    Raises:
        UsageError: there is no commit, or the files differ from it, or that cannot be told.
    """
    if commit is None:
        raise UsageError("--publish: the target names no commit; publish from a git checkout")
    if dirty is not False:
        state = "has uncommitted changes" if dirty else "does not tell whether files differ from the commit"
        raise UsageError(f"--publish: the target's checkout {state}; commit, then run again")


def publish(document: BenchmarkDocument, root: Path) -> list[Path]:
    """Write the document as JSON and Markdown under the target's root; return the paths.

    Raises:
        UsageError: it is partial, has no times, is of changes that no commit has, or the target's folder is a link.
        WriteError: the disk does not take it; what stood there is unchanged.
    """
    refuse_unpublishable(document.origin.commit, document.origin.dirty)
    if document.partial:
        raise UsageError("--publish: the run was stopped before its end; run the whole benchmark")
    if not document.benchmarks:
        raise UsageError("--publish: no row has a time; there is nothing to publish")
    folder = root / FOLDER
    prepare_own_folder(folder, root=root, option="--publish")
    stem = device_slug(document.hardware.name)
    texts = {folder / f"{stem}.json": document.as_json(), folder / f"{stem}.md": render(document)}
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)


def device_slug(name: str) -> str:
    """Return a file name for a device: `NVIDIA H100 80GB HBM3` is `nvidia-h100-80gb-hbm3`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "unknown"
