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
PROBE = sorted(FOLDER.rglob("*.py"))
PARENT = sorted(
    path
    for package in (audit, validation)
    for path in Path(package.__path__[0]).rglob("*.py")
    if not path.is_relative_to(FOLDER)
)
ALLOWED = {"torch", "safetensors"}
RECEIVE = ("bootstrap", "template")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__")


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


@pytest.mark.parametrize("path", PROBE, ids=name_of)
def test_a_module_of_the_probe_imports_only_what_the_target_must_have(path: Path) -> None:
    foreign = []
    for line, level, name in imports(path):
        first = name.partition(".")[0]
        if level:
            folder = path.parents[level - 1]
            fine = folder.is_relative_to(FOLDER) and ((folder / f"{first}.py").exists() or (folder / first).is_dir())
        else:
            fine = first in sys.stdlib_module_names | ALLOWED
        foreign += [] if fine else [f"{path.name}:{line}: {'.' * level}{name}"]
    assert foreign == []


def test_the_parent_reaches_the_probe_by_sending_its_sources_only() -> None:
    """But for the stand-ins: they compute documented semantics and run no target; they are compared and printed."""
    found = [
        f"{path.relative_to(FOLDER.parents[1])}:{line}"
        for path in PARENT
        for line, level, name in imports(path)
        if name == "audit.probe" or name.startswith("audit.probe.") or (level and name.partition(".")[0] == "probe")
        if not f"{name}.".startswith(("audit.probe.standins.", "audit.probe.branches_cuda."))
    ]
    assert len(PARENT) > 40
    assert [place.partition(":")[0] for place in found] == ["audit/gateway/shipping.py"]


def test_every_module_is_sent_but_those_that_receive_them() -> None:
    shipped = shipping.sources()
    assert shipped == {name_of(path): path.read_text() for path in PROBE if path.stem not in RECEIVE}
    assert "guess.loading" in shipped
    assert shipping.bootstrap_source() == (FOLDER / "bootstrap.py").read_text()


def test_the_receiving_module_does_nothing_where_it_is_only_imported() -> None:
    before = list(sys.meta_path)
    importlib.reload(importlib.import_module("audit.probe.bootstrap"))
    assert sys.meta_path == before
