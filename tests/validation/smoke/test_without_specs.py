"""`astrobio-audit smoke FILE::NAME`, and `smoke` on a package without specs: as processes."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(600)

Outcomes = Mapping[tuple[str, str], dict[str, Any]]
MODELS = """
import torch
from torch import nn


class Tokens(nn.Module):
    def __init__(self, vocab_size, d_model=64, num_layers=2):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, d_model)
        self.mix = nn.ModuleList([nn.Linear(d_model, d_model) for _ in range(num_layers)])
        self.head = nn.Linear(d_model, vocab_size)

    def forward(self, input_ids):
        x = self.embed(input_ids)
        for layer in self.mix:
            x = x + torch.tanh(layer(x.cumsum(1) / 8))
        return self.head(x)


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 16 * 16, 5)

    def forward(self, image, temperature):
        x = torch.relu(self.norm(self.conv(image))).flatten(1)
        return {"logits": self.head(x) * temperature.view(-1, 1)}


class Forgets(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)
        self.shift = torch.randn(out_features)

    def forward(self, x):
        return self.layer(x) + self.shift


class HalfUsed(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.layer, self.other = nn.Linear(dim, 3), nn.Linear(dim, 3)

    def forward(self, x, labels=None):
        return self.layer(x) if labels is None else self.other(x)


class OnlyOnTheCluster(nn.Module):
    def __init__(self, dim):
        super().__init__()
        raise RuntimeError("only on the cluster")

    def forward(self, x):
        return x


class NothingToLearn(nn.Module):
    def __init__(self, size=2):
        super().__init__()
        self.size = size

    def forward(self, x):
        return nn.functional.pixel_unshuffle(x, self.size)


class NothingRegistered(nn.Module):
    def __init__(self):
        super().__init__()
        self.scales = [nn.Parameter(torch.ones(()))]

    def forward(self, x):
        return x * self.scales[0]


def helper(x):
    return x
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unspecified")
    (root / "nets.py").write_text(MODELS)
    (root / "empty.py").write_text("TEN = 10\n")
    return root


@pytest.fixture(scope="module")
def smoke() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command to its end."""
    program = str(Path(sys.executable).with_name("astrobio-audit"))

    def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "smoke", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=280
        )

    return run


@pytest.fixture(scope="module")
def named(folder: Path, smoke: Callable[..., subprocess.CompletedProcess[str]]) -> tuple[int, Outcomes]:
    """The exit code and the results of one run over all classes by their names."""
    names = ("Tokens", "Images", "Forgets", "HalfUsed", "OnlyOnTheCluster", "NothingToLearn", "NothingRegistered")
    done = smoke(*(f"nets.py::{name}" for name in names), "--json", cwd=folder)
    assert done.stdout, done.stderr
    return done.returncode, results(done)


def results(done: subprocess.CompletedProcess[str]) -> Outcomes:
    found = json.loads(done.stdout)["results"]
    return {(each["subject"].get("qualname") or "", each["check"].partition(".")[2]): each for each in found}


def of(found: Outcomes, name: str) -> dict[str, str]:
    return {check: each["outcome"] for (qualname, check), each in found.items() if qualname == name}


@pytest.mark.parametrize(
    ("name", "built", "fed"),
    [
        ("Tokens", "Tokens(vocab_size=50), ", "input_ids=whole below 50 int64 (B, 12)"),
        ("Images", "Images()", "image=normal float32 (B, 3, 32, 32), temperature=normal float32 (B,)"),
        ("Forgets", "Forgets(in_features=48, out_features=48)", "x=normal float32 (B, 12, 48)"),
    ],
)
def test_a_class_is_built_and_fed_as_its_source_suggests(
    named: tuple[int, Outcomes], name: str, built: str, fed: str
) -> None:
    result = named[1][name, "guessed"]
    assert result["outcome"] == "passed", result["reason"]
    assert f"built as {built}" in result["evidence"]["bound_origin"]
    assert f"fed with {fed}" in result["evidence"]["bound_origin"]


def test_every_format_says_what_was_built_and_called(
    folder: Path, smoke: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    expected = "built as Tokens(vocab_size=50), fed with input_ids=whole below 50 int64 (B, 12), B samples in a batch"
    # More results than are shown one by one.
    only = [word for check in ("forward", "backward", "save_load") for word in ("--only", f"smoke.{check}")]
    done = smoke(*(f"nets.py::{name}" for name in ("Tokens", "Forgets", "Images", "HalfUsed")), *only, cwd=folder)
    assert f"without specs, nets:Tokens: {expected}" in done.stdout, done.stdout
    few = smoke("nets.py::Tokens", *only[:2], cwd=folder)
    assert few.stdout.count(expected) == 1
    page = smoke("nets.py::Tokens", *only[:2], "--format", "markdown", cwd=folder)
    assert expected.replace("_", "\\_") in page.stdout, page.stdout  # as Markdown escapes it


def test_a_right_model_fails_nothing_and_what_needs_a_declaration_says_which(named: tuple[int, Outcomes]) -> None:
    outcomes = of(named[1], "Tokens")
    assert {check for check, outcome in outcomes.items() if outcome in ("failed", "error", "skipped")} == set()
    for check in ("overfits", "initial_loss", "padding_leaks", "future_leaks", "residual", "inference", "sample_order"):
        reason = named[1]["Tokens", check]["reason"]
        assert (outcomes[check], reason.startswith("undeclared: ")) == ("not_applicable", True)
        assert "MODELS[...]" in reason
    for check in ("forward", "backward", "determinism", "batch_rows", "save_load", "compile", "meta_build"):
        assert outcomes[check] == "passed", named[1]["Tokens", check]["reason"]
        assert "no specs: inputs are a guess" in named[1]["Tokens", check]["evidence"]["bound_origin"]


def test_a_defect_of_a_model_that_nobody_declared_fails_where_it_is(named: tuple[int, Outcomes]) -> None:
    exit_code, found = named
    assert exit_code == 1
    failed = {check for check, outcome in of(found, "Forgets").items() if outcome == "failed"}
    assert failed == {"registered", "save_load", "safetensors"}


def test_what_a_wrong_guess_could_cause_is_no_failure(named: tuple[int, Outcomes]) -> None:
    outcomes, result = of(named[1], "HalfUsed"), named[1]["HalfUsed", "backward"]
    assert "failed" not in outcomes.values()
    assert result["outcome"] == "error"
    assert "undeclared: what it is trained to" in result["reason"]
    assert "other.weight" in result["reason"]
    assert "astrobio-audit spec nets.py::HalfUsed" in result["fix"]


def test_a_layer_without_parameters_is_no_broken_model(named: tuple[int, Outcomes]) -> None:
    outcomes, result = of(named[1], "NothingToLearn"), named[1]["NothingToLearn", "guessed"]
    assert set(outcomes.values()) == {"not_applicable"}
    assert "a layer without trainable parameters" in result["reason"]


def test_a_model_whose_parameters_are_not_registered_is_no_layer_without_any(named: tuple[int, Outcomes]) -> None:
    result = named[1]["NothingRegistered", "build"]
    assert result["outcome"] == "failed"
    assert "has no trainable parameters" in result["reason"]


def test_what_cannot_be_built_is_an_error_with_a_hint(named: tuple[int, Outcomes]) -> None:
    outcomes, result = of(named[1], "OnlyOnTheCluster"), named[1]["OnlyOnTheCluster", "guessed"]
    assert result["outcome"] == "error"
    assert "RuntimeError: only on the cluster (nets.py:" in result["reason"]
    assert "astrobio-audit spec nets.py::OnlyOnTheCluster" in result["fix"]
    assert set(outcomes.values()) == {"error", "skipped"}


@pytest.mark.slow
def test_a_result_says_how_to_repeat_it(
    named: tuple[int, Outcomes], folder: Path, smoke: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    words = named[1]["Forgets", "registered"]["evidence"]["reproduce"].split()
    assert words[:2] == ["astrobio-audit", "smoke"]
    again = smoke(*words[2:], "--json", cwd=folder)
    assert (again.returncode, results(again)["Forgets", "registered"]["outcome"]) == (1, "failed")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nets.py::helper"], "helper: is a function; smoke judges model classes"),
        (["nets.py::Missing"], "has no class or function Missing"),
        (["nets"], "not of the form FILE::NAME"),
        (["empty.py"], "the inventory finds no model in it; name a class as FILE::NAME; its classes: none"),
        (["nets.py::Tokens", "--package", "nets"], "give one of them"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, smoke: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], said: str
) -> None:
    done = smoke(*arguments, cwd=folder)
    assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr


def test_a_package_without_specs_has_the_models_of_its_inventory_judged(
    tmp_path: Path, smoke: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    head, _, rest = MODELS.partition("class Images")
    cluster = rest[rest.index("class OnlyOnTheCluster") : rest.index("class NothingToLearn")]
    (tmp_path / "pkg" / "nets.py").write_text(f"{head}{cluster}")
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "pkg"\n')
    done = smoke(
        "--target", str(tmp_path), "--json", "--only", "smoke.save_load", "--only", "smoke.import", cwd=tmp_path
    )
    found = results(done)
    assert done.returncode == 3, done.stderr  # the one that cannot be built
    assert of(found, "Tokens")["save_load"] == "passed"
    assert of(found, "OnlyOnTheCluster") == of(found, "OnlyOnTheCluster") | {"guessed": "error", "save_load": "skipped"}
    assert found["", "import"]["outcome"] == "passed"
