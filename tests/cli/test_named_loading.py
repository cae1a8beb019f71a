"""How the file that `FILE::NAME` names is loaded, and what the results of `attention` and `smoke` say of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

LAYER = """
import torch
from torch import nn
{imported}


class SelfAttention(nn.Module):
    def __init__(self, dim, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, c // self.num_heads).unbind(2)
        {attended}
        return self.proj(y.reshape(b, n, c))
"""
PLAIN = "y = nn.functional.scaled_dot_product_attention(*(e.transpose(1, 2) for e in (q, k, v))).transpose(1, 2)"


def results(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {each["check"]: each for each in json.loads(done.stdout)["results"] if each["subject"]["qualname"]}


@pytest.mark.parametrize("folder", ["src/zoo", "zoo"])
@pytest.mark.parametrize("is_package", [True, False])
def test_a_file_with_relative_imports_is_imported_as_a_module(
    run: Run, tmp_path: Path, folder: str, is_package: bool
) -> None:
    (tmp_path / "pyproject.toml").touch()
    place = tmp_path / folder
    place.mkdir(parents=True)
    if is_package:
        (place / "__init__.py").touch()
    (place / "sizes.py").write_text("SCALED = True\n")
    imported, attended = "from .sizes import SCALED", f"assert SCALED\n        {PLAIN}"
    (place / "layers.py").write_text(LAYER.format(imported=imported, attended=attended))
    done = run("attention", f"{folder}/layers.py::SelfAttention", "--only", "depends", "--json", cwd=tmp_path)
    found = results(done)
    assert done.returncode == 0, done.stderr
    assert {each["outcome"] for each in found.values()} == {"passed"}
    assert "executed alone" not in done.stdout


def test_the_script_of_a_defect_finds_the_package(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    place = tmp_path / "src" / "zoo"
    place.mkdir(parents=True)
    (place / "__init__.py").touch()
    (place / "sizes.py").write_text("SCALED = True\n")
    attended = PLAIN.replace("(q, k, v))", "(q, k, v.flip(0)))")
    (place / "layers.py").write_text(LAYER.format(imported="from .sizes import SCALED", attended=attended))
    done = run("attention", "src/zoo/layers.py::SelfAttention", "--only", "batch_rows", "--json", cwd=tmp_path)
    (defect,) = json.loads(done.stdout)["defects"]
    script = tmp_path / "script.py"
    script.write_text(defect["reproducer"]["script"])
    shown = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 1, shown.stdout + shown.stderr


def test_results_of_a_class_that_is_executed_alone_say_so(run: Run, tmp_path: Path) -> None:
    imported = "from flash_attn import flash_attn_func\nfrom a_library_that_nobody_has import helper"
    attended = f"""if x.is_cuda:
            y = flash_attn_func(q, k, v)
        elif n > 100_000:
            y = helper(q, k, v)
        else:
            {PLAIN}"""
    (tmp_path / "layers.py").write_text(LAYER.format(imported=imported, attended=attended))
    only = [word for check in ("depends", "branches") for word in ("--only", check)]
    done = run("attention", "layers.py::SelfAttention", *only, "--json", cwd=tmp_path)
    found = results(done)
    assert done.returncode == 0, done.stdout
    for check in ("attention.built", "attention.depends", "attention.branches"):
        assert found[check]["outcome"] == "passed", found[check]
        origin = found[check]["evidence"]["bound_origin"]
        assert "executed alone: import of the file: ModuleNotFoundError: No module named 'flash_attn'" in origin
        assert "nothing stands for the names flash_attn_func, helper" in origin
    # With a stand-in there the import of its library works, and the same class is built all the same.
    assert "stand-in for flash_attn" in found["attention.branches"]["evidence"]["bound_origin"]


def test_smoke_says_that_a_model_was_executed_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "from torch import nn\nimport a_library_that_nobody_has\n\n\n"
        "class Plain(nn.Module):\n"
        "    def __init__(self, width=8):\n        super().__init__()\n        self.layer = nn.Linear(width, 3)\n\n"
        "    def forward(self, x):\n        return self.layer(x)\n"
    )
    done = run("smoke", "model.py::Plain", "--only", "guessed", "--json", cwd=tmp_path)
    found = results(done)["smoke.guessed"]
    assert found["outcome"] == "passed", done.stdout
    assert "; executed alone: import of the file: ModuleNotFoundError" in found["evidence"]["bound_origin"]
