"""Files that are started by their path, compiled extensions, and devices."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from audit.gateway.client import Plain
from audit.plan import Run
from audit.results import Result
from validation.smoke.checks import device, importing

from .written import HEAD, SPECS, by_spec, write

pytestmark = pytest.mark.timeout(900)

PASSED, FAILED, ERROR, SKIPPED, NONE = "passed", "failed", "error", "skipped", "not_applicable"
STARTED = "\nif __name__ == '__main__':\n    1 / 0\n"
NOT_LOADED_YET = "colorsys"  # of the standard library; no part of the probe or torch imports it

# File: its text, outcome, what the reason says.
SCRIPTS: dict[str, tuple[str, str, str]] = {
    "zoo/starts.py": ("import zoo.helper" + STARTED, PASSED, ""),
    "zoo/finds_its_neighbour.py": ("import helper" + STARTED, PASSED, ""),
    "zoo/relative.py": ("from . import helper" + STARTED, NONE, "relative names"),
    "zoo/shadowed/starts.py": (
        f"from {NOT_LOADED_YET} import rgb_to_hsv" + STARTED,
        FAILED,
        "^import raised ImportError",
    ),
    "zoo/exits.py": ("import os; os._exit(3)" + STARTED, ERROR, "exited with status 3"),
    "zoo/absent.py": ("import not_there_at_all" + STARTED, FAILED, "^import raised ModuleNotFoundError"),
}


def of(results: dict[str, list[Result]], check: str, subject: str) -> Result:
    (result,) = (each for each in results[subject] if each.check == check)
    return result


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    files = {name: text for name, (text, _, _) in SCRIPTS.items()}
    files |= {"zoo/helper.py": "", "zoo/shadowed/__init__.py": "", f"zoo/shadowed/{NOT_LOADED_YET}.py": "MINE = 1\n"}
    files["zoo/specs.py"] = "MODELS = {}\nATTENTION = {}\n"
    return by_spec(write(tmp_path_factory.mktemp("scripts"), files), only=("smoke.standalone",))


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_file_that_is_started_is_loaded_by_its_path(scripts: dict[str, list[Result]], path: str) -> None:
    _, outcome, reason = SCRIPTS[path]
    (result,) = (each for found in scripts.values() for each in found if each.subject.path == path)
    assert result.outcome == outcome, result.reason
    assert re.search(reason, result.reason or ""), result.reason


def test_files_without_a_part_to_be_started_are_left_to_their_import(scripts: dict[str, list[Result]]) -> None:
    assert {each.subject.path for found in scripts.values() for each in found} == set(SCRIPTS)


MODEL = """
try:
    from zoo import _fast
except ImportError:
    _fast = None

class Fast(Right):
    def forward(self, x):
        y = self.layer(x)
        return _fast.doubled(y) if _fast else {fallback}
"""
BUILT = "zoo/_fast.another-platform.so"


def extensions(root: pytest.TempPathFactory, *, fallback: str, built: bool = True, uses: str = MODEL) -> Result:
    """Return the result on a package with an extension; what stands for it here is a module of Python."""
    files = {
        "setup.py": "from torch.utils.cpp_extension import CppExtension\nCppExtension('zoo._fast', ['fast.cpp'])\n",
        "zoo/_fast.py": "def doubled(y):\n    return y + y\n",
        "zoo/models.py": HEAD + uses.format(fallback=fallback),
        "zoo/specs.py": SPECS + "MODELS['fast'] = entry_of('Fast')\n",
    }
    files |= {BUILT: ""} if built else {}
    target = write(root.mktemp("extensions"), files)
    return of(by_spec(target, only=("smoke.extensions",)), "smoke.extensions", "zoo")


def test_a_fallback_that_computes_the_same_passes(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = extensions(tmp_path_factory, fallback="2 * y")
    assert result.outcome == PASSED, result.reason
    assert "models that import an extension: fast" in (result.evidence.bound_origin or "")


def test_a_fallback_in_another_order_is_within_rounding(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = extensions(tmp_path_factory, fallback="x @ (2 * self.layer.weight.T) + self.layer.bias * 2")
    assert result.outcome == PASSED, result.reason


def test_a_fallback_that_leaves_a_factor_out_fails(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = extensions(tmp_path_factory, fallback="y")
    assert result.outcome == FAILED
    assert "without zoo._fast the outputs differ" in (result.reason or "")


def test_a_package_that_needs_its_extension_fails(tmp_path_factory: pytest.TempPathFactory) -> None:
    needs = "from zoo import _fast\n\nclass Fast(Right):\n    pass  # {fallback}\n"
    result = extensions(tmp_path_factory, fallback="", uses=needs)
    assert (result.outcome, (result.reason or "").startswith("import raised")) == (FAILED, True)


def test_an_extension_that_is_not_built_is_not_judged(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = extensions(tmp_path_factory, fallback="2 * y", built=False)
    assert (result.outcome, "zoo._fast" in (result.reason or "")) == (SKIPPED, True)


def test_an_extension_that_no_model_imports_is_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = extensions(tmp_path_factory, fallback="", uses="class Fast(Right):\n    pass  # {fallback}\n")
    assert (result.outcome, "nothing could be compared" in (result.reason or "")) == (ERROR, True)


class Answering:
    """A probe that gives one answer."""

    def __init__(self, reply: Mapping[str, Plain]) -> None:
        self._reply = reply

    def call(self, procedure: str) -> Mapping[str, Plain]:
        assert procedure == "devices"
        return self._reply


def judged_device(*, least_gpus: int | None = None, **told: Plain) -> tuple[str, str]:
    devices: dict[str, Plain] = {
        "cpu": {"called": "cpu", "right": True, "raised": None},
        "cuda:0": {"called": "a GPU", "right": True, "raised": None, **told},
    }
    probe = Answering({"devices": devices, "without_cuda": None})
    judgement = device.judge(cast(Run, SimpleNamespace(probe=probe)), gpus=least_gpus)
    return judgement.outcome.value, judgement.reason or ""


def test_devices_that_compute_pass() -> None:
    assert judged_device() == (PASSED, "")


def test_a_device_that_computes_something_else_fails() -> None:
    assert judged_device(right=False) == (FAILED, "cuda:0: a wrong product")


@pytest.mark.parametrize(("least", "expected"), [(0, PASSED), (1, FAILED), (2, SKIPPED)])
def test_a_profile_asks_for_its_own_devices(least: int, expected: str) -> None:
    outcome, reason = judged_device(least_gpus=least, right=False)
    assert outcome == expected
    assert (reason == "needs 2 GPUs: torch finds 1") == (expected == SKIPPED)


def test_a_device_that_does_not_answer_fails() -> None:
    assert judged_device(right=False, raised="RuntimeError: no kernel image") == (
        FAILED,
        "cuda:0: RuntimeError: no kernel image",
    )


@pytest.mark.parametrize(
    ("module", "reply", "said"),
    [
        (
            "json",
            {"path": "/lib/json/__init__.py"},
            "/lib/json/__init__.py and not this file: Python's standard library",
        ),
        ("sys", {"path": None, "built_in": True}, "a module of the interpreter and not this file: Python's standard"),
        ("torch", {"path": "/v/torch.py"}, "/v/torch.py and not this file: an installed package is called torch too"),
        (
            "torch",
            {"path": "/zoo/v/site-packages/torch.py"},
            "v/site-packages/torch.py and not this file: an installed",
        ),
        ("nets", {"path": "/zoo/lib/nets.py"}, "lib/nets.py and not this file"),
    ],
)
def test_a_module_under_whose_name_another_file_is_found_is_told_which_and_whose(
    module: str, reply: Mapping[str, Plain], said: str
) -> None:
    root = Path("/zoo")
    target = SimpleNamespace(
        root=root, relative=lambda path: path.removeprefix("/zoo/") if path.startswith("/zoo/") else None
    )
    run = cast(Run, SimpleNamespace(target=target, probe=SimpleNamespace(call_unharmed=lambda *_, **__: reply)))
    judgement = importing.judge(module, f"{module}.py", run)
    assert (judgement.reason or "").startswith(f"importing {module} gives {said}")
    assert judgement.fix == f"rename {module}: another module of its name is found first"
