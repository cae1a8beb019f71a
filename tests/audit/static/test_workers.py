"""Worker processes: same facts as in one process, a death costs one file, and no worker outlives its caller."""

import builtins
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static import records, workers
from audit.static.analysis import analyse
from audit.static.discovery import discover
from audit.static.reading import ParsedFile, UnreadableFile
from audit.static.records import analyse_files
from audit.static.sources import SourceFile
from audit.static.summary import names_of
from audit.static.workers import AnalyserError

Tree = Callable[[Mapping[str, str | bytes]], Path]
HOUSE = Path(__file__).parents[3]

SOURCES: dict[str, str | bytes] = {
    **{f"pkg/m{n}.py": f"from torch import nn\nclass M{n}(nn.Module):\n    x{n} = {n}\n" for n in range(12)},
    "pkg/__init__.py": "from .m1 import *\n__all__ = ['M1']\n",
    "pkg/broken.py": "class (:\n",
    "pkg/latin.py": b"# \xe9\n",
    "pkg/deep.py": "x = " + "(" * 5000 + ")" * 5000,
}


@pytest.fixture(autouse=True)
def small_trees_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MIN_BYTES_PER_WORKER", 1)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a module `hostile` with this body where this process and its workers find it."""

    def write(body: str) -> None:
        folder = tmp_path / "importable"
        folder.mkdir()
        head = (
            "import os, signal, time\n"
            "from audit.static.sources import SourceFile\n"
            "from audit.static.reading import ParsedFile, UnreadableFile\n"
            "from audit.static.names import FileSummary\n"
            "from audit.static.summary import names_of\n"
            "def function(file: SourceFile, parsed: ParsedFile) -> FileSummary:\n"
        )
        (folder / "hostile.py").write_text(head + body + "    return names_of(file, parsed)\n")
        monkeypatch.syspath_prepend(folder)
        sys.modules.pop("hostile", None)

    return write


def hostile() -> Callable[[SourceFile, ParsedFile], object]:
    import hostile  # type: ignore[import-not-found]

    function: Callable[[SourceFile, ParsedFile], object] = hostile.function
    return function


@pytest.mark.parametrize("number", [2, 3])
def test_any_number_of_processes_finds_the_same(tree: Tree, number: int) -> None:
    root = tree(SOURCES)
    assert analyse(root, root, workers=number) == analyse(root, root, workers=1)


def test_a_worker_that_dies_costs_the_file_it_was_reading(tree: Tree, importable: Callable[[str], None]) -> None:
    importable("    if file.relative.endswith('m3.py'): os.kill(os.getpid(), signal.SIGSEGV)\n")
    root = tree(SOURCES)
    files = discover(root, root).files
    found = dict(zip((file.relative for file in files), analyse_files(files, hostile(), workers=2), strict=True))
    expected = dict(zip(found, analyse_files(files, names_of), strict=True))
    dead = found.pop("pkg/m3.py")
    assert isinstance(dead, UnreadableFile)
    assert "signal 11" in dead.reason
    del expected["pkg/m3.py"]
    assert found == expected


def test_a_file_is_not_blamed_for_one_death(tree: Tree, importable: Callable[[str], None], tmp_path: Path) -> None:
    mark = tmp_path / "died"
    importable(f"    if not os.path.exists({str(mark)!r}): open({str(mark)!r}, 'w'); os._exit(7)\n")
    root = tree(SOURCES)
    files = discover(root, root).files
    assert analyse_files(files, hostile(), workers=2) == analyse_files(files, names_of)
    assert mark.exists()


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_given_up(
    tree: Tree, importable: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "TIME_LIMIT_S", 15.0)
    importable("    if file.relative.endswith('m3.py'): time.sleep(600)\n")
    root = tree({name: SOURCES[name] for name in ("pkg/m3.py", "pkg/m4.py")})
    late, fine = analyse_files(discover(root, root).files, hostile(), workers=2)
    assert isinstance(late, UnreadableFile)
    assert "not read within 15 s" in late.reason
    assert not isinstance(fine, UnreadableFile)


def test_a_defect_of_the_analyser_is_raised_with_its_traceback(tree: Tree, importable: Callable[[str], None]) -> None:
    importable("    raise KeyError('a defect')\n")
    root = tree(SOURCES)
    with pytest.raises(AnalyserError, match="KeyError: 'a defect'"):
        analyse_files(discover(root, root).files, hostile(), workers=2)


def test_what_prints_does_not_end_up_among_the_answers(tree: Tree, importable: Callable[[str], None]) -> None:
    importable("    print('noise', flush=True); os.write(1, b'noise')\n")
    root = tree(SOURCES)
    files = discover(root, root).files
    assert analyse_files(files, hostile(), workers=2) == analyse_files(files, names_of)


def test_without_workers_the_files_are_read_here(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    root = tree(SOURCES)
    assert analyse(root, root, workers=2) == analyse(root, root, workers=1)


def test_a_folder_named_audit_in_the_current_folder_is_not_imported(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree({**SOURCES, "audit/__init__.py": "raise SystemExit(9)", "json.py": "raise SystemExit(9)"})
    monkeypatch.chdir(root)
    assert analyse(root, root / "pkg", workers=2) == analyse(root, root / "pkg", workers=1)


def test_a_worker_loads_neither_torch_nor_typer_nor_pydantic() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import audit.static.worker, audit.static.record;"
        " print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(HOUSE)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "audit" in loaded
    assert not loaded & {"torch", "typer", "pydantic", "numpy", "libcst", "pathspec", "rich", "execnet"}


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_no_worker_outlives_its_caller(tree: Tree, number: signal.Signals) -> None:
    root = tree({f"m{n}.py": "x = [" + "1, " * 100_000 + "]\n" for n in range(60)})
    code = (
        "import sys; from pathlib import Path; from audit.static.analysis import analyse;"
        " analyse(Path(sys.argv[1]), Path(sys.argv[1]), workers=2)"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(root)],
        env={"PYTHONPATH": str(HOUSE)},
        stderr=subprocess.DEVNULL,
    )
    started: list[int] = []
    while len(started) < 2 and caller.poll() is None:
        started = children(caller.pid)
        time.sleep(0.01)
    assert len(started) == 2
    caller.send_signal(number)
    caller.wait(60)
    until = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}/exe") for pid in started) and time.monotonic() < until:
        time.sleep(0.05)
    assert [pid for pid in started if os.path.exists(f"/proc/{pid}/exe")] == []


def test_a_worker_knows_the_names_that_it_lacks_for_want_of_site() -> None:
    code = f"import sys; sys.path.insert(0, {str(HOUSE)!r}); from audit.static.builtin_names import BUILTIN_NAMES"
    asked = [sys.executable, "-I", "-S", "-c", f"{code}; print(*BUILTIN_NAMES)"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert {"exit", "quit"} <= set(told) >= set(dir(builtins)) - {"_"}
