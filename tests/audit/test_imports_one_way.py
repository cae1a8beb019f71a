"""Imports run one way: validation -> audit -> nothing, and astrobio stands apart."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = ("astrobio", "audit", "validation")
SOURCES = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
PROBE_MAY_IMPORT = {"torch", "safetensors", *sys.stdlib_module_names}
# Libraries that some targets call, which are asked for where the target has them.
PROBE_MAY_TRY = {
    "audit/probe/branches.py": {"triton.runtime.interpreter", "triton.runtime.jit"},
    "audit/probe/kernel_memory.py": {"triton", "triton.runtime.interpreter", "numpy"},
    "audit/probe/guess/caches.py": {"transformers.cache_utils"},
}
# Copies a model by way of a pickle within the target's process: what is read is what it has written just before.
READS_ITS_OWN_PICKLES = {"audit/probe/state.py"}
# What parts of the zoo ask for beside torch: dependencies of this project, extras, and kernels where there are any.
ZOO_MAY_ASK_FOR = {
    "astrobio/attention": {"triton", "flash_attn", "flash_attn_interface"},
    "astrobio/cli.py": {"typer"},
    "astrobio/commands": {"typer", "rich", "safetensors"},
    "astrobio/data": {"numpy", "h5netcdf", "h5py", "zarr", "cobra"},
    "astrobio/serving": {"fastapi", "starlette", "uvicorn", "safetensors", "numpy"},
    "astrobio/training": {"safetensors", "numpy"},
}
# The probe's stand-ins for libraries compute what is documented and run no target: they are compared and printed.
STANDINS = ("audit.probe.standins", "audit.probe.branches_cuda")
# What judges: nothing that only shows a finished report may call it.
JUDGING = (
    "audit.score",
    "audit.judgement",
    "audit.execute",
    "audit.plan",
    "audit.collected",
    "audit.session",
    "audit.gateway",
)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imported(path: Path) -> tuple[str, ...]:
    """Return the dotted names that a file imports, anywhere in it; relative ones made absolute."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def offences(path: Path, forbidden: tuple[str, ...]) -> list[str]:
    return [name for name in imported(path) if any(within(name, package) for package in forbidden)]


def id_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_are_sources_to_look_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(HOUSES)
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_no_house_imports_one_that_it_must_not_know(path: Path) -> None:
    house = path.relative_to(ROOT).parts[0]
    forbidden = {
        "astrobio": ("audit", "validation"),
        "audit": ("validation", "astrobio"),
        "validation": ("astrobio",),
    }[house]
    assert offences(path, forbidden) == []


@pytest.mark.parametrize("path", [path for path in SOURCES if "probe" in path.parts], ids=id_of)
def test_the_probe_needs_nothing_but_the_standard_library_torch_and_safetensors(path: Path) -> None:
    foreign = {
        name
        for name in imported(path)
        if not within(name, "audit.probe") and name.split(".")[0] not in PROBE_MAY_IMPORT
    }
    assert foreign == PROBE_MAY_TRY.get(id_of(path), set())
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
    # What may be missing is asked for by name, and only when it is called for.
    assert not foreign & {alias.name for node in nodes for alias in node.names}


@pytest.mark.parametrize("path", [path for path in SOURCES if "probe" not in path.parts], ids=id_of)
def test_only_what_ships_the_probe_imports_it(path: Path) -> None:
    found = [name for name in offences(path, ("audit.probe",)) if not any(within(name, each) for each in STANDINS)]
    assert found == (["audit.probe"] if id_of(path) == "audit/gateway/shipping.py" else [])


@pytest.mark.parametrize("name", ["markdown", "terminal", "text", "write", "files", "schema", "progress"])
def test_what_renders_a_report_imports_nothing_that_judges(name: str) -> None:
    found = offences(ROOT / "audit" / "report" / f"{name}.py", JUDGING)
    # The verdict's names are vocabulary; computing one is not.
    assert [each for each in found if each != "audit.score.Verdict"] == []


@pytest.mark.parametrize("name", ["severity", "results", "score", "errors"])
def test_the_vocabulary_and_the_arithmetic_know_nothing_above_them(name: str) -> None:
    allowed = {"results": ("audit.severity",), "score": ("audit.results", "audit.severity")}.get(name, ())
    own = [each for each in imported(ROOT / "audit" / f"{name}.py") if each.split(".")[0] in HOUSES]
    assert [each for each in own if not any(within(each, package) for package in allowed)] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if path.relative_to(ROOT).parts[0] == "astrobio"], ids=id_of)
def test_the_zoo_needs_torch_only(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)} - {"astrobio", *sys.stdlib_module_names}
    asked_for = [names for part, names in ZOO_MAY_ASK_FOR.items() if id_of(path).startswith(part)]
    assert roots <= {"torch"}.union(*asked_for)


def test_models_and_tasks_are_there_with_torch_alone() -> None:
    """numpy is left in: torch itself takes it where it is."""
    blocked = sorted(set().union(*ZOO_MAY_ASK_FOR.values()) - {"numpy"})
    code = (
        f"import sys\nfor name in {blocked}: sys.modules[name] = None\n"
        "import astrobio, astrobio.attention, astrobio.data\n"
        "from astrobio.training.tasks import TASKS, create_task\n"
        "print(len(astrobio.list_models()), len([create_task(name) for name in TASKS]))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    models, tasks = map(int, told.stdout.split())
    assert models >= 14
    assert tasks >= 7


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_nothing_is_unpickled(path: Path) -> None:
    found = offences(path, ("pickle", "dill", "cloudpickle", "marshal", "shelve"))
    assert found == (["pickle"] if id_of(path) in READS_ITS_OWN_PICKLES else [])
