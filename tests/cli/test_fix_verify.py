"""`astrobio-audit fix --verify`: the attention audit decides which fixes of attention code stay."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
FIXTURE = Path(__file__).parents[1] / "fixtures" / "attention" / "clean" / "zoo"
CLEAN = (FIXTURE / "attention.py").read_text()
ONE_DTYPE = (FIXTURE / "specs.py").read_text().replace('["float32", "bfloat16"]', '["float32"]')
RIGHT = "context = scores.softmax(dim=-1) @ value"
MASKED = "scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)"
# The scores have one name each, so that the rule can follow them; the softmax is over the queries.
OVER_QUERIES = CLEAN.replace(MASKED, MASKED.replace("scores = ", "masked = ")).replace(
    RIGHT, "context = masked.softmax(dim=-2) @ value"
)
# `scaling` is 1, so the fused attention's own scale is right, and the fix of ATT013 would take it away.
LOOKS_SCALED_TWICE = (
    CLEAN.replace(
        RIGHT,
        "scaling = 1.0\n        query = query * scaling\n"
        "        context = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)",
    )
    .replace("import torch\n", "import torch\nimport torch.nn.functional as F\n", 1)
    .replace("        scores = query @ key.transpose(-2, -1) * self.head_dim**-0.5\n", "")
    .replace(f"        {MASKED}\n", "")
)
FIX = ("fix", "--fix", "--unsafe-fixes", "--verify")


def fixed(run: Run, root: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    done = run(*FIX, *arguments, "--json", cwd=root)
    assert done.stdout, done.stderr
    (file,) = json.loads(done.stdout)["files"]
    return done, file


@pytest.mark.slow
def test_a_fix_after_which_the_audit_passes_is_kept(run: Run, project: Project) -> None:
    root = project("attention/clean", {"zoo/attention.py": OVER_QUERIES, "zoo/specs.py": ONE_DTYPE})
    done, file = fixed(run, root)
    assert (done.returncode, file["applied"], file["rolled_back"]) == (0, True, None)
    assert "attention.oracle of attention: failed -> passed" in str(file["verified"])
    assert (root / "zoo" / "attention.py").read_text() == OVER_QUERIES.replace("dim=-2)", "dim=-1)")


@pytest.mark.slow
def test_a_fix_after_which_the_audit_fails_is_put_back(run: Run, project: Project) -> None:
    root = project("attention/clean", {"zoo/attention.py": LOOKS_SCALED_TWICE, "zoo/specs.py": ONE_DTYPE})
    done, file = fixed(run, root)
    assert (done.returncode, file["applied"], file["verified"]) == (1, False, None)
    assert "attention.oracle of attention: passed -> failed" in str(file["rolled_back"])
    assert (root / "zoo" / "attention.py").read_text() == LOOKS_SCALED_TWICE


def test_attention_that_no_spec_names_is_not_edited_and_the_rest_of_the_file_is(run: Run, project: Project) -> None:
    text = (
        OVER_QUERIES.replace("class Attention", "class Other") + "\n\npair = torch.ger(torch.ones(2), torch.ones(2))\n"
    )
    root = project("attention/clean", {"zoo/other.py": text})
    done, file = fixed(run, root)
    assert (done.returncode, file["applied"]) == (1, True)
    edits = file["edits"]
    assert isinstance(edits, list)
    assert [(each["rule"], each["applied"], "held_back" in each) for each in edits] == [
        ("API002", True, False),
        ("ATT003", False, True),
    ]
    assert (root / "zoo" / "other.py").read_text() == text.replace("torch.ger", "torch.outer")


@pytest.mark.parametrize(
    ("fixture", "arguments", "said"),
    [
        ("attention/clean", ["--diff", "--verify"], "--verify needs --fix"),
        ("attention/undeclared", ["--fix", "--verify"], "declare no attention to audit"),
    ],
)
def test_without_an_audit_nothing_can_be_verified(
    fixture: str, arguments: list[str], said: str, run: Run, project: Project
) -> None:
    done = run("fix", *arguments, cwd=project(fixture))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_a_target_without_specs_cannot_be_verified(run: Run, project: Project) -> None:
    done = run(
        "fix", "--fix", "--verify", cwd=project(files={"pyproject.toml": '[tool.astrobio-audit]\npackage = "zoo"\n'})
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--verify: the target declares no specs" in done.stderr
