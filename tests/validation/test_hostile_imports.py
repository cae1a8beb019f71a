"""Modules that misbehave when they are imported, and packages that stand in an environment of their own."""

import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from validation.smoke.registry import MODEL_CHECKS

from ..slow_cases import slow
from .conftest import BESIDE, NOT_CONCERNED

Audit = Callable[..., Any]
METADATA = "Metadata-Version: 2.1\nName: flash-attn\nVersion: 98.7\n"

# Module: its text, outcome of smoke.import, what the reason says.
IMPORTED: Mapping[str, tuple[str, str, str]] = {
    "zoo/leaves.py": ("import sys\nsys.exit(0)\n", "failed", r"^import raised SystemExit: 0$"),
    "zoo/raises.py": ("raise OSError(2, 'no weights')\n", "failed", r"^import raised FileNotFoundError: .*no weights$"),
    "zoo/interrupts.py": ("raise KeyboardInterrupt\n", "failed", r"^import raised KeyboardInterrupt$"),
    "zoo/exits.py": ("import os\nos._exit(0)\n", "error", r"^the target's process exited with status 0"),
    "zoo/crashes.py": ("import ctypes\nctypes.string_at(0)\n", "error", r"was killed by SIGSEGV"),
    "zoo/floods.py": (
        "for _ in range(100): print('flood ' * 170_000)\n",
        "error",
        r"^flood of output: more than 8 MiB printed; last output:\n.*flood",
    ),
    "zoo/hoards.py": ("kept = [bytearray(2 ** 20) for _ in range(2 ** 20)]\n", "error", r"out of memory"),
    "zoo/shrinks.py": ("kept = bytearray(2 ** 42)\n", "error", r"^out of memory during import: MemoryError"),
    "zoo/replaced.py": ("import sys\nsys.modules[__name__] = 7\n", "passed", r"^$"),
    "zoo/odd_file.py": ("__file__ = object()\n", "error", r"must be plain data"),
    "zoo/wrong_syntax_of_another.py": ("exec('x = = 1')\n", "failed", r"^import raised SyntaxError: invalid syntax"),
    "zoo/broken/__init__.py": ("import a_module_that_nobody_has\n", "failed", r"^import raised ModuleNotFoundError"),
    "zoo/broken/child.py": ("", "skipped", r"^its parent package zoo.broken cannot be imported$"),
}


@pytest.mark.slow
def test_an_import_costs_its_own_module_only(audit: Audit, write_package: Callable[..., Path], tmp_path: Path) -> None:
    modules = {name: text for name, (text, _, _) in IMPORTED.items()}
    root = write_package(tmp_path / "project", {}, modules, "output_mb = 8\nmemory_mb = 1536\ntimeout_s = 45")
    audited = audit(root)
    found = {}
    for name in IMPORTED:
        subject = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found[name] = (audited.outcomes["smoke.import", subject], audited.reason("import", subject))
    wrong = [
        f"{name}: {found[name][0]}: {found[name][1][:300]!r}"
        for name, (_, outcome, pattern) in IMPORTED.items()
        if found[name][0] != outcome or not re.search(pattern, found[name][1], re.DOTALL)
    ]
    assert not wrong, "\n".join(wrong)
    of_healthy = {
        check: (outcome, audited.reason(check, "z_healthy")) for check, outcome in audited.of("z_healthy").items()
    }
    assert {check for check, (outcome, _) in of_healthy.items() if outcome == "not_applicable"} == NOT_CONCERNED
    assert {found for check, found in of_healthy.items() if check not in NOT_CONCERNED} == {("passed", "")}
    assert audited.survivors == audited.changed_files == audited.temporary_files == []
    assert audited.exit_code == 1


@pytest.mark.slow
def test_an_import_that_never_ends_costs_its_time_limit(audit_hostile: Audit) -> None:
    audited = audit_hostile(modules={"zoo/loops.py": "while True: pass\n"}, settings="timeout_s = 10")
    assert audited.outcomes["smoke.import", "zoo.loops"] == "error"
    assert audited.reason("import", "zoo.loops") == "timed out: import_module took longer than 10 s"


@pytest.mark.parametrize(
    ("text", "outcome", "reason"),
    [
        ("import os; os._exit(0)", "error", r"^specs zoo.specs: the target's process exited with status 0"),
        pytest.param(
            "import sys; sys.exit(0)",
            "failed",
            r"^specs zoo.specs: import raised SystemExit: 0$",
            marks=pytest.mark.slow,
        ),
        ("MODELS = 7", "failed", r"^specs zoo.specs: .*MODELS must be a dict"),
    ],
    ids=["exits", "leaves", "wrong type"],
)
def test_specs_that_cannot_be_read_are_one_result(
    audit: Audit, write_package: Callable[..., Path], tmp_path: Path, text: str, outcome: str, reason: str
) -> None:
    root = write_package(tmp_path / "project", {}, {"zoo/specs.py": text + "\n"}, "")
    audited = audit(root)
    assert audited.outcomes["smoke.declared", "zoo"] == outcome
    assert re.search(reason, audited.reason("declared", "zoo"))
    assert audited.outcomes["smoke.import", "zoo.z_healthy"] == "passed"
    waiting = {(each.check.id, "zoo") for each in MODEL_CHECKS} | {(f"smoke.{check}", "zoo") for check in BESIDE}
    whole = {(f"smoke.{check}", "zoo") for check in ("declared", "device", "extensions", "data_declared")}
    assert audited.outcomes.keys() == waiting | whole | {
        ("smoke.import", module) for module in ("zoo", "zoo.specs", "zoo.z_healthy")
    }
    assert {audited.outcomes[key] for key in waiting} == {"skipped"}
    assert audited.exit_code == (1 if "failed" in audited.outcomes.values() else 3)


def test_the_target_imports_its_own_packages_of_the_auditors_names(audit_hostile: Audit) -> None:
    own = {
        "audit/__init__.py": "WHOSE = 'target'\n",
        "audit/results.py": "WHOSE = 'target'\n",
        "validation/deep.py": "WHOSE = 'target'\n",  # a package without __init__.py
        "zoo/uses.py": """
            import importlib.util, sys
            import audit, audit.results, validation.deep
            assert audit.WHOSE == audit.results.WHOSE == validation.deep.WHOSE == "target"
            assert "audit.gateway" not in sys.modules
            assert importlib.util.find_spec("audit.gateway") is None
            """,
    }
    audited = audit_hostile(modules=own)
    assert audited.outcomes["smoke.import", "zoo.uses"] == "passed"


@pytest.mark.slow
def test_the_auditors_packages_are_absent_where_the_target_has_none(audit_hostile: Audit) -> None:
    audited = audit_hostile(
        modules={
            "zoo/uses_audit.py": "import audit\n",
            "zoo/uses_validation.py": "from validation import smoke\n",
            "zoo/asks.py": """
                import importlib.util
                assert importlib.util.find_spec("audit") is None
                """,
        }
    )
    assert audited.reason("import", "zoo.uses_audit") == "import raised ModuleNotFoundError: No module named 'audit'"
    assert "No module named 'validation'" in audited.reason("import", "zoo.uses_validation")
    assert audited.outcomes["smoke.import", "zoo.asks"] == "passed", audited.reason("import", "zoo.asks")


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter in a virtual environment of its own, with this one's torch and two modules that only it has."""
    folder = tmp_path_factory.mktemp("other") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    (site / "only_there.py").write_text("VALUE = 17\n")
    (site / "flash_attn.py").write_text("")
    (site / "flash_attn-98.7.dist-info").mkdir()
    (site / "flash_attn-98.7.dist-info" / "METADATA").write_text(METADATA)
    (site / "torch.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


@pytest.mark.slow
def test_another_virtual_environment_is_the_one_that_is_used(
    audit: Audit, write_package: Callable[..., Path], tmp_path: Path, other_python: Path
) -> None:
    modules = {
        "zoo/uses.py": f"""
            import sys
            import only_there
            assert only_there.VALUE == 17
            assert sys.prefix == {str(other_python.parents[1])!r}
            """,
    }
    root = write_package(tmp_path / "project", {}, modules, "")
    own = audit(root)
    assert own.reason("import", "zoo.uses") == "import raised ModuleNotFoundError: No module named 'only_there'"
    assert own.report["provenance"]["environment"]["libraries"]["flash_attn"] is None
    other = audit(root, "--python", str(other_python))
    assert other.exit_code == 0
    assert set(other.outcomes.values()) == {"passed", "not_applicable"}
    assert other.report["provenance"]["environment"]["libraries"]["flash_attn"] == "98.7"
    assert other.survivors == other.changed_files == []


def test_files_named_like_the_standard_library_are_not_loaded_by_the_probe(audit_hostile: Audit) -> None:
    names = ("random", "types", "json", "platform", "queue", "traceback", "copy")
    audited = audit_hostile(modules={f"{name}.py": "raise RuntimeError('shadowed')\n" for name in names})
    assert audited.exit_code == 0


@pytest.mark.parametrize("name", ["secrets.py", *slow("profile.py")])
def test_a_file_that_stands_in_torchs_way_is_named_with_its_place(audit_hostile: Audit, name: str) -> None:
    """torch's optimizers import these when they are first used, and would in any script of the target too."""
    audited = audit_hostile(modules={name: "raise RuntimeError('shadowed')\n"}, healthy_passes=False)
    assert audited.of("z_healthy")["optimizer_step"] == "failed"
    assert audited.reason("optimizer_step", "z_healthy") == "step raised RuntimeError: shadowed"
    (result,) = (each for each in audited.report["results"] if each["check"] == "smoke.optimizer_step")
    nothing = dict.fromkeys(("column", "end_line", "end_column", "qualname", "cell", "cell_line"))
    assert result["location"] == {"path": name, "line": 1, **nothing}
