"""What is kept of mutants is whole, or not there."""

import errno
import os
from pathlib import Path

import pytest

from audit.static.store import cache_folder
from audit.target import Target
from validation.mutation.kept import KeptVerdicts
from validation.mutation.selftest import Seen

SEEN = Seen(failed=None, detail="3 checks pass with it")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptVerdicts:
    """Verdicts on a small package, in a cache of their own."""
    monkeypatch.setenv("ASTROBIO_AUDIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\n')
    return KeptVerdicts(Target.load(tmp_path), "selftest", {}, enabled=True)


def files() -> list[Path]:
    return [path for path in cache_folder().rglob("*") if path.is_file()]


def test_what_was_kept_is_known(kept: KeptVerdicts) -> None:
    kept.put("one", SEEN)
    assert kept.get("one", Seen) == SEEN
    assert kept.get("other", Seen) is None
    assert len(files()) == 1


def test_what_cannot_be_written_leaves_nothing(kept: KeptVerdicts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    kept.put("one", SEEN)
    assert files() == []
    assert kept.get("one", Seen) is None
