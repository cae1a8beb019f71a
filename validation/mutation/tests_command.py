"""The owner's command that runs the tests: what it is, and how it is run in a copy."""

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.errors import UsageError
from audit.gateway.commands import environment
from audit.gateway.processes import output_of
from audit.target import Target, available_cores
from validation.mutation import recorder_file

_PYTHONS = ("python", "python3")
_ASKED = ("pytest", "coverage", "xdist", "pytest_cov")
_ASKING = (
    "import importlib.util as u, json, sys; print(json.dumps({n: u.find_spec(n) is not None for n in sys.argv[1:]}))"
)
# What one pytest, or a run under its coverage, tells another by the environment.
_OF_OTHERS = ("PYTEST_XDIST", "PYTEST_CURRENT_TEST", "COV_CORE", "COVERAGE_")


@dataclass(frozen=True, kw_only=True)
class TestsCommand:
    """A command with what the target's interpreter has for it; `is_pytest` says whether single tests are known."""

    __test__ = False  # pytest would collect it by its name

    text: str
    words: tuple[str, ...]
    is_pytest: bool
    sees_lines: bool = False

    def environment(self, target: Target, root: Path, folder: Path, *, workers: int) -> dict[str, str]:
        """Return the environment of a run in the copy at `root`; what it leaves behind goes into `folder`."""
        known = {name: value for name, value in environment().items() if not name.startswith(_OF_OTHERS)}
        source = root / target.source.relative_to(target.root)
        given = [entry for entry in known.get("PYTHONPATH", "").split(os.pathsep) if entry]
        paths = [str(folder / "plugin"), str(source), str(root), *(_moved(entry, target.root, root) for entry in given)]
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            "OMP_NUM_THREADS": str(max(1, available_cores() // workers)),
            **known,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
            "PATH": os.pathsep.join((str(target.python.parent), known.get("PATH", os.defpath))),
            "PYTHONHASHSEED": str(target.settings.seed % 2**32),
            "TMPDIR": str(temporary),
            "ASTROBIO_AUDIT_ROOT": str(root),
            "ASTROBIO_AUDIT_PACKAGE": target.package,
        }


def _moved(entry: str, old: Path, new: Path) -> str:
    path = Path(entry).absolute()
    return str(new / path.relative_to(old)) if path.is_relative_to(old) else entry


def prepare_plugin(folder: Path) -> None:
    """Put the plug-in where the target's pytest finds it, and nothing else of ours."""
    place = folder / "plugin"
    place.mkdir(exist_ok=True)
    shutil.copyfile(recorder_file.PATH, place / f"{recorder_file.NAME}.py")


def read_command(text: str, target: Target) -> TestsCommand:
    """Return what `--tests` asks for.

    Raises:
        UsageError: it is no command, or the program is not there.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--tests {text!r}: {error}") from error
    if not words:
        raise UsageError('--tests: name the command that runs your tests, such as --tests "pytest tests"')
    first = Path(words[0]).name
    if first in ("pytest", "py.test"):
        return _pytest(text, words[1:], target)
    if first in _PYTHONS and words[1:3] == ["-m", "pytest"]:
        return _pytest(text, words[3:], target)
    program = str(target.python) if words[0] in _PYTHONS else _found(words[0], target)
    if program is None:
        raise UsageError(f"--tests {text!r}: there is no program {words[0]}")
    return TestsCommand(text=text, words=(program, *words[1:]), is_pytest=False)


def _found(program: str, target: Target) -> str | None:
    if "/" in program:
        return program if program.startswith("/") and os.access(program, os.X_OK) else _inside(program, target)
    path = os.pathsep.join((str(target.python.parent), os.environ.get("PATH", os.defpath)))
    return shutil.which(program, path=path)


def _inside(program: str, target: Target) -> str | None:
    """Return a program of the target as it is written, which is looked up in the copy."""
    return program if os.access(target.root / program, os.X_OK) else None


def _pytest(text: str, arguments: list[str], target: Target) -> TestsCommand:
    has = _installed(target)
    if not has.get("pytest"):
        raise UsageError(f"--tests {text!r}: {target.python} has no pytest; install it there, or name --python")
    words = [str(target.python), "-m", "pytest", *arguments, "-p", recorder_file.NAME]
    if not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):  # else they are installed and their options unknown
        words += ["-n", "0"] if has.get("xdist") else []
        words += ["--no-cov"] if has.get("pytest_cov") else []
    return TestsCommand(text=text, words=tuple(words), is_pytest=True, sees_lines=bool(has.get("coverage")))


def _installed(target: Target) -> Mapping[str, bool]:
    said = output_of(target.python, "-c", _ASKING, *_ASKED, max_bytes=10_000, timeout_s=60.0)
    try:
        answer = json.loads(said or "{}")
    except ValueError:
        answer = {}
    return {name: answer.get(name) is True for name in _ASKED} if isinstance(answer, dict) else {}
