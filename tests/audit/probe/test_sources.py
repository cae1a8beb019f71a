"""What the child gets: the probe's own few modules, which need nothing but the standard library and torch."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

import audit
import validation
from audit import probe
from audit.gateway import shipping

FOLDER = Path(probe.__file__).parent
PROBE = sorted(FOLDER.glob("*.py"))
PARENT = sorted(
    path for package in (audit, validation) for path in Path(package.__path__[0]).rglob("*.py") if path.parent != FOLDER
)
ALLOWED = {"torch", "safetensors"}


def imports(path: Path) -> list[tuple[int, int, str]]:
    """Return line, level and module of every import statement."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, 0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += [(node.lineno, node.level, f"{module}.{alias.name}".strip(".")) for alias in node.names]
    return found


@pytest.mark.parametrize("path", PROBE, ids=lambda path: path.stem)
def test_a_module_of_the_probe_imports_only_what_the_target_must_have(path: Path) -> None:
    siblings = {each.stem for each in PROBE}
    foreign = []
    for line, level, name in imports(path):
        first = name.partition(".")[0]
        fine = first in siblings if level == 1 else level == 0 and first in sys.stdlib_module_names | ALLOWED
        foreign += [] if fine else [f"{path.name}:{line}: {'.' * level}{name}"]
    assert foreign == []


def test_the_probe_lies_flat_because_only_one_folder_is_sent() -> None:
    assert [path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"] == []


def test_the_parent_reaches_the_probe_by_sending_its_sources_only() -> None:
    found = [
        f"{path.relative_to(FOLDER.parents[1])}:{line}"
        for path in PARENT
        for line, level, name in imports(path)
        if name == "audit.probe" or name.startswith("audit.probe.") or (level and name.partition(".")[0] == "probe")
    ]
    assert len(PARENT) > 40
    assert [place.partition(":")[0] for place in found] == ["audit/gateway/shipping.py"]


def test_every_module_is_sent_but_the_one_that_receives_them() -> None:
    shipped = shipping.sources()
    assert shipped.keys() == {path.stem for path in PROBE} - {"bootstrap"}
    for name, text in shipped.items():
        assert text == (FOLDER / f"{name}.py").read_text()
    assert shipping.bootstrap_source() == (FOLDER / "bootstrap.py").read_text()


def test_the_receiving_module_does_nothing_where_it_is_only_imported() -> None:
    before = list(sys.meta_path)
    importlib.reload(importlib.import_module("audit.probe.bootstrap"))
    assert sys.meta_path == before
