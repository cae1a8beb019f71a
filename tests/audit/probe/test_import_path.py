"""The child's import path: the target's source first, and nothing of the auditor that the target could meet."""

import ast
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import audit
from audit.gateway import Limits, Probe
from audit.probe.paths import HiddenPackages

AUDITOR = Path(audit.__path__[0]).parent


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Writes files, imports module `asks` in a child, and returns the value that its text computes as `answer`."""
    told = tmp_path / "answer"
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)

    def ask(text: str, files: Mapping[str, str] | None = None, package: str = "asks") -> Any:
        asks = f"{text}\nopen({str(told)!r}, 'w').write(repr(answer))\n"
        for name, content in {**(files or {}), "asks.py": asks}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        limits = Limits(timeout_s=60)
        python = Path(sys.executable)
        with Probe(python=python, source=tmp_path, root=tmp_path, package=package, limits=limits) as probe:
            probe.call("import_module", name="asks")
        return ast.literal_eval(told.read_text())

    return ask


def test_the_targets_source_comes_first_and_the_working_folder_is_its_root(tell: Any, tmp_path: Path) -> None:
    path, folder = tell("import os, sys; answer = (sys.path, os.getcwd())")
    assert path[0] == str(tmp_path)
    assert "" not in path
    assert not [entry for entry in path if Path(entry) == AUDITOR / "audit" or "/tests" in entry]
    assert folder == str(tmp_path)


def test_nothing_of_the_auditor_is_loaded_in_the_child(tell: Any) -> None:
    loaded = tell("import sys; answer = [(n, getattr(m, '__file__', None)) for n, m in list(sys.modules.items())]")
    names = {name.partition(".")[0] for name, _ in loaded}
    assert {"torch", "_astrobio_audit_probe"} <= names
    assert not names & {
        "audit",
        "validation",
        "astrobio",
        "pydantic",
        "typer",
        "rich",
        "libcst",
        "pytest",
        "hypothesis",
    }
    inside = [file for _, file in loaded if file and Path(file).is_relative_to(AUDITOR)]
    assert [file for file in inside if "site-packages" not in file] == []


def test_no_bytecode_is_written_by_the_target_or_its_children(tell: Any, tmp_path: Path) -> None:
    child = "import subprocess, sys; answer = subprocess.run([sys.executable, '-c', 'import asks_too']).returncode"
    assert tell("import here\n" + child, {"here.py": "", "asks_too.py": ""}) == 0
    assert list(tmp_path.rglob("*.pyc")) == []


@pytest.mark.parametrize("name", ["audit", "validation"])
def test_a_package_under_audit_may_have_one_of_the_auditors_names(tell: Any, name: str) -> None:
    where = tell(
        f"import {name}, {name}.part as part; answer = ({name}.__file__, part.WHOSE)",
        {f"{name}/__init__.py": "", f"{name}/part.py": "WHOSE = 'target'"},
        package=name,
    )
    assert where[1] == "target"
    assert not Path(where[0]).is_relative_to(AUDITOR)


def test_files_named_like_the_standard_library_are_not_loaded_by_the_probe(tell: Any) -> None:
    names = ("random", "types", "json", "io", "traceback", "linecache", "hashlib", "importlib", "platform", "ctypes")
    assert tell("answer = 'well'", {f"{name}.py": "raise RuntimeError('shadowed')" for name in names}) == "well"


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HiddenPackages:
    """Hides a package `hidden_one` that lies in a folder on the path, behind two other folders."""
    for folder in ("first", "second", "auditor"):
        (tmp_path / folder).mkdir()
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    (tmp_path / "auditor" / "hidden_one").mkdir()
    (tmp_path / "auditor" / "hidden_one" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    return HiddenPackages([str(tmp_path / "auditor" / "hidden_one")])


def test_a_hidden_package_is_stepped_over_and_others_are_left_alone(finder: HiddenPackages, tmp_path: Path) -> None:
    assert finder.find_spec("json") is None
    assert finder.find_spec("hidden_one.part") is None
    assert finder.find_spec("hidden_one") is None
    assert importlib.util.find_spec("hidden_one") is not None
    finder.install()
    assert importlib.util.find_spec("hidden_one") is None
    assert importlib.util.find_spec("json") is not None
    with pytest.raises(ModuleNotFoundError, match="No module named 'hidden_one'"):
        importlib.import_module("hidden_one")


@pytest.mark.parametrize("name", ["hidden_one.py", "hidden_one/__init__.py", "hidden_one/inner.py"])
def test_another_package_of_a_hidden_name_is_found(finder: HiddenPackages, tmp_path: Path, name: str) -> None:
    path = tmp_path / "second" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    spec = finder.find_spec("hidden_one")
    assert spec
    places = list(spec.submodule_search_locations or ()) or [spec.origin]
    assert all(Path(str(place)).is_relative_to(tmp_path / "second") for place in places)


def test_a_link_to_a_hidden_package_is_hidden_too(finder: HiddenPackages, tmp_path: Path) -> None:
    (tmp_path / "second" / "hidden_one").symlink_to(tmp_path / "auditor" / "hidden_one")
    finder.install()
    assert importlib.util.find_spec("hidden_one") is None
